"""From JSON values to the one record among them, or to the reason why there is none."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.protocols import CompletionState
from synth_pipeline.contracts.records import Record
from synth_pipeline.llm.parsing.extraction import TOO_DEEP, Reading, read_json

LONGEST_REASON, LONGEST_NAME, MOST_FAULTS = 300, 60, 1000
WRAPPERS = frozenset({"record", "answer", "output", "result", "response", "object", "json", "data"})
WORDS = {list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number", type(None): "null"}


@dataclass(frozen=True)
class Parsed:
    """What a completion holds: a value, or a state other than ok with its reason."""

    state: CompletionState
    reason: str | None = None
    value: Mapping[str, object] | None = None


def no_record(state: CompletionState, reason: str) -> Parsed:
    """Return a state with its reason: at most 300 characters, without half of a surrogate pair."""
    clean = whole_text(reason).strip()
    return Parsed(state, clean if len(clean) <= LONGEST_REASON else clean[: LONGEST_REASON - 1] + "…")


def whole_text(text: str) -> str:
    """Return the text with a replacement character for each half of a surrogate pair, which no encoding can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def judge(readings: Sequence[Reading], record_class: type[Record]) -> Parsed:
    """Return the one record among what was read; two that differ are none.

    Args:
        readings: at least one, the most telling last: its faults are reported where none is a record.
        record_class: the pydantic class that a record must fit.
    """
    parsed = [one for reading in readings for one in _parsed(reading, record_class)]
    records = [one for one in parsed if one.value is not None]
    if len(records) > 1 and len({canonical_json(one.value) for one in records}) > 1:
        return no_record("unparsable", "two different answers: give one JSON object")
    return records[0] if records else parsed[-1]


def _parsed(reading: Reading, record_class: type[Record]) -> Iterator[Parsed]:
    if reading.fault is not None:
        yield no_record("unparsable", f"not JSON: {reading.fault}")
    else:
        for value in _unwrapped(reading.value, record_class):
            yield _validate(value, record_class)


def _unwrapped(value: object, record_class: type[Record]) -> Iterator[object]:
    """Yield the value, and what it is the plain wrapping of: a list, an object or a string around one object."""
    yield value
    match value:
        case [dict(only)]:
            yield only
        case dict() if len(value) == 1:
            [(name, held)] = value.items()
            if isinstance(held, dict) and name in WRAPPERS | {record_class.__name__}:
                yield held
        case str():
            try:
                spelt = read_json(value)
            except (ValueError, RecursionError):
                return
            if isinstance(spelt, dict):
                yield spelt


def _validate(value: object, record_class: type[Record]) -> Parsed:
    if not isinstance(value, dict):
        return _not_the_record(f"the answer is {WORDS[type(value)]}, not an object")
    try:
        as_json = to_json(value)
    except PydanticSerializationError:
        return _not_the_record(_unwritable(value))
    try:
        record = _strictly(value, as_json, record_class)
    except ValidationError as error:
        return _not_the_record(_faults(error))
    return Parsed("ok", value=record.model_dump(mode="json", exclude_unset=True))


def _strictly(value: dict[str, object], as_json: bytes, record_class: type[Record]) -> Record:
    """Return the record, with nothing coerced: a number in quotes is no number.

    Python's strict mode is the faster one, but wants a date where JSON has a text for it; JSON's has the last word.
    """
    try:
        return record_class.model_validate(value, strict=True)
    except ValidationError:
        return record_class.model_validate_json(as_json, strict=True)


def _not_the_record(faults: str) -> Parsed:
    return no_record("unparsable", f"not the record that was asked for: {faults}")


def _faults(error: ValidationError) -> str:
    if error.error_count() > MOST_FAULTS:
        return f"{error.error_count()} values do not fit"
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{_place(detail['loc'])}: {detail['msg']}" for detail in details)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(step)[:LONGEST_NAME] for step in location) or "answer"


def _unwritable(value: Mapping[str, object]) -> str:
    """Return which field no file could hold: half of a surrogate pair, or nested too deeply."""
    for name, part in value.items():
        try:
            json.dumps({name: part}, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return f"{name[:LONGEST_NAME]}: holds half of a surrogate pair"
        except RecursionError:
            break
    return TOO_DEEP
