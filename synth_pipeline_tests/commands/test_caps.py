import pytest

from synth_pipeline.commands.caps import CapPlan, CapReport, report_caps
from synth_pipeline.contracts.providers import Role
from synth_pipeline.contracts.spending import Budget, Cap, Cost
from synth_pipeline.llm.forecast import Forecast

CENT = 10_000_000  # nano-dollars


def stage(provider: str, role: Role, cents: int, worst: int) -> Forecast:
    expected, at_worst = Cost(cents * CENT, cents * 100), Cost(worst * CENT, worst * 100)
    return Forecast(provider, role, "m", n_planned=5, n_held=0, n_to_buy=5, expected=expected, worst=at_worst)


STAGES = (
    stage("carl", "structure", 2, 4),
    stage("anna", "write", 10, 20),
    stage("anna", "flaw", 5, 10),
    stage("bert", "write", 30, 60),
)


def reports(budget: Budget, cap: Cap | None = None, **spent: int) -> dict[str, CapReport]:
    plan = CapPlan("parcels", budget, cap or Cap(), ("anna", "bert"), 7)
    scopes = {"partition": "partition:parcels|anna|7", "recipe": "recipe:parcels"}
    costs = {scopes[name]: Cost(cents * CENT, 0) for name, cents in spent.items()}
    return {report.scope: report for report in report_caps(plan, STAGES, costs)}


def test_without_a_cap_there_is_nothing_to_report() -> None:
    assert reports(Budget()) == {}


@pytest.mark.parametrize(
    ("usd", "verdict"),
    [(1.0, "fits"), (0.94, "fits"), (0.93, "may not fit"), (0.47, "may not fit"), (0.46, "does not fit")],
)
def test_a_run_is_held_against_what_all_providers_and_the_panel_cost(usd: float, verdict: str) -> None:
    assert reports(Budget(), Cap(max_cost_usd=usd))["this run"].verdict == verdict


def test_the_tighter_of_two_caps_on_a_run_holds() -> None:
    tight = reports(Budget(run=Cap(max_cost_usd=0.2)), Cap(max_cost_usd=5))
    assert tight["this run"].max_cost_usd == 0.2


def test_the_first_partition_pays_the_panel_too() -> None:
    found = reports(Budget(partition=Cap(max_cost_usd=1)))
    assert {scope: report.expected.usd for scope, report in found.items()} == {
        "partition parcels|anna|7": pytest.approx(0.17),
        "partition parcels|bert|7": pytest.approx(0.30),
    }


def test_what_was_spent_before_counts_against_recipe_and_partition() -> None:
    found = reports(Budget(recipe=Cap(max_cost_usd=1)), recipe=60)
    assert (found["recipe parcels"].spent.usd, found["recipe parcels"].verdict) == (0.6, "does not fit")


def test_tokens_are_capped_too_and_the_line_says_what_would_happen() -> None:
    report = reports(Budget(), Cap(max_tokens=4000))["this run"]
    assert report.verdict == "does not fit"
    assert str(report) == (
        "cap of this run: 4,000 tokens, 0 spent, 4,700 to come: does not fit; the run would stop at it, and go on from "
        "there under a higher one"
    )
    assert report.as_dict()["expected_tokens"] == 4700


def test_a_cap_of_nothing_fits_where_nothing_is_to_be_bought() -> None:
    plan = CapPlan("parcels", Budget(), Cap(max_cost_usd=0, max_tokens=0), ("anna",), 7)
    held = Forecast("anna", "write", "m", n_planned=5, n_held=5, n_to_buy=0)
    assert [report.verdict for report in report_caps(plan, [held], {})] == ["fits"]
