"""A completion is either the record that was asked for, whole, or a state with a reason."""

import json
from datetime import date
from enum import Enum
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from synth_pipeline.contracts.records import Record
from synth_pipeline.llm.parsing import Parsed, parse_completion
from synth_pipeline.llm.purchases import Answer
from synth_pipeline_tests.scenario import RECIPE, record_of

RECORD = RECIPE.record.record_class("parcels_record")
VALID = record_of("p0")
OTHER = record_of("p1")
A, B = json.dumps(VALID), json.dumps(OTHER)


def parse(content: str | None, record_class: type[Record] = RECORD) -> Parsed:
    return parse_completion(Answer(content=content, finish_reason="stop", tokens_out=50), record_class)


def with_text(field: str, text: str) -> str:
    """Return the record as JSON, with one field's JSON text set otherwise."""
    return json.dumps({**VALID, field: "HERE"}).replace('"HERE"', text)


def assert_unparsable(parsed: Parsed, reason: str) -> None:
    assert (parsed.state, parsed.value) == ("unparsable", None)
    assert parsed.reason is not None
    assert reason in parsed.reason
    assert len(parsed.reason) <= 300
    assert parsed.reason.encode()


# ------------------------------------------------------------------------------------------ one record, somewhere

AROUND = {
    "nothing": A,
    "white space": f"\n\n  {A}\r\n",
    "a byte order mark": f"\ufeff{A}",
    "a zero-width space": f"\u200b{A}\u200b",
    "indented": json.dumps(VALID, indent=4),
    "escaped": json.dumps(VALID, ensure_ascii=True).replace("M", "\\u004d"),
    "a json fence": f"```json\n{A}\n```",
    "a JSON fence": f"```JSON\n{A}\n```",
    "a plain fence": f"```\n{A}\n```",
    "a tilde fence": f"~~~json\n{A}\n~~~",
    "an indented fence": f"  ```json\n  {A}\n  ```",
    "a fence of Windows lines": f"```json\r\n{A}\r\n```",
    "a fence never closed": f"```json\n{A}",
    "a fence in one line": f"```{A}```",
    "a fence in prose": f"Here it is:\n\n```json\n{A}\n```\nIt keeps to {{your}} rules.",
    "several fences, one a record": f'```json\n{{"note": "Late"}}\n```\nor\n```json\n{A}\n```\n```\nprint()\n```',
    "the same record twice": f"```json\n{A}\n```\nOnce more: {json.dumps(VALID, indent=1)}",
    "prose before": f"Sure! Here is the JSON: {A}",
    "prose after": f"{A}\n\nI hope this helps.",
    "braces before": f'Of the form {{note: ..., "city"}} or {{}} or {{{{x}}}}: {A}',
    "braces after": f'{A} (all {{"fields"}} and [brackets] [1] filled, }} too)',
    "a sketch before": f'The form is {{"note": string, "city": string}}. So: {A}',
    "a stray quotation mark": f'A box of 5" {{ x: {A}',
    "an apology before": f"I'm sorry for the wait. {A}",
    "an assignment": f"record = {A};",
    "braces doubled": f"{{{A}}}",
    "a trailing comma": A[:-1] + ",}",
    "a spaced trailing comma": A[:-1] + " ,\n }",
    "a comma after it": A + ",",
    "reasoning": f"<think>Perhaps {B}? No, {{that}} is not it.</think>\n\n{A}",
    "thinking": f"<thinking>\n{B}\n</thinking>\n```json\n{A}\n```",
    "reasoning without its beginning": f"Perhaps {B}? No.</think>\n{A}",
    "reasoning twice": f"<think>{B}</think> So: <think>{B}</think> {A}",
    "reasoning not ended after it": f"{A}\n<think>Was that {B}",
    "a list of one": f"[{A}]",
    "a list of one in a fence": f"```json\n[\n{A}\n]\n```",
    "a list of one with a trailing comma": f"Here: [{A},]",
    "wrapped": f'{{"record": {A}}}',
    "wrapped by the schema's name": f'{{"parcels_record": {A}}}',
    "wrapped in a fence": f'```\n{{"answer": {A}}}\n```',
    "encoded twice": json.dumps(A),
}


@pytest.mark.parametrize("content", AROUND.values(), ids=AROUND)
def test_a_record_is_found_whatever_stands_around_it(content: str) -> None:
    assert parse(content) == Parsed("ok", None, VALID)


@pytest.mark.parametrize(
    "text", ["{", "}", "```", '"', ",]", ", }", "</think>", "<think>", "\\", "[{", '{"note": 1}', B]
)
def test_what_looks_like_structure_in_a_string_is_text(text: str) -> None:
    record = {**VALID, "city": text}
    written = json.dumps(record)
    for content in (written, f"```json\n{written}\n```", f"Sure: {written} Bye.", written[:-1] + ",}", f"[{written}]"):
        assert parse(content).value == record


class Tagged(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tags: list[str]
    parts: dict[str, list[int]] = {}


def test_trailing_commas_are_dropped_at_every_depth_and_nowhere_else() -> None:
    content = '{"tags": ["a,]", "b,}" , ], "parts": {"x": [1, 2,\n], "y": [],}, }'
    assert parse(content, Tagged).value == {"tags": ["a,]", "b,}"], "parts": {"x": [1, 2], "y": []}}


@pytest.mark.parametrize("tags", ["[,]", '["a",,]', '[,"a"]', '["a" "b",]', '[ , "a",]', '["a",", "]'])
def test_a_comma_that_stands_for_nothing_is_not_mended(tags: str) -> None:
    found = parse(f'{{"tags": {tags}}}', Tagged)
    assert found.state == ("ok" if tags == '["a",", "]' else "unparsable")


# ------------------------------------------------------------------------------------------ nothing is guessed

LONG = json.dumps({**VALID, "note": VALID["note"] * 50})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{A}\n{B}", "two different answers"),
        (f"```json\n{A}\n```\n```json\n{B}\n```", "two different answers"),
        (f"First {A}, or better {{'no': 1}} {B}", "two different answers"),
        (f'{{"record": {A}}} {B}', "two different answers"),
        (f"{A} [{B}]", "two different answers"),
        (f"[{A}, {A}]", "the answer is a list, not an object"),
        (f"[{A}, {B[:-9]}", "not JSON: "),
        (f"[[{A}]]", "the answer is a list, not an object"),
        (f'[{{"record": {A}}}]', "record: Extra inputs"),
        (f'{{"draft": {A}}}', "draft: Extra inputs"),
        (f'{{"record": {A}, "sure": true}}', "sure: Extra inputs"),
        (f'{{"record": {A}', "not JSON: it ends before it is whole"),
        (json.dumps(json.dumps(A)), "the answer is a string, not an object"),
        (json.dumps(f"Sure: {A}"), "the answer is a string, not an object"),
        (json.dumps(f"[{A}]"), "the answer is a string, not an object"),
        (f"<think>Perhaps {A}</think>", "no answer follows the reasoning"),
        (f"<think>Perhaps {A}", "no answer follows the reasoning"),
        (A[:-1], "not JSON: it ends before it is whole"),
        (LONG[:-30], "not JSON: "),
        (f'{{"note": "short"}} {LONG[:-1]}', "not JSON: it ends before it is whole"),
        (A.replace('"city"', '"note": "Another text, which is as long.", "city"'), "name 'note' stands twice"),
        (A.replace('"city"', '"c\\u0069ty": "Bern", "city"'), "the name 'city' stands twice in one object"),
        (f"Sure: {A[:-1]}, {A[1:]}", "stands twice in one object"),
        (f"Sure: {A[:-1]}, {A[1:-1]},}}", "stands twice in one object"),
        (f'So: {{"x": 1, "x": 2, "record": {A}}}', "the name 'x' stands twice in one object"),
        (f"{with_text('weight_g', '0')} {{}}", "weight_g: Input should be greater than or equal to 1"),
        ("{}" * 200, "not JSON: more than 100 objects"),
    ],
)
def test_what_can_be_read_in_two_ways_or_is_not_whole_is_no_record(content: str, reason: str) -> None:
    assert_unparsable(parse(content), reason)


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("weight_g", '"1200"', "weight_g: Input should be a valid integer"),
        ("weight_g", "true", "weight_g: Input should be a valid integer"),
        ("weight_g", "1200.5", "weight_g: Input should be a valid integer"),
        ("weight_g", "1200.00000000000000000001", "weight_g: Input should be a valid integer"),
        ("weight_g", "1.2e3", "weight_g: Input should be a valid integer"),
        ("weight_g", "null", "weight_g: Input should be a valid integer"),
        ("weight_g", "[1200]", "weight_g: Input should be a valid integer"),
        ("weight_g", "0", "weight_g: Input should be greater than or equal to 1"),
        ("weight_g", "9223372036854775808", "weight_g: Value error, an integer must fit 64 bits"),
        ("weight_g", "9" * 5000, "not JSON: a number has 5000 digits"),
        ("weight_g", "9" * 5000 + ".0", "not JSON: a number has 5000 digits"),
        ("weight_g", "1,200", "not JSON: a name in double quotes is missing"),
        ("weight_g", "01200", "not JSON: a comma or closing bracket is missing"),
        ("weight_g", "0x4b0", "not JSON: a comma or closing bracket is missing"),
        ("price", '"5.5"', "price: Input should be a valid number"),
        ("price", "true", "price: Input should be a valid number"),
        ("price", "NaN", "not JSON: NaN is not a JSON value"),
        ("price", "-Infinity", "not JSON: -Infinity is not a JSON value"),
        ("price", "1e999", "not JSON: the number 1e999 is too large"),
        ("price", "9" * 309, "not JSON: a number has 309 digits"),
        ("city", "12", "city: Input should be a valid string"),
        ("city", "null", "city: Input should be a valid string"),
        ("city", '["Bern"]', "city: Input should be a valid string"),
        ("city", "'Bern'", "not JSON: a value is missing or is no JSON value"),
        ("city", '"Bern\n"', "not JSON: a line break in a string is not written \\n"),
        ("city", '"B\\ern"', "not JSON: a backslash in a string is not written \\\\"),
        ("city", '"\\u00zz"', "not JSON: four hexadecimal digits are missing after \\u"),
        ("city", '"the "Bern" one"', "not JSON: a comma or closing bracket is missing, or a quotation mark"),
        ("city", '"\\ud83d"', "city: holds half of a surrogate pair"),
        ("city", '"\ud83d"', "city: holds half of a surrogate pair"),
        ("note", '"Late."', "note: String should have at least 20 characters"),
        ("note", "[" * 500 + "]" * 500, "it is nested too deeply"),
        ("note", "[" * 100_000, "not JSON: it is nested too deeply"),
    ],
)
def test_a_value_of_another_kind_is_never_made_to_fit(field: str, text: str, reason: str) -> None:
    assert_unparsable(parse(with_text(field, text)), reason)
    assert_unparsable(parse(f"```json\n{with_text(field, text)}\n```"), reason)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("weight_g", "1200.0", 1200),
        ("came_on", "9007199254740993.00", 2**53 + 1),
        ("came_on", "-0", 0),
        ("price", "5", 5.0),
        ("price", "5.0", 5.0),
        ("price", "55e-1", 5.5),
        ("price", "1E2", 100.0),
        ("city", '"12"', "12"),
        ("city", '"\\ud83d\\ude00"', "😀"),
        ("city", '"\\u0000"', "\0"),
    ],
)
def test_a_number_is_a_number_however_it_is_spelt(field: str, text: str, value: object) -> None:
    assert parse(with_text(field, text)).value == {**VALID, field: value}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "the answer is empty"),
        ("", "the answer is empty"),
        (" \n\t", "the answer is empty"),
        ("It came late.", "not JSON: no object with names in double quotes"),
        ("{'note': 'It came late.'}", "not JSON: no object with names in double quotes"),
        ("{note: 1}", "not JSON: no object with names in double quotes"),
        ('{"note" "It came late."}', "not JSON: no object with names in double quotes"),
        ("{", "not JSON: no object with names in double quotes"),
        ("\ud83d", "not JSON: no object with names in double quotes"),
        ("null", "not the record that was asked for: the answer is null, not an object"),
        ("12", "the answer is a number"),
        ("true", "the answer is true or false"),
        ("[]", "the answer is a list"),
        ("{}", "note: Field required; city: Field required"),
        (json.dumps({**VALID, "colour": 1, "\ud83d" * 500: 1}), "not the record that was asked for"),
        (json.dumps({**VALID, "x" * 500: 1}), "x" * 60 + ": Extra inputs are not permitted"),
        ('{"tags": [' + "1," * 5000 + "1]}", "not the record that was asked for"),
    ],
)
def test_what_is_no_record_says_why(content: str | None, reason: str) -> None:
    assert_unparsable(parse(content), reason)


def test_thousands_of_wrong_values_are_counted_not_listed() -> None:
    assert_unparsable(parse('{"tags": [' + "1," * 5000 + "1]}", Tagged), "5001 values do not fit")


def test_a_fault_is_placed_by_line_and_column() -> None:
    assert parse('{\n  "note": late}').reason == ("not JSON: a value is missing or is no JSON value (line 2 column 11)")


# ------------------------------------------------------------------------------------------ what the class says


class Verdict(Enum):
    PASS = "pass"


class Judgement(BaseModel):
    """Fields that JSON has no word for, a default, and what else was said."""

    verdict: Verdict
    on: date
    sure: Literal["yes", "no"]
    comment: str = "none"


JUDGED = {"verdict": "pass", "on": "2030-01-31", "sure": "yes"}


def test_a_default_is_not_an_answer() -> None:
    assert parse(json.dumps(JUDGED), Judgement) == Parsed("ok", None, JUDGED)
    assert parse(json.dumps(JUDGED | {"comment": "none"}), Judgement).value == JUDGED | {"comment": "none"}


@pytest.mark.parametrize("wrong", [{"verdict": "passed"}, {"on": 0}, {"on": "soon"}, {"sure": True}])
def test_dates_and_choices_are_the_texts_that_the_class_takes(wrong: dict[str, object]) -> None:
    [name] = wrong
    assert_unparsable(parse(json.dumps(JUDGED | wrong), Judgement), f"{name}: Input should be")


@pytest.mark.parametrize("number", ["1e309", "-1E400", "9" * 309, "NaN", "Infinity"])
def test_no_number_is_infinite_even_where_the_class_would_take_it(number: str) -> None:
    class Measured(BaseModel):
        size: float

    assert parse('{"size": %s}' % ("9" * 308), Measured).state == "ok"
    assert_unparsable(parse(f'{{"size": {number}}}', Measured), "not JSON: ")


def test_an_unknown_field_is_as_the_class_says() -> None:
    class Open(Judgement):
        model_config = ConfigDict(extra="allow")

    said = JUDGED | {"colour": [1, "red"]}
    assert parse(json.dumps(said), Judgement).value == JUDGED
    assert parse(json.dumps(said), Open).value == said


def test_a_wrapping_that_might_be_the_answer_itself_is_not_taken_off() -> None:
    class Anything(BaseModel):
        model_config = ConfigDict(extra="allow")

    assert_unparsable(parse(f'{{"record": {A}}}', Anything), "two different answers")
