"""A shop for tests: the real completer buys from an offline voice at a price, into a real ledger."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from synth_pipeline.contracts.protocols import Completer, Tally
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.contracts.spending import Cap, Scope, Spender
from synth_pipeline.kinds.text import TextKind
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.estimating import DryCompleter, StandIns
from synth_pipeline.llm.forecast import FindHistory, Forecast, forecast
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.history import read_history
from synth_pipeline.llm.offline import register_offline_provider
from synth_pipeline.llm.routes import prepare_litellm
from synth_pipeline_tests.scenario import NAME, RECIPE, SEED, TEMPLATES

PRICE = Price(usd_per_mtok_in=2, usd_per_mtok_out=8)
ANNA = Provider(name="anna", family="anna", models={"default": "offline/terse"}, prices={"offline/terse": PRICE})
KIND = TextKind(NAME, RECIPE, TEMPLATES)
SPENDER = Spender("r1", f"anna|{SEED}", NAME, (Scope(f"recipe:{NAME}", Cap()),))


class Silent:
    """A progress that shows nothing."""

    def start(self, label: str, tally: Tally) -> None:
        """Show nothing."""

    def update(self, tally: Tally) -> None:
        """Show nothing."""

    def finish(self, tally: Tally) -> None:
        """Show nothing."""


def anna(**changes: Any) -> Provider:
    """Return the provider, with some fields set otherwise."""
    return Provider.model_validate({**ANNA.model_dump(), **changes})


@dataclass(frozen=True)
class Shop:
    """A ledger, and what may be done with it: buy a plan, or estimate one."""

    database: Database
    kind: TextKind = KIND

    def buy(self, n: int, row: Provider = ANNA) -> float:
        """Return the dollars that running the buying stages of `n` planned records cost now."""
        office = Office(Ledger(self.database), SPENDER, Silent(), _prepare)
        completers = [LedgeredCompleter(ANNA, office), LedgeredCompleter(row, office)]
        self.run(n, *completers)
        return sum(completer.tally.cost_usd for completer in completers)

    def estimate(self, n: int, row: Provider = ANNA) -> dict[str, Forecast]:
        """Return the forecast of each stage."""
        stand_ins, ledger = StandIns({}), Ledger(self.database)
        completers = {one.name: DryCompleter(one, ledger, stand_ins) for one in (ANNA, row)}
        self.run(n, completers[ANNA.name], completers[row.name])

        def find(name: str) -> FindHistory:
            return lambda recipe, role, model: read_history(self.database, recipe, role, (name, model))

        rows = {one.name: one for one in (ANNA, row)}
        return {
            one.stage: one
            for name, completer in completers.items()
            for one in forecast(rows[name], completer.wanted, stand_ins.by_role, find(name))
        }

    def run(self, n: int, panel: Completer, writer: Completer) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return what the buying stages give for `n` planned records, the panel being one member."""
        self.kind.ontology([panel], provider=writer.provider, seed=SEED)
        plan = self.kind.sampling_plan(provider=writer.provider, seed=SEED, n=n)
        raw = self.kind.raw_generations(plan, writer)
        return raw, self.kind.flawed_variants(raw, plan, writer)


@contextmanager
def open_shop(folder: Path) -> Iterator[Shop]:
    """Yield a shop with a new ledger."""
    with closing(Database.open(f"sqlite:///{folder / 'ledger.sqlite'}")) as database:
        yield Shop(database)


def _prepare() -> None:
    prepare_litellm()
    register_offline_provider({})
