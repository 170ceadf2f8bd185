"""Changes to a ledger, written by hand: calls k0, k1 … of the recipe parcels, bought by Ann and Bob."""

from typing import Any

from synth_pipeline.contracts.spending import Cap, Cost, Scope
from synth_pipeline.llm.ledger import Admit, Fail, FailedTry, Keep
from synth_pipeline_tests.llm.entries import entry

ANN, BOB = "ann", "bob"
RUN, PARTITION, RECIPE = "run:r0", "partition:parcels|anna|0", "recipe:parcels"
WORST, COST = Cost(1_000, 100), Cost(600, 60)
NOTHING = Cost(0, 0)
SCHEMA = '{"type":"object"}'


def scopes(run: Cap | None = None, recipe: Cap | None = None) -> tuple[Scope, ...]:
    """The three scopes of a purchase; the run and the recipe may be capped."""
    return Scope(RUN, run or Cap()), Scope(PARTITION, Cap()), Scope(RECIPE, recipe or Cap())


FREE = scopes()


def admit(key: str = "k0", holder: str = ANN, under: tuple[Scope, ...] = FREE, worst: Cost = WORST) -> Admit:
    return Admit(key, holder, under, worst)


def keep(key: str = "k0", holder: str = ANN, under: tuple[Scope, ...] = FREE, cost: Cost = COST, **fields: Any) -> Keep:
    return Keep(entry(call_key=key, **fields), under, cost, SCHEMA, holder)


def failed(key: str = "k0", holder: str = ANN, at_risk: Cost = NOTHING, *, release: bool = True) -> Fail:
    row = FailedTry(key, holder, "transient_error", "the server is busy", "2030-01-01T00:00:00.000+00:00")
    return Fail(row, FREE, at_risk, release)
