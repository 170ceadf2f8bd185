"""A recipe refuses what contradicts itself when it loads, in words that name the field and what to do."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.space import Axis
from synth_pipeline_tests.scenario import RECIPE, recipe_with

FLAW = {
    "quantity": "scans",
    "applies_to": ["late"],
    "domain": "tracking",
    "source": "chosen",
    "instruction": "Let it be scanned too rarely.",
    "sick": {"low": [2, 3]},
}
EXPECTATION = {"name": "known_cities", "expectation": "ExpectColumnValuesToNotBeNull", "arguments": {"column": "city"}}


def fault_of(**changes: Any) -> tuple[str, str]:
    """Return where the recipe with `changes` is at fault, and what is said about it."""
    with pytest.raises(ValidationError) as caught:
        recipe_with(**changes)
    fault = caught.value.errors()[0]
    return ".".join(str(step) for step in fault["loc"]), fault["msg"].removeprefix("Value error, ")


def refusal(**changes: Any) -> str:
    """Return what is said about a recipe whose parts contradict each other."""
    place, message = fault_of(**changes)
    assert place == ""
    return message


# ------------------------------------------------------------------------------------------ axes


def test_the_recipe_of_the_tests_is_sound() -> None:
    assert RECIPE.labels == ("late", "lost", "broken")
    assert RECIPE.attribute_names == ("topic_name", "urgent")
    assert RECIPE.planned_names == (
        *("topic", "city", "tone", "topic_name", "urgent", "weight_g", "came_on", "days", "sent_on", "price"),
        *("quantity", "quantity_label", "healthy_value"),
    )


def test_a_share_below_nought_is_refused() -> None:
    assert fault_of(axes__tone__values={"calm": 1.5, "cross": -0.5}) == (
        "axes.tone.values.cross.share",
        "Input should be greater than or equal to 0",
    )


def test_shares_that_do_not_sum_to_one_are_refused_with_their_sum() -> None:
    assert fault_of(axes__tone__values={"calm": 0.6, "cross": 0.3}) == (
        "axes.tone",
        "shares sum to 0.9, not 1; change them so that they sum to 1",
    )


@settings(deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_shares_of_any_whole_sum_to_one_whatever_the_rounding(parts: list[int]) -> None:
    values = {f"v{index}": part / sum(parts) for index, part in enumerate(parts)}
    assert Axis.model_validate({"source": "chosen", "values": values}).values.keys() == values.keys()


def test_an_axis_without_a_source_is_refused() -> None:
    assert fault_of(axes__city__source=None) == ("axes.city.source", "Field required")


def test_an_attribute_that_only_some_values_carry_is_refused() -> None:
    assert fault_of(axes__tone__values={"calm": {"share": 0.6, "attributes": {"loud": False}}, "cross": 0.4}) == (
        "axes.tone",
        "its values do not all have the same attributes; give every value each attribute",
    )


def test_an_attribute_of_two_types_is_refused() -> None:
    values = {
        "calm": {"share": 0.6, "attributes": {"volume": 3}},
        "cross": {"share": 0.4, "attributes": {"volume": "loud"}},
    }
    assert fault_of(axes__tone__values=values) == (
        "axes.tone",
        "attribute 'volume' is a number and text; give all its values one type",
    )


def test_a_label_that_is_no_axis_is_refused() -> None:
    assert refusal(label="colour") == ("label 'colour' is not declared; declared are ['city', 'tone', 'topic']")


def test_a_name_used_twice_is_refused() -> None:
    number = {"range": [1, 2]}
    assert refusal(numbers__urgent=number).startswith("['urgent'] are used twice among axes, numbers, attributes")


@pytest.mark.parametrize("name", ["planned_id", "text", "state", "offline", "given", "record_id"])
def test_a_name_that_a_table_or_a_template_needs_is_refused(name: str) -> None:
    taken = {"source": "chosen", "values": {"a": 1}}
    assert refusal(**{f"axes__{name}": taken}).startswith(f"['{name}'] are used twice")


def test_an_unknown_field_is_refused() -> None:
    assert fault_of(colours=["red"]) == ("colours", "Extra inputs are not permitted")


def test_a_name_that_no_column_can_bear_is_refused() -> None:
    place, message = fault_of(**{"axes__The City": {"source": "chosen", "values": {"a": 1}}})
    assert (place, message) == ("axes.The City.[key]", "String should match pattern '^[a-z][a-z0-9_]*$'")


def test_a_constraint_on_an_unknown_axis_or_value_is_refused() -> None:
    forbid = {"topic": ["lost"], "colour": ["red"]}
    assert refusal(constraints=[{"forbid": forbid, "because": "chosen"}]) == (
        "constraints.0.forbid: axis 'colour' is not declared; declared are ['city', 'tone', 'topic']"
    )
    forbid = {"topic": ["stolen"], "tone": ["calm"]}
    assert refusal(constraints=[{"forbid": forbid, "because": "chosen"}]) == (
        "constraints.0.forbid: value of 'topic' 'stolen' is not declared; declared are ['broken', 'late', 'lost']"
    )


def test_a_constraint_on_one_axis_is_refused() -> None:
    place, message = fault_of(constraints=[{"forbid": {"topic": ["lost"]}, "because": "chosen"}])
    assert place == "constraints.0.forbid"
    assert "at least 2 items" in message


# ------------------------------------------------------------------------------------------ numbers


def test_a_number_without_a_form_is_refused() -> None:
    assert fault_of(numbers__price={"decimals": 2}) == (
        "numbers.price",
        "gives none of range, quantiles and difference; give exactly one",
    )


def test_a_number_with_two_forms_is_refused() -> None:
    assert fault_of(numbers__price={"range": [1, 2], "quantiles": [1, 2, 3]}) == (
        "numbers.price",
        "gives ['range', 'quantiles'] of range, quantiles and difference; give exactly one",
    )


@pytest.mark.parametrize("number", [{"by": "tone", "range": [1, 2]}, {"range": {"calm": [1, 2], "cross": [1, 2]}}])
def test_a_mapping_and_its_axis_go_together(number: dict[str, Any]) -> None:
    assert fault_of(numbers__price=number) == (
        "numbers.price",
        "'by' goes with a mapping for each value of that axis, and only with one",
    )


def test_a_falling_range_is_refused() -> None:
    assert fault_of(numbers__price={"range": [2, 1]}) == ("numbers.price", "range [2.0, 1.0] of '' is not ascending")


def test_quantiles_at_nought_are_refused() -> None:
    assert fault_of(numbers__price={"quantiles": [0, 1, 2]}) == (
        "numbers.price",
        "quantiles [0.0, 1.0, 2.0] of '' must be above 0; they are drawn on a log scale",
    )


def test_a_range_without_a_number_of_its_decimals_is_refused() -> None:
    assert fault_of(numbers__price={"range": [0.2, 0.7]}) == (
        "numbers.price",
        "range [0.2, 0.7] of '' holds no number with 0 decimals",
    )


def test_a_number_by_an_unknown_axis_is_refused() -> None:
    assert refusal(numbers__price={"by": "colour", "range": {"red": [1, 2]}}) == (
        "numbers.price.by: axis 'colour' is not declared; declared are ['city', 'tone', 'topic']"
    )


def test_a_number_that_leaves_a_value_out_is_refused() -> None:
    assert refusal(numbers__price={"by": "tone", "range": {"calm": [1, 2]}}) == (
        "numbers.price.by: value 'cross' of 'tone' has no entry; add one"
    )


def test_a_number_for_an_unknown_value_is_refused() -> None:
    mapping = {"calm": [1, 2], "cross": [1, 2], "loud": [1, 2]}
    assert refusal(numbers__price={"by": "tone", "range": mapping}) == (
        "numbers.price.by: value of 'tone' 'loud' is not declared; declared are ['calm', 'cross']"
    )


def test_a_difference_from_a_later_number_is_refused() -> None:
    assert refusal(numbers__came_on={"difference": ["sent_on", "days"]}).startswith(
        "numbers.came_on.difference: number 'sent_on' is not declared"
    )


def test_a_floor_on_an_unknown_value_is_refused() -> None:
    assert refusal(numbers__came_on__at_least={"city": {"Rome": 150}}) == (
        "numbers.came_on.at_least: value of 'city' 'Rome' is not declared; declared are ['Bern', 'Lyon', 'Turin']"
    )


def test_a_floor_above_the_range_is_refused() -> None:
    assert refusal(numbers__came_on__at_least={"city": {"Turin": 201}}) == (
        "numbers.came_on.at_least.city: 201 for 'Turin' lies above 200, the most that the number can be; "
        "lower it, or forbid the two together"
    )


def test_a_floor_above_the_range_of_a_value_that_it_can_meet_is_refused() -> None:
    assert refusal(numbers__days__at_least={"topic": {"broken": 6}}) == (
        "numbers.days.at_least.topic: 6 for 'broken' lies above 5, the most that the number can be for 'calm'; "
        "lower it, or forbid the two together"
    )


def test_a_floor_above_the_range_of_a_value_that_it_never_meets_is_fine() -> None:
    assert recipe_with(numbers__days__at_least={"topic": {"lost": 6}}).numbers["days"].at_least


# ------------------------------------------------------------------------------------------ flaws


def test_flaws_without_what_they_refer_to_are_refused() -> None:
    assert refusal(flaws_by=None) == ("quantities and flaws need 'flaws_by', the axis or attribute that they refer to")


def test_flaws_by_what_is_neither_axis_nor_attribute_are_refused() -> None:
    assert refusal(flaws_by="colour") == "flaws_by 'colour' is neither an axis nor an attribute"


def test_a_quantity_that_an_unknown_topic_states_is_refused() -> None:
    assert refusal(quantities__scans__reported_by=["late", "lost", "stolen"]) == (
        "quantities.scans.reported_by: value of 'topic' 'stolen' is not declared; "
        "declared are ['broken', 'late', 'lost']"
    )


def test_a_flaw_in_an_unknown_quantity_is_refused() -> None:
    assert refusal(flaws__missing_scans=FLAW | {"quantity": "stamps"}) == (
        "flaws.missing_scans.quantity 'stamps' is not declared; declared are ['padding_cm', 'scans']"
    )


def test_a_flaw_on_a_topic_whose_texts_do_not_state_its_quantity_is_refused() -> None:
    assert refusal(flaws__missing_scans=FLAW | {"applies_to": ["late", "broken"]}) == (
        "flaws.missing_scans.applies_to: it cannot damage 'broken', whose texts do not state 'scans' "
        "(stated by ['late', 'lost']); take it out, or add it to quantities.scans.reported_by"
    )


@pytest.mark.parametrize("sick", [[3, 6], [6, 7], [12, 20], [0, 99], [8, 9]])
def test_a_sick_range_that_overlaps_the_healthy_one_is_refused(sick: list[int]) -> None:
    assert refusal(flaws__missing_scans=FLAW | {"sick": {"low": sick}}) == (
        f"flaws.missing_scans.sick.low: range {[float(one) for one in sick]} overlaps the healthy range [6.0, 12.0] of "
        "'scans'; a sick value must lie outside it"
    )


@pytest.mark.parametrize("sick", [[0, 5], [13, 20]])
def test_a_sick_range_on_either_side_of_the_healthy_one_is_fine(sick: list[int]) -> None:
    assert recipe_with(flaws__missing_scans=FLAW | {"sick": {"high": sick}}).flaws["missing_scans"].sick["high"] == (
        sick[0],
        sick[1],
    )


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("quantities__scans__healthy", "quantities.scans.healthy"),
        ("flaws__missing_scans__sick__low", "flaws.missing_scans.sick.low"),
    ],
)
def test_a_falling_healthy_or_sick_range_is_refused(path: str, place: str) -> None:
    assert fault_of(**{path: [3, 2]}) == (
        place,
        "range [3.0, 2.0] is not ascending; write the smaller number first",
    )


def test_a_healthy_range_without_a_number_of_its_decimals_is_refused() -> None:
    assert fault_of(quantities__scans__healthy=[6.2, 6.8]) == (
        "quantities.scans",
        "healthy [6.2, 6.8] holds no number with 0 decimals; widen it",
    )


def test_a_sick_range_without_a_number_of_its_quantitys_decimals_is_refused() -> None:
    assert refusal(flaws__missing_scans__sick={"low": [2.2, 2.8]}) == (
        "flaws.missing_scans.sick.low: range [2.2, 2.8] holds no number with 0 decimals, as 'scans' has; widen it"
    )


def test_the_tags_of_a_cell_are_its_value_or_its_attributes_values() -> None:
    assert RECIPE.tags_of({"topic": "lost", "city": "Bern"}) == ["lost"]
    wider = recipe_with(
        axes__tone__values={
            "calm": {"share": 0.6, "attributes": {"moods": ["late", "lost", "broken"]}},
            "cross": {"share": 0.4, "attributes": {"moods": ["late"]}},
        },
        flaws_by="moods",
    )
    assert wider.tags_of({"tone": "cross"}) == ["late"]
    assert recipe_with(flaws_by=None, flaws=None, quantities=None).tags_of({"topic": "lost"}) == []


# ------------------------------------------------------------------------------------------ rules


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (
            {"rule": "number_in_text", "field": "colour"},
            (
                "rules.0: record field 'colour' is not declared; "
                "declared are ['came_on', 'city', 'note', 'price', 'sent_on', 'weight_g']"
            ),
        ),
        (
            {"rule": "number_in_text", "field": "city"},
            "rules.0: record field 'city' is string; the rule reads integer or number",
        ),
        (
            {"rule": "ordered", "order": ["sent_on", "note"]},
            "rules.0: record field 'note' is string; the rule reads integer or number",
        ),
        (
            {"rule": "plausible_range", "field": "weight_g", "by": "tone", "ranges": {"calm": [1, 2]}},
            "rules.0.ranges: value 'cross' of 'tone' has no entry; add one",
        ),
        (
            {"rule": "plausible_range", "field": "weight_g", "by": "colour", "ranges": {}},
            "rules.0.ranges: axis 'colour' is not declared; declared are ['city', 'tone', 'topic']",
        ),
        (
            {"rule": "as_planned", "planned": ["note"]},
            (
                "rules.0: planned name 'note' is not declared; declared are ['came_on', 'city', 'days', 'price', "
                "'sent_on', 'tone', 'topic', 'topic_name', 'urgent', 'weight_g']"
            ),
        ),
        (
            {"rule": "as_planned", "planned": ["tone"]},
            (
                "rules.0: record field 'tone' is not declared; "
                "declared are ['came_on', 'city', 'note', 'price', 'sent_on', 'weight_g']"
            ),
        ),
    ],
)
def test_a_rule_that_reads_what_is_not_there_is_refused(rule: dict[str, Any], fault: str) -> None:
    assert refusal(rules=[rule]) == fault


def test_a_planned_number_in_a_text_field_is_refused() -> None:
    field = {"type": "string", "description": "Its weight in grams"}
    assert refusal(record__fields__weight_g=field, rules=[{"rule": "as_planned", "planned": ["weight_g"]}]) == (
        "rules.0: record field 'weight_g' is string, but what is planned is integer; make the field's type equal"
    )


def test_a_planned_whole_number_in_a_number_field_is_fine() -> None:
    field = {"type": "number", "description": "Its weight in grams"}
    assert recipe_with(record__fields__weight_g=field).record.fields["weight_g"].type == "number"


def test_a_rule_declared_twice_is_refused() -> None:
    assert refusal(rules=[{"rule": "exact_duplicate"}, {"rule": "exact_duplicate"}]) == (
        "rules: 'exact_duplicate' is declared twice; keep one"
    )


def test_an_unknown_rule_is_refused_with_those_there_are() -> None:
    place, message = fault_of(rules=[{"rule": "well_written"}])
    assert place == "rules.0"
    assert "'plausible_range', 'ordered', 'number_in_text', 'as_planned', 'states_quantity'" in message


def test_a_falling_plausible_range_is_refused() -> None:
    rule = {"rule": "plausible_range", "field": "weight_g", "by": "tone", "ranges": {"calm": [2, 1], "cross": [1, 2]}}
    assert fault_of(rules=[rule]) == (
        "rules.0.plausible_range.ranges.calm",
        "range [2.0, 1.0] is not ascending; write the smaller number first",
    )


def test_fewest_words_above_most_words_are_refused() -> None:
    assert fault_of(rules=[{"rule": "words_between", "least": 9, "most": 8}]) == (
        "rules.0.words_between",
        "least 9 is above most 8; swap them",
    )


def test_an_expectation_about_an_unknown_column_is_refused() -> None:
    message = refusal(expectations=[EXPECTATION | {"arguments": {"column": "weight_kg"}}])
    assert message.startswith("expectations.0: column 'weight_kg' is not declared; declared are [")
    assert "'weight_g'" in message


@pytest.mark.parametrize("name", ["not_empty", "pass_share_schema", "skew_topic"])
def test_an_expectation_with_the_name_of_another_check_is_refused(name: str) -> None:
    assert refusal(expectations=[EXPECTATION | {"name": name}]) == (
        f"expectations.0: the name '{name}' belongs to another check; rename it"
    )


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            {"column": "city", "minimum": 3},
            "ExpectColumnValuesToNotBeNull takes no 'minimum'; it takes ['column', 'mostly']",
        ),
        ({}, "ExpectColumnValuesToNotBeNull needs 'column'; add it to the arguments"),
    ],
)
def test_an_expectation_with_other_arguments_than_it_takes_is_refused(arguments: dict[str, Any], fault: str) -> None:
    assert fault_of(expectations=[EXPECTATION | {"arguments": arguments}]) == ("expectations.0", fault)


def test_two_expectations_of_one_name_are_refused() -> None:
    assert refusal(expectations=[EXPECTATION, EXPECTATION]) == (
        "expectations.0: the name 'known_cities' belongs to another check; rename it"
    )


def test_an_expectation_that_great_expectations_has_not_is_refused() -> None:
    place, message = fault_of(expectations=[EXPECTATION | {"expectation": "ExpectNothing"}])
    assert place == "expectations.0.expectation"
    assert "'ExpectColumnMeanToBeBetween'" in message


# ------------------------------------------------------------------------------------------ limits, panel, export


def test_skew_of_an_unknown_axis_is_refused() -> None:
    assert refusal(skew={"axes": ["colour"], "limit": 0.1}) == (
        "skew.axes: axis 'colour' is not declared; declared are ['city', 'tone', 'topic']"
    )


def test_a_reference_label_mapped_to_an_unknown_label_is_refused() -> None:
    assert refusal(reference__labels={"delay": "tardy"}) == (
        "reference.labels.delay: label 'tardy' is not declared; declared are ['broken', 'late', 'lost']"
    )


def test_a_panel_too_small_to_confirm_anything_is_refused() -> None:
    assert refusal(panel={"providers": ["anna", "bert"], "confirm": 3}) == (
        "panel.confirm is 3, but the panel has 2 providers; lower it"
    )


def test_a_panel_that_names_a_provider_twice_is_refused() -> None:
    assert fault_of(panel={"providers": ["anna", "anna"]}) == (
        "panel",
        "panel ['anna', 'anna'] names a provider twice; name each once",
    )


def test_a_panel_of_one_is_allowed() -> None:
    assert recipe_with(panel={"providers": ["anna"]}).panel.confirm == 2


@pytest.mark.parametrize("splits", [{"train": 0.8, "test": 0.1}, {"train": 1.1, "test": -0.1}])
def test_splits_that_are_no_shares_of_the_whole_are_refused(splits: dict[str, float]) -> None:
    place, message = fault_of(export={"splits": splits})
    assert place == "export"
    assert "must be 0 or more and sum to 1" in message


def test_an_unknown_split_is_refused() -> None:
    place, message = fault_of(export={"splits": {"train": 0.9, "holdout": 0.1}})
    assert place.startswith("export")
    assert "holdout" in message
    assert "validation" in message


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("n_records", 0, "n_records"),
        ("flaw_share", 1.5, "flaw_share"),
        ("gate", {"limit": 0.4}, "gate.limit"),
        ("skew", {"axes": ["topic"], "limit": 0}, "skew.limit"),
        ("roles", {"write": {"temperature": 3}}, "roles.write.temperature"),
        ("description", "short", "description"),
        ("panel", {"providers": []}, "panel.providers"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused_at_its_place(path: str, value: object, place: str) -> None:
    assert fault_of(**{path: value})[0] == place


def test_a_recipe_cannot_be_changed_after_it_was_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RECIPE.n_records = 3  # type: ignore[misc]  # that it is frozen is the point


def test_what_a_recipe_says_of_itself_makes_the_same_recipe_again() -> None:
    assert Recipe.model_validate(RECIPE.model_dump(mode="json")) == RECIPE
