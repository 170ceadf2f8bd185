import pytest

from synth_pipeline.components.costs import COST_COLUMNS, CostReport, Made, Usage, WriteModel, costs_by_stage
from synth_pipeline.contracts.providers import Price

# Large costs 2 and 8 dollars per million tokens in and out; small costs 0.2 and 0.8.
LARGE = WriteModel("anna/large", Price(usd_per_mtok_in=2, usd_per_mtok_out=8))
ASKED = Usage("structure", "anna", None, n_calls=10, tokens_in=50_000, tokens_out=25_000, cost_usd=0.03)
WRITTEN = Usage("write", "anna", "anna/large", n_calls=110, tokens_in=500_000, tokens_out=250_000, cost_usd=3.0)
DAMAGED = Usage("flaw", "anna", "anna/small", n_calls=40, tokens_in=200_000, tokens_out=100_000, cost_usd=0.12)
MADE = {"write": Made(n_written=100, n_valid=75), "flaw": Made(n_written=40, n_valid=30)}


def report() -> CostReport:
    """Return what a hundred records and forty twins cost."""
    return costs_by_stage([ASKED, WRITTEN, DAMAGED], MADE, {"anna": LARGE})


def test_each_stage_says_what_one_written_and_one_valid_record_of_it_cost() -> None:
    structure, write, flaw = report().stages
    assert (write.cost_usd, write.per_written_usd, write.per_valid_usd) == (3.0, 0.03, 0.04)
    assert (flaw.cost_usd, flaw.per_written_usd, flaw.per_valid_usd) == pytest.approx((0.12, 0.003, 0.004))
    assert (structure.n_written, structure.n_valid) == (140, 105)  # it writes none: held against all


def test_the_whole_is_the_sum_and_its_cost_is_that_of_a_valid_record_or_twin() -> None:
    whole = report().whole
    assert (whole.n_calls, whole.tokens_in, whole.tokens_out) == (160, 750_000, 375_000)
    assert whole.cost_usd == pytest.approx(3.15)
    assert whole.per_valid_usd == pytest.approx(0.03)


def test_the_same_tokens_are_priced_with_the_write_model_throughout() -> None:
    structure, write, flaw = report().stages
    assert structure.write_model_usd == pytest.approx(0.3)  # 0.05 × 2 + 0.025 × 8
    assert write.write_model_usd == 3.0  # what was paid, which a later price does not change
    assert flaw.write_model_usd == pytest.approx(1.2)  # 0.2 × 2 + 0.1 × 8
    assert report().whole.write_model_usd == pytest.approx(4.5)
    assert report().saved_share == pytest.approx(0.3)


def test_two_providers_are_each_held_against_their_own_write_model() -> None:
    dear = WriteModel("bert/huge", Price(usd_per_mtok_in=10, usd_per_mtok_out=40))
    bert = Usage("flaw", "bert", "bert/small", n_calls=1, tokens_in=200_000, tokens_out=100_000, cost_usd=0.5)
    whole = costs_by_stage([DAMAGED, bert], {}, {"anna": LARGE, "bert": dear}).whole
    assert whole.write_model_usd == pytest.approx(1.2 + 6.0)


def test_the_words_name_the_cost_of_a_valid_record_the_panel_and_the_share_saved() -> None:
    assert report().lines() == [
        "costs: $3.15, $0.0300 for each of 105 valid records and twins",
        "of that $0.0300 for the panel, which is asked once for all partitions of the recipe",
        "with the write role's model throughout: $4.50; choosing a model by role has saved 30%",
    ]


def test_a_dearer_model_for_a_lesser_role_is_said_to_cost_more() -> None:
    foolish = Usage("flaw", "anna", "anna/huge", n_calls=1, tokens_in=500_000, tokens_out=0, cost_usd=1.5)
    assert costs_by_stage([foolish], {}, {"anna": LARGE}).lines() == [
        "costs: $1.50",
        "with the write role's model throughout: $1.00; choosing a model by role has cost 50% more",
    ]


def test_providers_without_a_price_are_said_to_be_free() -> None:
    nothing = WriteModel("offline/terse", Price(usd_per_mtok_in=0, usd_per_mtok_out=0))
    bought = Usage("write", "terse", "offline/terse", n_calls=9, tokens_in=900, tokens_out=90, cost_usd=0.0)
    free = costs_by_stage([bought], {"write": Made(9, 8)}, {"terse": nothing})
    assert free.free
    assert free.saved_share is None
    assert free.lines() == ["costs: free; these providers cost nothing"]


def test_where_a_price_is_not_known_the_comparison_is_left_out() -> None:
    whole = costs_by_stage([WRITTEN, DAMAGED], MADE, {}).whole
    assert whole.write_model_usd is None
    assert costs_by_stage([WRITTEN, DAMAGED], MADE, {}).lines() == [
        "costs: $3.12, $0.0297 for each of 105 valid records and twins"
    ]


def test_nothing_valid_has_no_cost_of_its_own() -> None:
    unjudged = costs_by_stage([WRITTEN], {"write": Made(100, 0)}, {"anna": LARGE})
    assert unjudged.whole.per_valid_usd is None
    assert unjudged.lines()[0] == "costs: $3.00"


def test_nothing_bought_is_no_table_and_no_line() -> None:
    nothing = costs_by_stage([], {}, {})
    assert (nothing.rows(), nothing.lines()) == ([], [])


def test_a_stage_to_come_stands_behind_those_that_there_are() -> None:
    judged = Usage("judge", "anna", "anna/small", n_calls=1, tokens_in=10, tokens_out=10, cost_usd=0.1)
    stages = costs_by_stage([judged, DAMAGED, WRITTEN], MADE, {"anna": LARGE}).stages
    assert [(cost.stage, cost.n_valid) for cost in stages] == [("write", 75), ("flaw", 30), ("judge", 105)]


def test_a_table_has_a_row_a_stage_and_one_for_all() -> None:
    rows = report().rows()
    assert [row["stage"] for row in rows] == ["structure", "write", "flaw", "all"]
    assert all(set(COST_COLUMNS) <= row.keys() for row in rows)
    assert report().as_dict()["stages"]["write"]["per_valid_usd"] == 0.04
