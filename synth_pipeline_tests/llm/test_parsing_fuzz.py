"""Whatever text comes back: no crash, no long work, and not one word in a value that does not stand in the text."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.contracts.records import RecordDeclaration
from synth_pipeline.llm.parsing import Parsed, parse_completion
from synth_pipeline.llm.purchases import Answer
from synth_pipeline_tests.llm.mangling import FENCES, Tokens, a_record, dressed, mangled, spelt

SOAK = int(os.environ.get("SYNTH_SOAK", "1"))
FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=150)
N_MANGLED, N_MEANT = 1500, 300

RECORD = RecordDeclaration.model_validate(
    {
        "text": "note",
        "fields": {
            "note": {"type": "string", "description": "What is said", "min_length": 5},
            "city": {"type": "string", "description": "Where"},
            "weight_g": {"type": "integer", "description": "How heavy", "minimum": 1},
            "price": {"type": "number", "description": "How dear"},
            "late": {"type": "boolean", "description": "Whether it came late"},
            "marks": {"type": "string_list", "description": "What stood on it"},
        },
    }
).record_class("parcels_record")
FIELDS = set(RECORD.model_fields)

NASTY = st.sampled_from(
    ["{", "}", "[{", '"', "```", "\n```\n", ",]", ", }", "\\", "</think>", "\\u0041", '{"note": 1}']
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | NASTY
RECORDS = st.fixed_dictionaries(
    {
        "note": st.text(st.characters(codec="utf-8"), min_size=5, max_size=60),
        "city": TEXTS,
        "weight_g": st.integers(1, 2**63 - 1),
        "price": st.floats(allow_nan=False, allow_infinity=False),
        "late": st.booleans(),
        "marks": st.lists(TEXTS, max_size=4),
    }
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*sorted(FIELDS), "x"]), inner),
    max_leaves=8,
)


def parse(content: str, **changes: Any) -> Parsed:
    return parse_completion(Answer(content=content, **{"finish_reason": "stop", **changes}), RECORD)


def assert_lawful(content: str, parsed: Parsed) -> None:
    """A whole record of what stands in the text, or a state with a reason that can be shown and sent."""
    assert parsed.state in {"ok", "refused", "cut_off", "unparsable"}
    if parsed.state != "ok":
        assert parsed.value is None
        assert parsed.reason
        assert len(parsed.reason) <= 300
        assert parsed.reason.encode()
    else:
        assert parsed.reason is None
        assert parsed.value is not None
        assert set(parsed.value) == FIELDS
        assert RECORD.model_validate(parsed.value, strict=True).model_dump() == parsed.value
        assert json.dumps(parsed.value, ensure_ascii=False, allow_nan=False).encode()
        assert Tokens.of(content).hold(parsed.value)


def test_the_tokens_of_a_text_are_what_stands_in_it() -> None:
    tokens = Tokens.of('say {"a\\u0062": [12.0, -3e2, "x\\n", true, null], "b": 1234')
    assert tokens.strings >= {"ab", "x\n", "b"}
    assert tokens.numbers == {Decimal(12), Decimal(-300), Decimal(1234)}
    assert tokens.hold({"ab": [12, -300.0, "x\n", True, None]})
    assert not any(map(tokens.hold, [{"a": 12}, 2, 34, 1.5, "x", "", ["b", "c"], False]))


# ------------------------------------------------------------------------------------------ what is meant is kept


@FIXED
@given(RECORDS, st.sampled_from([None, 1]), st.booleans())
def test_a_record_that_is_plain_json_comes_back_as_it_is(
    record: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    assert parse(json.dumps(record, indent=indent, ensure_ascii=ascii_only)) == Parsed("ok", None, record)


@FIXED
@given(RECORDS, st.integers(0, 2**32))
def test_a_dressed_record_comes_back_as_it_is(record: dict[str, object], number: int) -> None:
    content = dressed(record, rng_for("dressed", number))
    parsed = parse(content)
    assert parsed == Parsed("ok", None, record)
    assert_lawful(content, parsed)


@FIXED
@given(RECORDS, RECORDS, st.integers(0, 2**32))
def test_two_records_are_one_answer_only_if_they_are_equal(
    record: dict[str, object], other: dict[str, object], number: int
) -> None:
    rng = rng_for("two", number)
    assert parse(f"{spelt(record, rng)}\n{spelt(record, rng)}").value == record
    both = parse(f"{spelt(record, rng)}\nor {spelt(other, rng)}")
    assert both.state == ("ok" if record == other else "unparsable")


@FIXED
@given(RECORDS, st.floats(0, 1, exclude_max=True), st.sampled_from(FENCES))
def test_the_beginning_of_a_record_is_never_a_record(record: dict[str, object], share: float, fence: str) -> None:
    text = json.dumps(record)
    assert parse(fence.replace("{}", text[: int(len(text) * share)])).state != "ok"


@FIXED
@given(RECORDS, st.sets(st.sampled_from(sorted(FIELDS)), min_size=1), st.integers(0, 2**32))
def test_a_field_that_was_not_written_is_never_made_up(
    record: dict[str, object], missing: set[str], number: int
) -> None:
    rest = {name: value for name, value in record.items() if name not in missing}
    for content in (json.dumps(rest), f"So: {spelt(rest, rng_for('missing', number))}"):
        parsed = parse(content)
        assert (parsed.state, parsed.value) == ("unparsable", None)
        assert parsed.reason is not None
        assert all(f"{name}: Field required" in parsed.reason for name in missing)


@FIXED
@given(RECORDS, st.text(min_size=1).filter(lambda name: name not in FIELDS), JSON_VALUES)
def test_a_field_that_was_not_asked_for_is_refused(record: dict[str, object], extra: str, value: object) -> None:
    assert parse(json.dumps({**record, extra: value})).state == "unparsable"


@FIXED
@given(
    content=st.text(st.characters())
    | JSON_VALUES.map(json.dumps)
    | JSON_VALUES.map(lambda value: f"```\n{value}\n```"),
    finish_reason=st.sampled_from(["stop", "length", "content_filter", "no_choices", "unknown", ""]),
    refusal=st.none() | st.text(st.characters()),
)
def test_whatever_comes_back_is_a_whole_record_or_a_state_with_a_reason(
    content: str, finish_reason: str, refusal: str | None
) -> None:
    assert_lawful(content, parse(content, finish_reason=finish_reason, refusal=refusal))


# ------------------------------------------------------------------------------------------ mangled text


@pytest.mark.soak
@pytest.mark.parametrize("round_", range(SOAK))
def test_a_mangled_answer_is_what_stands_in_it_or_nothing(round_: int) -> None:
    states: Counter[str] = Counter()
    for number in range(N_MANGLED):
        content = mangled(rng_for("mangled", round_, number))
        parsed = parse(content)
        assert_lawful(content, parsed)
        states[parsed.state] += 1
    assert states["ok"] > N_MANGLED // 20 < states["unparsable"]


@pytest.mark.soak
@pytest.mark.parametrize("round_", range(SOAK))
def test_a_dressed_answer_is_what_was_meant(round_: int) -> None:
    for number in range(N_MEANT):
        rng = rng_for("meant", round_, number)
        record = a_record(rng)
        assert parse(dressed(record, rng)) == Parsed("ok", None, record)


# ------------------------------------------------------------------------------------------ work is bounded

FEW, MANY = 100_000, 1_000_000
MOST_CPU_S = 10  # chosen: each takes under one; what grows with the square of the length takes minutes
REPEATED = (
    *("{", "[", '"', "\\", " ", ", ", "{ ", "[ ", '{"', '{"\\"', '{"a":', '[{"a":', '{"a":"\\"', '{"a":"\ud83d'),
    *("*", "i ", '{"a":1}', '{"a":x', '{"a":1,}', '{"a":[1,],x', '{"a":1,"a":2,', '{"a":[],"a":[],}'),
    *('[{"a":1},', "[[1],", '{"a":NaN}', "<think>", "</think>", "```json\n", "~~~\n", "\ufeff"),
    json.dumps(a_record(rng_for("hostile"))),
)


def repeated(unit: str) -> Callable[[int], str]:
    return lambda n: unit * (n // len(unit))


HOSTILE: dict[str, Callable[[int], str]] = {
    **{unit: repeated(unit) for unit in REPEATED},
    "a gap after a brace": lambda n: "{" + " " * n,
    "a gap after a name": lambda n: '{"a"' + " " * n,
    "a gap after a comma": lambda n: '{"a":[1,' + " " * n,
    "a gap in a refusal": lambda n: "Thank you" + " " * n + "sorry",
    "a number": lambda n: '{"weight_g":' + "9" * n + "}",
    "a fraction": lambda n: '{"price":0.' + "9" * n + "}",
    "an exponent": lambda n: '{"price":1e' + "9" * n + "}",
    "a string": lambda n: '{"note":"' + "x" * n,
    "a string of quotation marks": lambda n: '{"note":"' + '\\"' * (n // 2) + '",}',
    "a list": lambda n: '{"marks":[' + "1," * (n // 2) + "1]}",
    "a list of halves": lambda n: json.dumps({"marks": ["\ud83d"] * (n // 10)}),
    "a name": lambda n: json.dumps({"x" * n: 1}),
    "names": lambda n: json.dumps({f"k{number}": 1 for number in range(n // 10)}),
    "encoded twice": lambda n: json.dumps("[" * n),
}


@pytest.mark.parametrize("n", [FEW, MANY])
@pytest.mark.parametrize("content", HOSTILE.values(), ids=map(repr, HOSTILE))
def test_no_text_takes_long(content: Callable[[int], str], n: int) -> None:
    text = content(n)
    started = time.process_time()
    parsed = parse(text)
    assert time.process_time() - started < MOST_CPU_S
    assert parsed.state == "unparsable"
    assert parsed.reason is not None
    assert len(parsed.reason) <= 300


@pytest.mark.parametrize("n", [FEW, MANY])
def test_a_long_record_is_a_record(n: int) -> None:
    rng = rng_for("long", n)
    record = {**a_record(rng), "note": 'It "came", late. {[,]} ' * (n // 23), "marks": ["x"] * (n // 10)}
    for content in (
        json.dumps(record),
        f"Sure: {spelt(record, rng)} Bye.",
        f"```json\n{json.dumps(record)[:-1]},}}\n```",
    ):
        assert parse(content).value == record
