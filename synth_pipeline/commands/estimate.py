"""`synth estimate`: what a plan asks of each provider and what it will cost; nothing is sent, bought or kept."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from synth_pipeline.commands.caps import CapPlan, CapReport, report_caps
from synth_pipeline.commands.ledger import open_database
from synth_pipeline.commands.requirements import require_seed
from synth_pipeline.components.console import make_table
from synth_pipeline.components.declaration import Declaration, load_declaration
from synth_pipeline.components.figures import amount, dollars, duration
from synth_pipeline.components.places import find_project_folder
from synth_pipeline.contracts.errors import InputError
from synth_pipeline.contracts.providers import Price, Provider, Role
from synth_pipeline.contracts.spending import Cap
from synth_pipeline.llm.batches import BATCH_ROLES, batch_price_of, find_batch_price
from synth_pipeline.llm.estimating import DryCompleter, StandIns
from synth_pipeline.llm.forecast import FindHistory, Forecast, as_batch, forecast
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.accounts import read_totals
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.history import History, read_history
from synth_pipeline.llm.offline import load_grammar
from synth_pipeline.llm.providers import find_provider, price_of

COLUMNS = (
    "provider",
    "stage",
    "planned",
    "in ledger",
    "to buy",
    "tokens in",
    "tokens out",
    "expected",
    "worst",
    "time",
)
NO_CAP = Cap()
FIGURES = (
    *("n_planned", "n_held", "n_to_buy", "tokens_in", "tokens_out"),
    *("expected_usd", "worst_usd", "worst_tokens", "seconds"),
)
WORST = (
    "worst: what the budget reserves: every byte of a prompt a token, every completion as long as max_tokens, every "
    "answer repaired once; tries that break off after the provider has worked come on top"
)


@dataclass(frozen=True)
class EstimateRequest:
    """What `synth estimate` was asked.

    Args:
        recipe: the recipe's name.
        providers: who would write.
        seed: the partition's seed.
        limit: records to plan; the recipe's number where None.
        cap: what the run would be allowed to spend.
        batch: whether providers whose row says `batch: true` are asked through their batch API.
    """

    recipe: str
    providers: Sequence[str]
    seed: int = 0
    limit: int | None = None
    cap: Cap = NO_CAP
    batch: bool = False


@dataclass(frozen=True)
class Estimate:
    """What `synth estimate` found: a forecast for each provider and stage, and the caps that it would meet."""

    recipe: str
    seed: int
    n_records: int
    stages: tuple[Forecast, ...]
    caps: tuple[CapReport, ...]

    @property
    def totals(self) -> dict[str, Any]:
        """The sum of every figure over all stages."""
        rows = [_plain(stage) for stage in self.stages]
        return {name: sum(row[name] for row in rows) for name in FIGURES}

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values; costs in US dollars."""
        return {
            "recipe": self.recipe,
            "seed": self.seed,
            "n_records": self.n_records,
            "stages": [_plain(stage) for stage in self.stages],
            "totals": self.totals,
            "caps": [cap.as_dict() for cap in self.caps],
        }

    def show(self, console: Console) -> None:
        """Print the table, the total, the caps, and how the figures were had."""
        title = f"{self.recipe}, seed {self.seed}, {self.n_records} records a provider: what is still to be bought"
        console.print(make_table(title, [_row(stage) for stage in self.stages], COLUMNS))
        for line in self._lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _lines(self) -> list[str]:
        total = self.totals
        if not total["n_to_buy"]:
            return [f"total: nothing to buy, $0; all {total['n_planned']:,} calls are in the call ledger"]
        bought = f"{total['n_to_buy']:,} of {total['n_planned']:,} calls to buy"
        tokens = f"{amount(total['tokens_in'])} tokens in, {amount(total['tokens_out'])} out"
        expected = f"about {dollars(total['expected_usd'])} and {duration(total['seconds'])}"
        return [
            f"total: {bought}, {tokens}; {expected}, at worst {dollars(total['worst_usd'])}",
            *(str(cap) for cap in self.caps),
            WORST,
            *(f"{', '.join(stages)}: {basis}" for basis, stages in self._bases().items()),
        ]

    def _bases(self) -> dict[str, list[str]]:
        """Return how figures were had, each way with the stages of which it holds."""
        bases: dict[str, list[str]] = {}
        for stage in self.stages:
            if stage.n_to_buy:
                bases.setdefault(stage.basis, []).append(f"{stage.provider} {stage.stage}")
        return bases


def estimate_recipe(request: EstimateRequest) -> Estimate:
    """Return what a run of the recipe would ask and cost, from its own stages and the ledger.

    Raises:
        InputError: the recipe, a provider, the seed or a price is wrong; says which and what to do.
        StorageError: the ledger cannot be read.
    """
    os.chdir(find_project_folder())
    declaration = load_declaration(request.recipe)
    require_seed(request.seed)
    names = list(dict.fromkeys(request.providers))
    rows = [find_provider(declaration.providers, name) for name in names]
    if request.batch and not any(row.batch for row in rows):
        raise InputError(
            f"no batches from {', '.join(names)}", where="--batch", fix="set batch: true in providers.yaml"
        )
    with open_database(missing_ok=True) as database:
        dry = _DryRun(declaration, database, batch=request.batch)
        n_records = dry.run(names, request.seed, request.limit)
        stages = tuple(dry.forecasts())
        plan = CapPlan(request.recipe, declaration.recipe.budget, request.cap, names, request.seed)
        caps = report_caps(plan, stages, read_totals(database, list(plan.scopes())) if database else {})
    return Estimate(request.recipe, request.seed, n_records, stages, caps)


class _DryRun:
    """A chain's stages over completers that buy nothing, one a provider: what partitions share counts once."""

    def __init__(self, declaration: Declaration, database: Database | None, *, batch: bool) -> None:
        grammar = declaration.grammar_file
        self._declaration, self._database, self._batch = declaration, database, batch
        self._ledger = Ledger(database) if database else None
        self._stand_ins = StandIns({declaration.name: load_grammar(grammar)} if grammar.exists() else {})
        self._completers: dict[str, DryCompleter] = {}

    def run(self, names: Sequence[str], seed: int, limit: int | None) -> int:
        """Run the panel once and the other buying stages for each provider; return how many records each plans."""
        kind, panel = self._declaration.kind, self._declaration.recipe.panel.providers
        kind.ontology([self._completer(member) for member in panel], provider=names[0], seed=seed)
        n_records = 0
        for name in names:
            plan = kind.sampling_plan(provider=name, seed=seed, n=limit)
            raw = kind.raw_generations(plan, self._completer(name))
            kind.flawed_variants(raw, plan, self._completer(name))
            n_records = plan.height
        return n_records

    def forecasts(self) -> Iterator[Forecast]:
        """Yield what was counted, as a forecast for each provider and stage."""
        for name, completer in self._completers.items():
            row = self._declaration.providers[name]
            stages = forecast(row, completer.wanted, self._stand_ins.by_role, self._history_of(name))
            yield from (self._by_batch(row, stage) for stage in stages)

    def _by_batch(self, row: Provider, stage: Forecast) -> Forecast:
        if not self._batched(row, stage.stage):
            return stage
        return as_batch(stage, listed=find_batch_price(row, stage.model) is not None)

    def _batched(self, row: Provider, role: Role) -> bool:
        return self._batch and row.batch and role in BATCH_ROLES

    def _price(self, row: Provider, role: Role) -> Price:
        return (batch_price_of if self._batched(row, role) else price_of)(row, row.model_for(role))

    def _history_of(self, provider: str) -> FindHistory:
        def find(recipe: str, role: Role, model: str) -> History | None:
            return read_history(self._database, recipe, role, (provider, model)) if self._database else None

        return find

    def _completer(self, name: str) -> DryCompleter:
        if name not in self._completers:
            row = self._declaration.providers[name]
            self._completers[name] = DryCompleter(row, self._ledger, self._stand_ins, self._price)
        return self._completers[name]


def _row(stage: Forecast) -> Mapping[str, Any]:
    return {
        "provider": stage.provider,
        "stage": stage.stage,
        "planned": stage.n_planned,
        "in ledger": stage.n_held,
        "to buy": stage.n_to_buy,
        "tokens in": stage.tokens_in,
        "tokens out": stage.tokens_out,
        "expected": dollars(stage.expected.usd),
        "worst": dollars(stage.worst.usd),
        "time": duration(stage.seconds),
    }


def _plain(stage: Forecast) -> dict[str, Any]:
    costs = {"expected_usd": stage.expected.usd, "worst_usd": stage.worst.usd, "worst_tokens": stage.worst.tokens}
    return {name: value for name, value in asdict(stage).items() if name not in {"expected", "worst"}} | costs
