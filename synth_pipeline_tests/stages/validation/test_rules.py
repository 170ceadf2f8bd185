"""Each rule passes what it should, and says in words what is wrong with the rest."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from synth_pipeline.contracts.rules import AnyRule
from synth_pipeline.stages.validation.rules import applies_to, fault_of, stated_in_text

RULE: TypeAdapter[AnyRule] = TypeAdapter(AnyRule)
WEIGHT = {
    "rule": "plausible_range",
    "field": "weight_g",
    "by": "topic",
    "ranges": {"late": (50, 9000), "broken": (50, 40000)},
}


def fault(rule: dict[str, Any], **item: Any) -> str | None:
    """Return what the rule says is wrong with an item; None where it passes."""
    found: str | None = pl.DataFrame([item]).select(fault_of(RULE.validate_python(rule))).item()
    return found


def stated(number: float, text: str) -> bool:
    """Return whether the number stands in the text."""
    found: bool = pl.DataFrame({"number": [number], "text": [text]}).select(stated_in_text(pl.col("number"))).item()
    return found


# ------------------------------------------------------------------------------------------ number in text


@settings(deadline=None)
@given(st.integers(0, 10**15))
def test_a_whole_number_is_found_however_its_thousands_are_parted(number: int) -> None:
    for shown in (f"{number}", f"{number:,}", f"{number:,}".replace(",", " "), f"{number:,}".replace(",", "\u2009")):
        assert stated(number, f"It weighs {shown} g.")


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 9))
def test_a_number_inside_a_longer_number_is_not_found(number: int, digit: int) -> None:
    for longer in (
        f"{digit}{number}",
        f"{number}{digit}",
        f"{number}.{digit}",
        f"{digit}.{number}",
        f"{digit},{number}",
    ):
        assert not stated(number, f"It weighs {longer} g.")


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(1, 4))
def test_a_decimal_number_is_found_as_it_is_written(steps: int, decimals: int) -> None:
    number = steps / 10**decimals
    assert stated(number, f"It cost {number:.{decimals}f} francs.")


@pytest.mark.parametrize(
    "text",
    [
        "1200",
        "1,200 g",
        "1 200 g",
        "it weighed 1200.",
        "1200, or so",
        "(1200)",
        "1200g",
        "n=1200",
        "1200\n",
        "1200.0 g",
        "1\u00a0200 g",
        "1\u202f200 g",
    ],
)
def test_a_number_is_found(text: str) -> None:
    assert stated(1200, text)


@pytest.mark.parametrize(
    "text", ["", "12", "120", "11200", "12000", "1200.5", "1200,5", "1,2000", "12,00", "one thousand two hundred"]
)
def test_a_number_is_not_found(text: str) -> None:
    assert not stated(1200, text)


@pytest.mark.parametrize(
    ("number", "text", "found"),
    [
        (3.5, "3.5", True),
        (3.5, "3.50", True),
        (3.5, "3.51", False),
        (3.5, "13.5", False),
        (3.5, "3x5", False),
        (3.5, "3,5", False),
        (9.0, "9", True),
        (9.0, "9.00", True),
        (9.0, "9.05", False),
        (0.05, "0.05", True),
        (1234.5, "1,234.5", True),
        (1234567.25, "1,234,567.25", True),
        (-12.0, "it fell by -12 degrees", True),
        (-12.0, "it fell by \u221212 degrees", True),
        (-12.0, "it rose by 12 degrees", False),
        (-1234.0, "-1,234", True),
        (0.0, "0", True),
        (0.0, "10", False),
        (1234567890.0, "1,234,567,890", True),
    ],
)
def test_decimals_signs_and_nought(number: float, text: str, found: bool) -> None:
    assert stated(number, text) is found


def test_a_record_whose_text_lacks_its_number_fails() -> None:
    rule = {"rule": "number_in_text", "field": "weight_g"}
    assert fault(rule, field__weight_g=1200, text="It weighs 1,200 g.") is None
    assert fault(rule, field__weight_g=1200, text="It is heavy.") == "the text does not state weight_g 1200"


# ------------------------------------------------------------------------------------------ the other rules


@settings(deadline=None)
@given(st.integers(-(10**6), 10**6))
def test_a_number_passes_exactly_inside_its_range(weight: int) -> None:
    assert (fault(WEIGHT, field__weight_g=weight, planned__topic="late") is None) == (50 <= weight <= 9000)


def test_a_range_is_that_of_the_planned_value() -> None:
    assert fault(WEIGHT, field__weight_g=40000, planned__topic="broken") is None
    assert fault(WEIGHT, field__weight_g=40000, planned__topic="late") == (
        "weight_g 40000 lies outside 50.0 to 9000.0, plausible for late"
    )


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_numbers_pass_exactly_when_none_falls(days: list[int]) -> None:
    rule = {"rule": "ordered", "order": ["a", "b", "c"]}
    item = {f"field__{name}": day for name, day in zip("abc", days, strict=True)}
    assert (fault(rule, **item) is None) == (days == sorted(days))


def test_what_is_out_of_order_is_shown() -> None:
    rule = {"rule": "ordered", "order": ["sent_on", "came_on"]}
    assert fault(rule, field__sent_on=5, field__came_on=5) is None
    assert fault(rule, field__sent_on=6, field__came_on=5) == "sent_on, came_on are 6, 5: not in this order"


def test_what_was_not_planned_is_listed_with_what_was() -> None:
    rule = {"rule": "as_planned", "planned": ["city", "weight_g"]}
    item = {"planned__city": "Bern", "planned__weight_g": 1200}
    assert fault(rule, **item, field__city="Bern", field__weight_g=1200) is None
    assert fault(rule, **item, field__city="Lyon", field__weight_g=1200) == "city is Lyon, planned Bern"
    assert fault(rule, **item, field__city="Lyon", field__weight_g=9) == (
        "city is Lyon, planned Bern; weight_g is 9, planned 1200"
    )


def test_yes_and_no_are_held_against_the_plan_too() -> None:
    rule = {"rule": "as_planned", "planned": ["urgent"]}
    assert fault(rule, planned__urgent=True, field__urgent=True) is None
    assert fault(rule, planned__urgent=True, field__urgent=False) == "urgent is false, planned true"


QUANTITY: dict[str, Any] = {"quantity": "padding_cm", "stated_value": "3.5", "proof": None}


@pytest.mark.parametrize("text", ["3.5 cm of padding", "padding of 3.5.", "only 3.5, no more"])
def test_a_text_that_states_its_quantity_passes(text: str) -> None:
    assert fault({"rule": "states_quantity"}, **QUANTITY, text=text) is None


@pytest.mark.parametrize("text", ["", "3.55 cm", "13.5 cm", "3x5 cm", "35 cm", "3 cm", "3.5.1"])
def test_a_text_that_does_not_state_its_quantity_fails(text: str) -> None:
    assert fault({"rule": "states_quantity"}, **QUANTITY, text=text) == "the text does not state padding_cm 3.5"


def test_a_large_quantity_may_have_its_thousands_parted() -> None:
    item = QUANTITY | {"quantity": "steps", "stated_value": "1240"}
    assert fault({"rule": "states_quantity"}, **item, text="1,240 steps") is None
    assert fault({"rule": "states_quantity"}, **item, text="11,240 steps") == "the text does not state steps 1240"


def test_a_variant_without_proof_of_its_damage_fails() -> None:
    item = QUANTITY | {"proof": "the text did not change"}
    assert fault({"rule": "states_quantity"}, **item, text="3.5 cm") == (
        "the planned damage is not proven: the text did not change"
    )
    assert fault({"rule": "states_quantity"}, **QUANTITY | {"proof": "proven"}, text="3.5 cm") is None


def test_only_a_text_with_a_quantity_can_state_one() -> None:
    items = pl.DataFrame({"stated_value": ["3.5", None]})
    rules = [RULE.validate_python({"rule": rule}) for rule in ("states_quantity", "exact_duplicate")]
    said = items.select(*(applies_to(rule).alias(rule.name) for rule in rules))
    assert said["states_quantity"].to_list() == [True, False]
    assert said["exact_duplicate"].to_list() == [True, True]


@pytest.mark.parametrize(("text", "n_words"), [("a b", 2), ("a b c d e", 5), ("", 0), ("a  b\nc\td e  f", 6)])
def test_words_are_counted_between_white_space(text: str, n_words: int) -> None:
    said = fault({"rule": "words_between", "least": 3, "most": 5}, text=text)
    assert said == (None if 3 <= n_words <= 5 else f"the text has {n_words} words, not 3 to 5")


def test_a_copy_is_named_after_what_it_copies() -> None:
    schema = {"same_as": pl.String()}
    items = pl.DataFrame({"same_as": [None, "item w0"]}, schema=schema)
    said = items.select(fault_of(RULE.validate_python({"rule": "exact_duplicate"}))).to_series().to_list()
    assert said == [None, "the same text as item w0"]
