"""A record's declaration becomes the class that a completion must parse into, and nothing else parses."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from synth_pipeline.contracts.records import RecordDeclaration, RecordField
from synth_pipeline_tests.scenario import RECIPE, record_of

NOTE = {"type": "string", "description": "The note itself"}
DECLARED = RecordDeclaration.model_validate(
    {
        "text": "note",
        "fields": {
            "note": NOTE | {"min_length": 3, "max_length": 9},
            "weight_g": {"type": "integer", "description": "Its weight", "minimum": 1, "maximum": 99},
            "price": {"type": "number", "description": "Its price"},
            "insured": {"type": "boolean", "description": "Whether it is insured"},
            "stamps": {"type": "string_list", "description": "Its stamps", "min_length": 1},
        },
    }
)
GOOD: dict[str, Any] = {"note": "fragile", "weight_g": 5, "price": 1.5, "insured": True, "stamps": ["blue"]}


def refusal(declared: dict[str, Any]) -> str:
    """Return what is said about a declaration that contradicts itself."""
    with pytest.raises(ValidationError) as caught:
        RecordDeclaration.model_validate(declared)
    return caught.value.errors()[0]["msg"].removeprefix("Value error, ")


def test_a_record_parses_into_its_fields() -> None:
    assert DECLARED.record_class("parcel").model_validate(GOOD).model_dump(mode="json") == GOOD


def test_the_schema_tells_the_model_each_fields_type_meaning_and_bounds() -> None:
    schema = DECLARED.record_class("parcel").model_json_schema()
    assert schema["title"] == "parcel"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["note", "weight_g", "price", "insured", "stamps"]
    assert schema["properties"] == {
        "note": {"title": "Note", "type": "string", "description": "The note itself", "minLength": 3, "maxLength": 9},
        "weight_g": {"title": "Weight G", "type": "integer", "description": "Its weight", "minimum": 1, "maximum": 99},
        "price": {"title": "Price", "type": "number", "description": "Its price"},
        "insured": {"title": "Insured", "type": "boolean", "description": "Whether it is insured"},
        "stamps": {
            "title": "Stamps",
            "type": "array",
            "items": {"type": "string"},
            "description": "Its stamps",
            "minItems": 1,
        },
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("note", "ab"),
        ("note", "ten letters"),
        ("note", None),
        ("weight_g", 0),
        ("weight_g", 100),
        ("weight_g", 1.5),
        ("weight_g", "heavy"),
        ("price", float("nan")),
        ("price", float("inf")),
        ("stamps", []),
        ("stamps", "blue"),
    ],
)
def test_a_value_out_of_its_bounds_is_no_record(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        DECLARED.record_class("parcel").model_validate(GOOD | {field: value})


def test_a_field_too_many_is_no_record() -> None:
    with pytest.raises(ValidationError, match="colour"):
        DECLARED.record_class("parcel").model_validate(GOOD | {"colour": "red"})


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_field_left_out_is_no_record(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        DECLARED.record_class("parcel").model_validate({name: GOOD[name] for name in GOOD if name != field})


@settings(deadline=None)
@given(st.integers(min_value=2**63) | st.integers(max_value=-(2**63)))
def test_an_integer_that_no_column_holds_is_no_record(number: int) -> None:
    with pytest.raises(ValidationError, match="an integer must fit 64 bits"):
        RECIPE.record.record_class("parcel").model_validate(record_of("p0", came_on=number))


def test_a_text_that_is_not_among_the_fields_is_refused() -> None:
    assert refusal({"text": "body", "fields": {"note": NOTE}}) == "text field 'body' is not among the fields ['note']"


def test_a_text_that_is_no_string_is_refused() -> None:
    fields = {"note": {"type": "integer", "description": "A number"}}
    assert refusal({"text": "note", "fields": fields}) == "text field 'note' is integer; it must be a string"


def test_bounds_on_a_string_are_refused() -> None:
    assert refusal({"text": "note", "fields": {"note": NOTE | {"minimum": 3}}}) == (
        "minimum and maximum go with integer and number, not string"
    )


@pytest.mark.parametrize("kind", ["integer", "number", "boolean"])
def test_a_length_of_what_has_none_is_refused(kind: str) -> None:
    fields = {"note": NOTE, "size": {"type": kind, "description": "Its size", "max_length": 3}}
    assert refusal({"text": "note", "fields": fields}) == (
        f"min_length and max_length go with string and string_list, not {kind}"
    )


def test_bounds_in_the_wrong_order_are_refused() -> None:
    size = {"type": "integer", "description": "Its size", "minimum": 9, "maximum": 3}
    assert (
        refusal({"text": "note", "fields": {"note": NOTE, "size": size}}) == "minimum 9 is above maximum 3; swap them"
    )
    assert refusal({"text": "note", "fields": {"note": NOTE | {"min_length": 9, "max_length": 3}}}) == (
        "min_length 9 is above max_length 3; swap them"
    )


def test_a_field_of_an_unknown_type_is_refused() -> None:
    assert "'string_list'" in refusal({"text": "note", "fields": {"note": NOTE | {"type": "date"}}})


def test_an_integer_with_a_bound_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"bound 2\.2 of an integer is no whole number"):
        RecordField(type="integer", description="how many", minimum=2.2)
