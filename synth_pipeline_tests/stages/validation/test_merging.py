"""The merged set holds every row of every provider; of the same text only the first provider's stays valid."""

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.stages.validation import merge_sets
from synth_pipeline_tests.scenario import RECIPE, item, validated_frame

RULE = "exact_duplicate_across_providers"


def merged(*rows: dict[str, Any]) -> pl.DataFrame:
    """Return the merged set of these rows."""
    return merge_sets(validated_frame(rows), RECIPE)


def by_anna(item_id: str, text: str, **changes: Any) -> dict[str, Any]:
    """Return a row of the provider anna."""
    return item(item_id, text, provider="anna", **changes)


def by_bert(item_id: str, text: str, **changes: Any) -> dict[str, Any]:
    """Return a row of the provider bert."""
    return item(item_id, text, provider="bert", **changes)


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["anna", "bert", "carl"]),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from(["valid", "rejected"]),
    ),
    max_size=10,
)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_no_row_is_dropped_and_each_text_stays_valid_once(told: list[tuple[str, str, str]]) -> None:
    rows = [
        item(f"i{index}", text, provider=provider, state=state) for index, (provider, text, state) in enumerate(told)
    ]
    result = merged(*rows)
    assert sorted(result["item_id"]) == sorted(row["item_id"] for row in rows)
    valid = result.filter(pl.col("state") == "valid")
    assert sorted(valid["text"]) == sorted({text for _, text, state in told if state == "valid"})


@settings(max_examples=20, deadline=None)
@given(ROWS, st.randoms())
def test_the_order_in_which_rows_come_does_not_matter(told: list[tuple[str, str, str]], random: Any) -> None:
    rows = [item(f"i{index}", text, provider=provider) for index, (provider, text, _) in enumerate(told)]
    shuffled = random.sample(rows, len(rows))
    assert merged(*rows).equals(merged(*shuffled))


def test_a_copy_by_a_second_provider_is_rejected_with_its_reason_and_verdict() -> None:
    copy = merged(by_bert("b0", "the same"), by_anna("a0", "the same")).filter(pl.col("item_id") == "b0").to_dicts()[0]
    assert (copy["state"], copy["reasons"]) == ("rejected", [f"{RULE}: the same text as item a0"])
    assert copy["verdicts"][-1] == {"rule": RULE, "verdict": "reject", "reason": f"{RULE}: the same text as item a0"}


def test_the_first_provider_by_name_stays_whichever_record_was_planned_first() -> None:
    rows = merged(by_bert("b0", "the same", planned_id="planned-0"), by_anna("a9", "the same", planned_id="planned-9"))
    assert dict(rows.select("item_id", "state").rows()) == {"a9": "valid", "b0": "rejected"}


def test_what_stays_has_a_verdict_from_the_rule_too() -> None:
    rows = merged(by_anna("a0", "one"), by_bert("b0", "another"))
    assert rows["state"].to_list() == ["valid", "valid"]
    assert [verdicts[-1]["verdict"] for verdicts in rows["verdicts"]] == ["pass", "pass"]


def test_a_rejected_record_takes_no_text_away_from_another() -> None:
    rows = merged(
        by_anna("a0", "the same", state="rejected", reasons=["words_between: too short"]), by_bert("b0", "the same")
    )
    assert dict(rows.select("item_id", "state").rows()) == {"a0": "rejected", "b0": "valid"}
    assert rows.row(0, named=True)["reasons"] == ["words_between: too short"]
    assert len(rows.row(0, named=True)["verdicts"]) == 1


def test_rows_without_a_text_are_no_copies_of_each_other() -> None:
    nothing = {"text": None, "record": None, "checksum": None}
    rows = merged(by_anna("a0", "", state="rejected") | nothing, by_bert("b0", "", state="rejected") | nothing)
    assert [reasons.to_list() for reasons in rows["reasons"]] == [[], []]


def test_rows_stand_by_planned_record_then_provider_then_clean_before_flawed() -> None:
    rows = merged(
        by_bert("b1", "four", planned_id="p1"),
        by_anna("v0", "two", planned_id="p0", record_id="a0", variant_id="v0", flaw="missing_scans"),
        by_bert("b0", "three", planned_id="p0"),
        by_anna("a0", "one", planned_id="p0"),
    )
    assert rows["item_id"].to_list() == ["a0", "v0", "b0", "b1"]


def test_merging_nothing_gives_nothing() -> None:
    assert merged().height == 0
