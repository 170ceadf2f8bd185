"""Every declared check concludes on a partition: whether it holds, what was seen, and which items break it."""

from typing import Any

import polars as pl
import pytest

from synth_pipeline.contracts.checks import Conclusion
from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.rules import ARGUMENTS, REQUIRED
from synth_pipeline.stages.validation.expectations import conclude_checks, declare_checks
from synth_pipeline_tests.scenario import RECIPE, item, recipe_with, record_of, validated_frame

NAMES = (
    "not_empty",
    *("pass_share_schema", "pass_share_plausible_weight_g", "pass_share_ordered_sent_on_came_on"),
    *("pass_share_weight_g_in_text", "pass_share_as_planned", "pass_share_states_quantity"),
    *("pass_share_words_between", "pass_share_exact_duplicate"),
    *("mean_weight", "known_cities", "skew_topic", "skew_tone"),
)
TOPICS = ("late", "late", "late", "late", "late", "lost", "lost", "lost", "broken", "broken")
TONES = ("calm", "calm", "calm", "calm", "cross", "cross", "cross", "cross", "calm", "calm")


def balanced(**changes: Any) -> list[dict[str, Any]]:
    """Return ten valid items whose topics and tones have exactly their shares."""
    return [
        item(f"i{index}", topic=topic, tone=tone, **changes)
        for index, (topic, tone) in enumerate(zip(TOPICS, TONES, strict=True))
    ]


def conclude(rows: list[dict[str, Any]], recipe: Recipe = RECIPE) -> dict[str, Conclusion]:
    """Return what every check found, by its name."""
    return {found.name: found for found in conclude_checks(validated_frame(rows), recipe)}


def judged(item_id: str, rule: str, verdict: str) -> dict[str, Any]:
    """Return an item on which one rule has spoken."""
    reason = "" if verdict in ("pass", "not_applicable") else "so it is"
    state = "valid" if verdict in ("pass", "not_applicable") else "rejected"
    return item(item_id, state=state, verdicts=[{"rule": rule, "verdict": verdict, "reason": reason}])


def weighing(item_id: str, weight_g: int, **changes: Any) -> dict[str, Any]:
    """Return an item whose record states a weight."""
    return item(item_id, record=canonical_json(record_of("p0", weight_g=weight_g)), **changes)


def test_checks_are_named_before_there_are_rows_and_concluded_in_the_same_order() -> None:
    assert tuple(check.name for check in declare_checks(RECIPE)) == NAMES
    assert tuple(found.name for found in conclude_checks(validated_frame(balanced()), RECIPE)) == NAMES


@pytest.mark.parametrize("changes", [{"skew": None}, {"expectations": []}, {"rules": []}])
def test_what_a_recipe_does_not_declare_is_neither_checked_nor_concluded(changes: dict[str, Any]) -> None:
    recipe = recipe_with(**changes)
    declared = [check.name for check in declare_checks(recipe)]
    assert declared == [found.name for found in conclude_checks(validated_frame(balanced()), recipe)]
    assert len(declared) < len(NAMES)


def test_an_empty_partition_and_skew_stop_what_follows_by_default() -> None:
    blocking = {check.name: check.blocking for check in declare_checks(RECIPE)}
    assert {name for name, blocks in blocking.items() if blocks} == {"not_empty", "skew_topic", "skew_tone"}
    lenient = recipe_with(skew={"axes": ["topic"], "limit": 0.1, "blocking": False})
    assert [check.name for check in declare_checks(lenient) if check.blocking] == ["not_empty"]


def test_a_declared_check_tells_its_limit_and_source() -> None:
    told = {check.name: check.description for check in declare_checks(RECIPE)}
    assert told["pass_share_as_planned"] == "At least 50% pass `as_planned`."
    assert told["mean_weight"] == (
        "ExpectColumnMeanToBeBetween(column=weight_g, min_value=100, max_value=9000) over the valid records; "
        "source: chosen."
    )
    assert "more than 0.1 from its target" in told["skew_topic"]


def test_a_sound_partition_passes_every_check() -> None:
    assert {name: found.passed for name, found in conclude(balanced()).items()} == dict.fromkeys(NAMES, True)


def test_an_empty_validated_set_concludes_every_check_and_is_not_empty_fails() -> None:
    found = conclude([])
    assert tuple(found) == NAMES
    assert (found["not_empty"].passed, found["not_empty"].observed, found["not_empty"].n) == (False, 0, 0)
    assert found["not_empty"].limit == "at least 1 row"


def test_a_set_of_which_nothing_is_valid_counts_as_empty() -> None:
    found = conclude(balanced(state="rejected"))
    assert tuple(found) == NAMES
    assert not found["not_empty"].passed


# ------------------------------------------------------------------------------------------ shares of the rules


@pytest.mark.parametrize(("n_failed", "passed"), [(0, True), (5, True), (6, False), (10, False)])
def test_a_rule_may_fail_for_as_many_as_its_share_leaves(n_failed: int, passed: bool) -> None:
    rows = [judged(f"i{index}", "as_planned", "reject" if index < n_failed else "pass") for index in range(10)]
    found = conclude(rows)["pass_share_as_planned"]
    assert (found.passed, found.observed, found.n) == (passed, 1 - n_failed / 10, 10)
    assert found.offending_ids == tuple(f"i{index}" for index in range(n_failed))
    assert (found.n_offending, found.limit) == (n_failed, "pass share at least 0.5")


def test_a_flag_counts_against_the_share_as_a_rejection_does() -> None:
    found = conclude([judged("i0", "words_between", "flag"), judged("i1", "words_between", "pass")])
    assert found["pass_share_words_between"].offending_ids == ("i0",)


def test_items_that_a_rule_says_nothing_about_do_not_count() -> None:
    rows = [judged("i0", "states_quantity", "pass"), judged("i1", "states_quantity", "not_applicable")]
    found = conclude(rows)["pass_share_states_quantity"]
    assert (found.passed, found.n, found.n_offending) == (True, 1, 0)


def test_a_rule_that_applied_to_nothing_holds() -> None:
    found = conclude([judged("i0", "states_quantity", "not_applicable")])["pass_share_states_quantity"]
    assert (found.passed, found.n) == (True, 0)


def test_a_rule_states_its_own_share() -> None:
    strict = recipe_with(rules=[{"rule": "exact_duplicate", "min_pass_share": 0.95}])
    rows = [judged(f"i{index}", "exact_duplicate", "reject" if index == 0 else "pass") for index in range(10)]
    found = conclude(rows, strict)["pass_share_exact_duplicate"]
    assert (found.passed, found.limit) == (False, "pass share at least 0.95")


def test_at_most_fifty_offending_items_are_named_and_all_are_counted() -> None:
    found = conclude([judged(f"i{index:02}", "as_planned", "reject") for index in range(60)])
    assert len(found["pass_share_as_planned"].offending_ids) == 50
    assert found["pass_share_as_planned"].n_offending == 60


# ------------------------------------------------------------------------------------------ the recipe's own statements


def expecting(expectation: str, **arguments: Any) -> Recipe:
    """Return the recipe with this one expectation, called `stated`."""
    return recipe_with(expectations=[{"name": "stated", "expectation": expectation, "arguments": arguments}], skew=None)


WEIGHTS = [weighing("light", 100), weighing("middle", 200), weighing("heavy", 600)]
LIMIT = {"column": "weight_g"}


@pytest.mark.parametrize(
    ("expectation", "holds", "breaks", "observed"),
    [
        ("ExpectColumnMeanToBeBetween", {"min_value": 300, "max_value": 300}, {"max_value": 299}, 300),
        ("ExpectColumnMedianToBeBetween", {"min_value": 200, "max_value": 200}, {"min_value": 201}, 200),
        ("ExpectColumnUniqueValueCountToBeBetween", {"min_value": 3}, {"min_value": 4}, 3),
        ("ExpectColumnProportionOfUniqueValuesToBeBetween", {"min_value": 1}, {"max_value": 0.9}, 1),
    ],
)
def test_a_statement_about_a_whole_column_holds_or_breaks(
    expectation: str, holds: dict[str, float], breaks: dict[str, float], observed: float
) -> None:
    good = conclude(WEIGHTS, expecting(expectation, **LIMIT, **holds))["stated"]
    bad = conclude(WEIGHTS, expecting(expectation, **LIMIT, **breaks))["stated"]
    assert (good.passed, good.observed, bad.passed, bad.observed) == (True, observed, False, observed)
    assert bad.offending_ids == ()


def test_a_spread_is_that_of_a_sample() -> None:
    # 100, 200 and 600 lie 200, 100 and 300 from their mean; 140000 / 2 is the square of 264.6
    good = conclude(WEIGHTS, expecting("ExpectColumnStdevToBeBetween", **LIMIT, min_value=264, max_value=265))["stated"]
    bad = conclude(WEIGHTS, expecting("ExpectColumnStdevToBeBetween", **LIMIT, max_value=264))["stated"]
    assert (good.passed, bad.passed) == (True, False)


@pytest.mark.parametrize(
    ("expectation", "holds", "breaks", "offending"),
    [
        (
            "ExpectColumnValuesToBeBetween",
            {"min_value": 100, "max_value": 600},
            {"max_value": 199},
            ("middle", "heavy"),
        ),
        ("ExpectColumnValuesToBeInSet", {"value_set": [100, 200, 600]}, {"value_set": [100, 200]}, ("heavy",)),
    ],
)
def test_a_statement_about_each_value_names_those_that_break_it(
    expectation: str, holds: dict[str, Any], breaks: dict[str, Any], offending: tuple[str, ...]
) -> None:
    good = conclude(WEIGHTS, expecting(expectation, **LIMIT, **holds))["stated"]
    bad = conclude(WEIGHTS, expecting(expectation, **LIMIT, **breaks))["stated"]
    assert (good.passed, good.offending_ids, good.n) == (True, (), 3)
    assert (bad.passed, bad.offending_ids, bad.n_offending) == (False, offending, len(offending))


def test_values_may_be_missing_only_where_that_is_not_forbidden() -> None:
    rows = [item("stated", quantity="scans"), item("unstated")]
    found = conclude(rows, expecting("ExpectColumnValuesToNotBeNull", column="quantity"))["stated"]
    assert (found.passed, found.offending_ids) == (False, ("unstated",))
    assert conclude(rows[:1], expecting("ExpectColumnValuesToNotBeNull", column="quantity"))["stated"].passed


def test_lengths_and_rows_can_be_stated() -> None:
    lengths = expecting("ExpectColumnValueLengthsToBeBetween", column="text", min_value=5)
    assert conclude([item("i0", "four"), item("i1", "fives")], lengths)["stated"].offending_ids == ("i0",)
    rows = expecting("ExpectTableRowCountToBeBetween", min_value=2)
    assert not conclude([item("i0")], rows)["stated"].passed
    assert conclude([item("i0"), item("i1")], rows)["stated"].passed


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_a_recipe_may_give_only_arguments_that_great_expectations_takes(name: str) -> None:
    import great_expectations.expectations as gxe

    fields = getattr(gxe, name).__fields__
    assert set(ARGUMENTS[name]) <= set(fields)
    assert {field for field, told in fields.items() if told.required} == set(ARGUMENTS[name] & REQUIRED)


def test_only_valid_records_are_spoken_of() -> None:
    rows = [*WEIGHTS, weighing("absurd", 10**9, state="rejected")]
    found = conclude(rows, expecting("ExpectColumnMeanToBeBetween", **LIMIT, max_value=300))["stated"]
    assert (found.passed, found.observed) == (True, 300)


def test_a_statement_about_nothing_fails_and_says_why() -> None:
    found = conclude([], expecting("ExpectColumnMeanToBeBetween", **LIMIT, min_value=100, max_value=300))["stated"]
    assert not found.passed


def test_a_statement_that_great_expectations_cannot_look_at_fails_with_its_error() -> None:
    found = conclude(WEIGHTS, expecting("ExpectColumnMeanToBeBetween", column="city", min_value=1, max_value=2))[
        "stated"
    ]
    assert not found.passed
    assert isinstance(found.observed, str)


# ------------------------------------------------------------------------------------------ skew


def test_a_value_that_crowds_the_others_out_is_named_with_its_items() -> None:
    rows = [item(f"i{index}", topic="late" if index < 9 else "lost") for index in range(10)]
    found = conclude(rows)["skew_topic"]
    assert (found.passed, found.observed) == (False, "late: share 0.900, target 0.500")
    assert found.offending_ids == tuple(f"i{index}" for index in range(9))
    assert found.figures == {"largest_gap": pytest.approx(0.4)}
    assert found.limit == "gap at most 0.1 (and one record of 10)"


def test_a_value_that_is_missing_is_seen_though_it_has_no_items() -> None:
    rows = [item(f"i{index}", topic="late" if index % 2 else "broken") for index in range(10)]
    found = conclude(rows, recipe_with(skew={"axes": ["topic"], "limit": 0.15}))["skew_topic"]
    # broken has 0.5 of 0.2, lost 0 of 0.3; late has exactly its share
    assert (found.passed, found.n_offending) == (False, 5)
    assert set(found.offending_ids) == {"i0", "i2", "i4", "i6", "i8"}


def test_a_gap_is_allowed_up_to_the_limit_and_one_record() -> None:
    # of ten, five should be late: seven lie 0.2 off, which is the limit and one record; eight lie further
    seven = [item(f"i{index}", topic=topic) for index, topic in enumerate(["late"] * 7 + ["lost"] * 2 + ["broken"])]
    eight = [item(f"i{index}", topic=topic) for index, topic in enumerate(["late"] * 8 + ["lost"] * 2)]
    assert conclude(seven)["skew_topic"].passed
    assert not conclude(eight)["skew_topic"].passed


def test_only_clean_valid_records_count_towards_skew() -> None:
    crowd = [item(f"v{index}", topic="broken", flaw="thin_padding") for index in range(20)]
    rejected = [item(f"r{index}", topic="broken", state="rejected") for index in range(20)]
    found = conclude([*balanced(), *crowd, *rejected])["skew_topic"]
    assert (found.passed, found.n) == (True, 10)


@pytest.mark.parametrize("name", ["target", "gap", "n", "value"])
def test_an_axis_may_be_called_as_the_check_calls_its_own_columns(name: str) -> None:
    axis = {"source": "chosen", "values": {"yes": 0.5, "no": 0.5}}
    recipe = recipe_with(**{f"axes__{name}": axis, "skew": {"axes": [name], "limit": 0.1}})
    frame = validated_frame(balanced()).with_columns(pl.Series(name, ["yes"] * 9 + ["no"]))
    found = conclude_checks(frame, recipe)[-1]
    assert (found.name, found.passed, found.observed) == (f"skew_{name}", False, "yes: share 0.900, target 0.500")


def test_every_failure_comes_with_advice() -> None:
    assert all(found.advice for found in conclude([]).values())
