"""`synth run`: the chain of a recipe for each provider, then the merge of its seed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console

from synth_pipeline.commands.ledger import read_spending
from synth_pipeline.commands.requirements import require_seed, require_sound_recipes
from synth_pipeline.components.backups import keep_backup
from synth_pipeline.components.budgets import SPENDING_TAG
from synth_pipeline.components.console import ConsoleReporter, make_table
from synth_pipeline.components.costs import COST_COLUMNS, CostReport
from synth_pipeline.components.declaration import Declaration, load_declaration
from synth_pipeline.components.figures import dollars
from synth_pipeline.components.places import find_places, find_project_folder
from synth_pipeline.components.reference import Reference, load_reference
from synth_pipeline.components.runs import Runner, RunReport, project_instance, relative, run_job
from synth_pipeline.components.store import DuckDBStore
from synth_pipeline.components.summary import Funnel, read_funnel, read_scores, stopped_at_budget
from synth_pipeline.components.usages import read_costs
from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.contracts.spending import Cap
from synth_pipeline.definitions import defs as code_location
from synth_pipeline.llm.batches import require_row
from synth_pipeline.llm.providers import find_provider, require_environment

MERGED = "merged"
WRITING = ("raw_generations", "flawed_variants")
BUYING = ("ontology", *WRITING)
FAILED, AT_BUDGET = 1, 3
NO_CAP = Cap()
FUNNEL = ("provider", "planned", "written", "twins", "valid", "rejected", "flagged", "exported", "cost_usd")
SCORE = ("provider", "family", "AUC [95 %]", "n real", "n synth", "floor", "shuffled", "verdict")


@dataclass(frozen=True)
class RecipeReport:
    """What `synth run` did: its runs, the funnel and costs of each provider, the discriminator's figures, the files.

    `stops` says of each partition that reached a cap how far it came; `backup` is the ledger's, or why there is none.
    """

    recipe: str
    seed: int
    reference: str
    runs: tuple[RunReport, ...]
    funnels: tuple[Funnel, ...]
    scores: tuple[Mapping[str, Any], ...]
    costs: CostReport
    stops: tuple[str, ...]
    backup: str | None

    @property
    def success(self) -> bool:
        """Whether every run succeeded."""
        return all(run.success for run in self.runs)

    @property
    def exit_code(self) -> int:
        """0: done; 3: a cap stopped it; 1: a run or a blocking check failed."""
        return AT_BUDGET if self.stops else 0 if self.success else FAILED

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        plain = {name: value for name, value in asdict(self).items() if name not in {"scores", "costs"}}
        own = {"scores": [dict(score) for score in self.scores], "costs": self.costs.as_dict()}
        return {"success": self.success, **plain, **own}

    def show(self, console: Console) -> None:
        """Print the funnel, the figures with their n, where the files are, and what to do next."""
        title = f"{self.recipe}, seed {self.seed}: planned → written → valid → exported; twins are flawed copies"
        console.print(make_table(title, [funnel.as_dict() for funnel in self.funnels], FUNNEL))
        if not self.costs.free:
            title = "What it cost by stage, whenever it was bought; the last column: all by the write role's model"
            console.print(make_table(title, self.costs.rows(), COST_COLUMNS))
        if self.scores:
            title = "Telling synthetic from real: AUC, 0.5 = cannot tell; floor: real from real"
            console.print(make_table(title, [_score_row(score) for score in self.scores], SCORE))
        for line in self._lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _lines(self) -> list[str]:
        merged = [score for score in self.scores if score["provider"] == MERGED]
        verdicts = [
            f"merged, {score['family']}: {score['verdict']}; {score['verdict_reason']}{_needed(score)}"
            for score in merged
        ]
        offline = any(funnel.offline for funnel in self.funnels)
        stand_in = ["These records were written by the offline stand-in, not by an LLM: no figure here is an LLM's."]
        return [
            f"reference: {self.reference}",
            *verdicts,
            *(stand_in if offline else []),
            _bought(self.runs),
            *self.costs.lines(),
            *self.stops,
            *(
                f"{_told(check.severity)} {run.partition} {check.asset}:{check.name}{_weight(check.blocking)}: "
                f"{check.description}"
                for run in self.runs
                for check in run.failed_checks
            ),
            *(f"failed: {run.job} {run.partition}: {error}" for run in self.runs for error in run.errors),
            *(f"files: {relative(folder)}" for run in self.runs for folder in run.folders),
            *(f"verify: synth verify {relative(folder)}" for run in self.runs[-1:] for folder in run.folders),
            *([f"ledger: {self.backup}"] if self.backup else []),
            "look: `make dev` opens the Dagster UI on http://127.0.0.1:3000",
        ]


def _score_row(score: Mapping[str, Any]) -> dict[str, Any]:
    auc = score["auc"]
    return {
        "provider": score["provider"],
        "family": score["family"],
        "AUC [95 %]": None if auc is None else f"{auc:.3f} [{score['low']:.3f}, {score['high']:.3f}]",
        "n real": score["n_real"],
        "n synth": score["n_synthetic"],
        "floor": score["floor_auc"],
        "shuffled": score["shuffled_auc"],
        "verdict": score["verdict"],
    }


def _needed(score: Mapping[str, Any]) -> str:
    return f"; {score['n_needed']} a side would decide" if score["n_needed"] else ""


def _told(severity: str) -> str:
    return "warning:" if severity == "WARN" else "failed check:"


def _weight(blocking: bool) -> str:
    return " (blocking)" if blocking else ""


def _bought(runs: Sequence[RunReport]) -> str:
    bought, held = sum(run.n_calls_bought for run in runs), sum(run.n_calls_from_ledger for run in runs)
    spent = sum(run.spent_now_usd for run in runs)
    if bought == held == 0:
        return "calls: none"
    if bought == 0:
        return f"calls: nothing was bought; all {held} completions were in the call ledger already"
    return f"calls: {bought} completions bought now for {dollars(spent)}, {held} found in the call ledger"


@dataclass(frozen=True)
class RunRequest:
    """What `synth run` was asked to do.

    Args:
        recipe: the recipe's name.
        providers: who writes.
        seed: the partition's seed.
        limit: records to plan; the recipe's number where None.
        reference: another file of real examples, or a YAML file that maps one.
        cap: what all its runs together may spend, beside the recipe's own budget.
        batch: whether records and twins are bought through the providers' batch APIs.
    """

    recipe: str
    providers: Sequence[str]
    seed: int = 0
    limit: int | None = None
    reference: str | None = None
    cap: Cap = NO_CAP
    batch: bool = False


def run_recipe(request: RunRequest, console: Console) -> RecipeReport:
    """Materialize the chain of a recipe for each provider, then its merge; return what came of it.

    Everything that a user can get wrong is refused before the first run: recipe, provider, key, seed, reference.

    Raises:
        InputError: one of them is wrong; says which and what to do.
    """
    recipe, names, seed = request.recipe, list(dict.fromkeys(request.providers)), request.seed
    override = str(Path(request.reference).expanduser().resolve()) if request.reference else None
    os.chdir(find_project_folder())
    declaration = load_declaration(recipe)
    read = _require_input(declaration, request, override)
    require_sound_recipes()
    config = _run_config(request, override)
    spending = {SPENDING_TAG: uuid4().hex}
    with project_instance() as instance:
        runner = Runner(code_location(), instance, ConsoleReporter(console))
        runs = []
        for name in names:
            console.print(f"{recipe}: {name}, seed {seed}", style="bold", markup=False)
            runs.append(run_job(runner, f"{recipe}_chain", f"{name}|{seed}", config["chain"], spending))
        n_out_of_budget = [run.n_out_of_budget for run in runs]
        if any(run.success for run in runs):
            runs.append(run_job(runner, f"{recipe}_merge", str(seed), config["merge"], spending))
    store = DuckDBStore(database=find_places().database)
    funnels = tuple(read_funnel(store, recipe, name, seed) for name in names)
    stops = [stopped_at_budget(n, funnel) for n, funnel in zip(n_out_of_budget, funnels, strict=True)]
    return RecipeReport(
        recipe=recipe,
        seed=seed,
        reference=read.summary(),
        runs=tuple(runs),
        funnels=funnels,
        scores=tuple(_scores(store, recipe, names, seed)),
        costs=read_costs(store, declaration, [(name, seed) for name in names], read_spending()),
        stops=tuple(stop for stop in stops if stop),
        backup=_backed_up(),
    )


def _scores(store: DuckDBStore, recipe: str, names: Sequence[str], seed: int) -> list[dict[str, Any]]:
    scores = [row for name in names for row in read_scores(store, recipe, "discriminator_score", name, seed)]
    return scores + read_scores(store, recipe, "merged_discriminator_score", MERGED, seed)


def _backed_up() -> str | None:
    """Return where the ledger's backup is, or why there is none; a run that is done does not fail for want of one."""
    try:
        backup = keep_backup()
    except StorageError as error:
        return f"no backup was made: {error}"
    return f"backed up to {relative(backup)}" if backup else None


def _require_input(declaration: Declaration, request: RunRequest, override: str | None) -> Reference:
    for name in request.providers:
        row = find_provider(declaration.providers, name)
        require_environment(row)
        if request.batch:
            require_row(row)
    for member in declaration.recipe.panel.providers:
        require_environment(find_provider(declaration.providers, member))
    require_seed(request.seed)
    return load_reference(declaration, override)


def _run_config(request: RunRequest, override: str | None) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each job's configuration, by asset; what is not given is left to the assets."""
    given: dict[str, dict[str, dict[str, Any]]] = {
        "chain": {
            "sampling_plan": {"n_records": request.limit},
            **{asset: request.cap.model_dump() | _way(asset, request) for asset in BUYING},
            **{asset: {"reference": override} for asset in ("validated_set", "discriminator_score")},
        },
        "merge": {"merged_discriminator_score": {"reference": override}},
    }
    return {
        job: {f"{request.recipe}__{asset}": named for asset, fields in assets.items() if (named := _named(fields))}
        for job, assets in given.items()
    }


def _way(asset: str, request: RunRequest) -> dict[str, bool]:
    return {"batch": True} if request.batch and asset in WRITING else {}


def _named(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
