"""Nothing is dropped: every record and variant ends valid, rejected or flagged, with a verdict from every rule."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.tables import FLAWED_VARIANTS, RAW_GENERATIONS, REFERENCE
from synth_pipeline.stages.validation import validate
from synth_pipeline_tests.scenario import (
    NOTES,
    RECIPE,
    plan_frame,
    raw_frame,
    raw_row,
    recipe_with,
    record_of,
    reference_frame,
    variant_frame,
    variant_row,
)

RULES = (
    *("schema", "plausible_weight_g", "ordered_sent_on_came_on", "weight_g_in_text", "as_planned"),
    *("states_quantity", "words_between", "exact_duplicate"),
)
ANYTHING = st.fixed_dictionaries(
    {
        "note": st.sampled_from(list(NOTES.values())) | st.text(min_size=1, max_size=30),
        "city": st.sampled_from(["Bern", "Lyon", "Rome"]),
        "weight_g": st.integers(1, 10**9),
        "came_on": st.integers(-400, 400),
        "sent_on": st.integers(-400, 400),
        "price": st.floats(0, 1e6),
    }
)


def validated(
    raw: pl.DataFrame | None = None,
    variants: pl.DataFrame | None = None,
    *,
    recipe: Recipe = RECIPE,
    reference: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return the validated set of the scenario, or of what is given in its place."""
    return validate(
        raw_frame() if raw is None else raw,
        FLAWED_VARIANTS.empty() if variants is None else variants,
        plan_frame(),
        recipe,
        reference_frame() if reference is None else reference,
    )


def of_first(**changes: Any) -> dict[str, Any]:
    """Return the row of the first record, with some of its fields changed."""
    rows = [raw_row(0, record_of("p0", **changes)), *(raw_row(index, None, state="failed") for index in (1, 2, 3))]
    return validated(RAW_GENERATIONS.frame(rows)).row(0, named=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | ANYTHING, min_size=4, max_size=4), st.lists(ANYTHING, min_size=2, max_size=2))
def test_valid_rejected_and_flagged_together_are_the_input(
    records: list[dict[str, Any] | None], damaged: list[dict[str, Any]]
) -> None:
    raw = RAW_GENERATIONS.frame(
        [raw_row(i, record, state="ok" if record else "refused") for i, record in enumerate(records)]
    )
    variants = FLAWED_VARIANTS.frame([variant_row(i, record) for i, record in zip((0, 2), damaged, strict=True)])
    judged = validated(raw, variants)
    assert sorted(judged["item_id"]) == ["v0", "v2", "w0", "w1", "w2", "w3"]
    assert set(judged["state"]) <= {"valid", "rejected", "flagged"}
    for row in judged.to_dicts():
        said = {verdict["rule"]: verdict["verdict"] for verdict in row["verdicts"]}
        assert tuple(said) == RULES
        expected = "rejected" if "reject" in said.values() else "flagged" if "flag" in said.values() else "valid"
        assert row["state"] == expected
        assert len(row["reasons"]) == sum(verdict in ("reject", "flag") for verdict in said.values())
        assert (row["state"] == "valid") == (row["reasons"] == [])


def test_the_scenario_is_valid_but_for_its_refusal() -> None:
    judged = validated(variants=variant_frame())
    assert judged.select("item_id", "state").rows() == [
        ("w0", "valid"),
        ("v0", "valid"),
        ("w1", "valid"),
        ("w2", "valid"),
        ("v2", "valid"),
        ("w3", "rejected"),
    ]


def test_rows_stand_in_the_plans_order_clean_before_flawed_whatever_the_order_they_come_in() -> None:
    mixed = validated(raw_frame().reverse(), variant_frame().reverse())
    assert mixed.equals(validated(variants=variant_frame()))


def test_an_answer_that_is_no_record_is_rejected_with_its_state_and_reason() -> None:
    refused = validated().row(3, named=True)
    assert (refused["state"], refused["reasons"]) == ("rejected", ["schema: refused: I cannot write that"])
    said = {verdict["rule"]: verdict["verdict"] for verdict in refused["verdicts"]}
    assert said == {"schema": "reject"} | dict.fromkeys(RULES[1:], "not_applicable")


def test_an_answer_without_a_reason_is_rejected_all_the_same() -> None:
    assert validated(RAW_GENERATIONS.frame([raw_row(0, None, state="failed")]))["reasons"].to_list() == [
        ["schema: failed: no reason given"]
    ]


@pytest.mark.parametrize(
    ("changes", "state", "reasons"),
    [
        ({}, "valid", []),
        ({"sent_on": 121}, "rejected", ["ordered_sent_on_came_on: sent_on, came_on are 121, 120: not in this order"]),
        ({"city": "Rome"}, "rejected", ["as_planned: city is Rome, planned Bern"]),
        (
            {"weight_g": 9999},
            "rejected",
            [
                "plausible_weight_g: weight_g 9999 lies outside 50.0 to 9000.0, plausible for late",
                "weight_g_in_text: the text does not state weight_g 9999",
                "as_planned: weight_g is 9999, planned 1200",
            ],
        ),
        (
            {"note": "My parcel of 1200 g was scanned 9 times."},
            "rejected",
            ["states_quantity: the text does not state scans 8"],
        ),
        ({"note": "A parcel of 1200 g: 8 scans."}, "flagged", ["words_between: the text has 7 words, not 8 to 400"]),
        (
            {"note": "Too short, and no number."},
            "rejected",
            [
                "weight_g_in_text: the text does not state weight_g 1200",
                "states_quantity: the text does not state scans 8",
                "words_between: the text has 5 words, not 8 to 400",
            ],
        ),
    ],
)
def test_each_rule_decides_as_its_recipe_says(changes: dict[str, Any], state: str, reasons: list[str]) -> None:
    row = of_first(**changes)
    assert (row["state"], row["reasons"]) == (state, reasons)


def test_a_variant_states_its_sick_value_and_a_record_its_healthy_one() -> None:
    judged = validated(variants=FLAWED_VARIANTS.frame([variant_row(0, record_of("p0"))]))
    assert judged.filter(pl.col("item_id") == "v0")["reasons"].to_list() == [
        ["states_quantity: the text does not state scans 3", "exact_duplicate: the same text as item w0"]
    ]


def test_a_variant_without_proof_is_rejected() -> None:
    row = variant_row(0, record_of("p0", note=NOTES["p0"].replace("8", "3")), proof="2 sentences differ")
    judged = validated(variants=FLAWED_VARIANTS.frame([row]))
    assert judged.filter(pl.col("item_id") == "v0")["reasons"].to_list() == [
        ["states_quantity: the planned damage is not proven: 2 sentences differ"]
    ]


def test_labels_flaws_and_axes_come_from_the_plan() -> None:
    judged = validated(variants=variant_frame())
    told = judged.select("item_id", "record_id", "variant_id", "label", "flaw", "severity", "topic", "city", "tone")
    assert told.row(1) == ("v0", "w0", "v0", "late", "missing_scans", "low", "late", "Bern", "calm")
    assert told.row(2) == ("w1", "w1", None, "lost", None, None, "lost", "Lyon", "cross")


def test_a_copy_of_a_real_example_is_rejected() -> None:
    copied = reference_frame([("r9", "late", None, NOTES["p1"])])
    judged = validated(reference=copied)
    assert judged.filter(pl.col("item_id") == "w1")["reasons"].to_list() == [
        ["exact_duplicate: the same text as reference example r9"]
    ]


@pytest.mark.parametrize("copy", [NOTES["p0"].upper(), f"  {NOTES['p0']}\n", NOTES["p0"].replace(" ", "\n ")])
def test_case_and_white_space_do_not_hide_a_copy(copy: str) -> None:
    rows = [raw_row(0, record_of("p0")), raw_row(3, record_of("p3", note=copy, weight_g=1200))]
    last = validated(RAW_GENERATIONS.frame(rows)).row(1, named=True)
    assert "exact_duplicate: the same text as item w0" in last["reasons"]


def test_the_first_of_several_copies_stays() -> None:
    rows = [raw_row(index, record_of(f"p{index}", note=NOTES["p0"])) for index in range(3)]
    judged = validated(RAW_GENERATIONS.frame(rows))
    copies = [[one for one in reasons if "same text" in one] for reasons in judged["reasons"]]
    assert copies == [[], *[["exact_duplicate: the same text as item w0"]] * 2]


def test_refused_records_are_no_copies_of_each_other() -> None:
    rows = [raw_row(index, None, state="refused") for index in range(2)]
    judged = validated(RAW_GENERATIONS.frame(rows))
    assert all(len(reasons) == 1 for reasons in judged["reasons"])


def test_no_reference_and_no_rules_leave_the_schema_alone_to_judge() -> None:
    judged = validated(recipe=recipe_with(rules=[]), reference=REFERENCE.empty())
    assert judged["state"].to_list() == ["valid", "valid", "valid", "rejected"]
    assert [len(verdicts) for verdicts in judged["verdicts"]] == [1, 1, 1, 1]


def test_nothing_generated_is_an_empty_set() -> None:
    judged = validated(RAW_GENERATIONS.empty())
    assert judged.height == 0
    assert judged.columns[-3:] == ["topic", "city", "tone"]


def test_an_axis_may_be_called_as_this_stage_calls_its_own_columns() -> None:
    names = ("schema", "proof", "folded", "example", "earlier", "same_as", "stated_value", "call_state")
    axis = {"source": "chosen", "values": {"yes": 1}}
    recipe = recipe_with(**{f"axes__{name}": axis for name in names})
    plan = plan_frame().with_columns(pl.lit("yes").alias(name) for name in names)
    judged = validate(raw_frame(), variant_frame(), plan, recipe, reference_frame())
    assert judged["state"].to_list() == ["valid"] * 5 + ["rejected"]
    assert judged.select(names).unique().rows() == [("yes",) * len(names)]


def test_every_type_of_field_can_be_validated() -> None:
    fields = {
        "insured": {"type": "boolean", "description": "Whether it is insured"},
        "stamps": {"type": "string_list", "description": "Its stamps"},
    }
    recipe = recipe_with(**{f"record__fields__{name}": field for name, field in fields.items()})
    record = record_of("p0", insured=True, stamps=["blue", "red"])
    judged = validated(RAW_GENERATIONS.frame([raw_row(0, record)]), recipe=recipe)
    assert judged["state"].to_list() == ["valid"]
