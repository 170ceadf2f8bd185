from synth_pipeline.components.summary import Funnel, stopped_at_budget

FUNNEL = Funnel("anna", 7, 500, 312, 90, 300, 12, 0, 300, cost_usd=5.0, offline=False)


def test_a_run_that_reached_its_cap_says_how_far_it_came_and_how_to_go_on() -> None:
    assert stopped_at_budget(188, FUNNEL) == (
        "anna, seed 7: stopped at the budget: 312 of 500 records were written, 188 calls were not made; "
        "raise --max-cost-usd (or budget in the recipe) and run again: what was bought is in the ledger"
    )


def test_a_run_that_reached_no_cap_says_nothing_of_it() -> None:
    assert stopped_at_budget(0, FUNNEL) is None
