"""A completion is either the record that was asked for, whole, or a state with a reason."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.llm.parsing import Parsed, parse_completion
from synth_pipeline_tests.llm.entries import entry
from synth_pipeline_tests.scenario import RECIPE, record_of

RECORD = RECIPE.record.record_class("parcels_record")
FIELDS = {"note", "city", "weight_g", "came_on", "sent_on", "price"}
VALID = record_of("p0")
JSON_TEXT = json.dumps(VALID)

VALID_RECORDS = st.fixed_dictionaries(
    {
        "note": st.text(st.characters(codec="utf-8"), min_size=20, max_size=60),
        "city": st.text(st.characters(codec="utf-8"), max_size=10) | st.sampled_from(["{", "}", "```", '"']),
        "weight_g": st.integers(1, 2**53),
        "came_on": st.integers(-(2**53), 2**53),
        "sent_on": st.integers(-(2**53), 2**53),
        "price": st.floats(0, 1e300),
    }
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*sorted(FIELDS), "x"]), inner),
    max_leaves=8,
)
WRAPPINGS = (
    "{}",
    "\n\n  {}\n",
    "```json\n{}\n```",
    "```\n{}\n```",
    "Here it is:\n\n```json\n{}\n```\nIt keeps to {{your}} rules.",
    "  ```json\n  {}\n  ```",
    "```json\r\n{}\r\n```",
    "Sure! {} I hope this helps.",
    "```json\n{}",
)


def parse(content: str | None, **changes: Any) -> Parsed:
    return parse_completion(entry(content=content, **changes), RECORD)


@given(
    record=VALID_RECORDS, wrapping=st.sampled_from(WRAPPINGS), ascii_only=st.booleans(), indent=st.none() | st.just(1)
)
def test_a_valid_record_comes_back_as_it_is_whatever_stands_around_it(
    record: dict[str, object], wrapping: str, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(record, ensure_ascii=ascii_only, indent=indent)
    assert parse(wrapping.format(text)) == Parsed("ok", None, record)


@given(
    content=st.text(st.characters())
    | JSON_VALUES.map(json.dumps)
    | JSON_VALUES.map(lambda value: f"```\n{value}\n```"),
    finish_reason=st.sampled_from(["stop", "length", "content_filter", "no_choices", "unknown", ""]),
    refusal=st.none() | st.text(),
)
def test_whatever_comes_back_is_a_whole_record_or_a_state_with_a_reason(
    content: str, finish_reason: str, refusal: str | None
) -> None:
    parsed = parse(content, finish_reason=finish_reason, refusal=refusal)
    assert parsed.state in {"ok", "refused", "cut_off", "unparsable"}
    if parsed.state == "ok":
        assert parsed.value is not None
        assert set(parsed.value) == FIELDS
    else:
        assert parsed.value is None
        assert parsed.reason is not None
        assert len(parsed.reason) <= 300


@given(record=VALID_RECORDS, share=st.floats(0, 1, exclude_max=True))
def test_the_beginning_of_a_record_is_never_a_record(record: dict[str, object], share: float) -> None:
    text = json.dumps(record)
    assert parse(text[: int(len(text) * share)]).state in {"unparsable", "refused"}


@given(missing=st.sets(st.sampled_from(sorted(FIELDS)), min_size=1))
def test_a_field_that_was_not_written_is_never_made_up(missing: set[str]) -> None:
    rest = {name: value for name, value in VALID.items() if name not in missing}
    parsed = parse(json.dumps(rest))
    assert (parsed.state, parsed.value) == ("unparsable", None)
    assert parsed.reason is not None
    assert all(f"{name}: Field required" in parsed.reason for name in missing)


@given(extra=st.text(min_size=1).filter(lambda name: name not in FIELDS), value=JSON_VALUES)
def test_a_field_that_was_not_asked_for_is_refused(extra: str, value: object) -> None:
    assert parse(json.dumps({**VALID, extra: value})).state == "unparsable"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"finish_reason": "length", "tokens_out": 90},
            ("cut_off", "the answer was cut off after 90 tokens; raise max_tokens"),
        ),
        ({"finish_reason": "content_filter"}, ("refused", "the provider's content filter stopped the answer")),
        ({"refusal": " I will not. "}, ("refused", "I will not.")),
    ],
)
def test_a_whole_record_that_the_provider_disowns_is_no_record(
    changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    parsed = parse(JSON_TEXT, **changes)
    assert ((parsed.state, parsed.reason), parsed.value) == (expected, None)


@pytest.mark.parametrize(
    "content",
    [
        "I'm sorry, but I can't help with that request.",
        "I’m sorry, but no.",
        "  I cannot write this.",
        "I can't.",
        "I am unable to do so.",
        "Sorry, no.",
        "I won't write that.",
    ],
)
def test_a_refusal_in_words_is_a_refusal(content: str) -> None:
    assert parse(content) == Parsed("refused", content.strip())


def test_a_record_that_begins_with_an_apology_is_a_record() -> None:
    assert parse(f"I'm sorry for the wait. {JSON_TEXT}").state == "ok"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "the answer is empty"),
        (" \n", "the answer is empty"),
        ("It came late.", "not JSON: Expecting value"),
        (JSON_TEXT[:-1] + ",}", "not JSON: "),
        (f"[{JSON_TEXT}, {JSON_TEXT}]", "not JSON: Extra data"),
        ("[" * 100_000, "not JSON: "),
        ('{"weight_g": ' + "9" * 5000 + "}", "not JSON: Exceeds the limit"),
        ("null", "not the record that was asked for: answer: Input should be"),
        (json.dumps({**VALID, "weight_g": 0}), "weight_g: Input should be greater than or equal to 1"),
        (json.dumps({**VALID, "price": float("nan")}), "price: Input should be"),
        (json.dumps({**VALID, "note": "Late."}), "note: String should have at least 20 characters"),
        (json.dumps({**VALID, "note": "\ud83d" * 30}), "note: Input should be a valid string"),
    ],
)
def test_what_is_no_record_says_why(content: str | None, reason: str) -> None:
    parsed = parse(content)
    assert parsed.state == "unparsable"
    assert parsed.reason is not None
    assert reason in parsed.reason
