"""The JSON in a text: one plain reading where the text is JSON, else what stands in prose, fences and reasoning.

Nothing is guessed or completed. The only thing that is mended is a comma before a closing bracket. The search goes
forward only and looks at a bounded number of places, so that no text, however long or odd, takes it long.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_OBJECTS, MOST_MENDED, MOST_DIGITS = 100, 3, 308  # chosen, far above an honest answer; floats have 308

STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# What may open an answer: an object with its first name, or a list of such. A lone { or [ in prose is neither.
LANDMARK = re.compile(
    rf"""
    (?P<reasoning><think(?:ing)?>) | (?P<reasoned></think(?:ing)?>)
    | \{{\s*+(?:\}}|{STRING}\s*+:) | \[\s*+[\[{{]
    """,
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
REASONED = re.compile("</think(?:ing)?>", re.IGNORECASE)
BEFORE_CLOSING = re.compile(r",?\s*+[}\]]")
# Strings, closed or not, and commas that stand for nothing ([, or {,) are passed over whole.
TRAILING_COMMA = re.compile(rf"(?P<kept>{STRING}?|[\[{{]\s*+,)|,(?=\s*+[}}\]])", re.DOTALL)

# In our own words, which are the same under every Python and say to the model what to mend.
NO_NAME, NO_VALUE = "a name in double quotes is missing", "a value is missing or is no JSON value"
FAULTS = {
    "Expecting property name": NO_NAME,
    "Illegal trailing comma before end of object": NO_NAME,
    "Expecting value": NO_VALUE,
    "Illegal trailing comma before end of array": NO_VALUE,
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting ',' delimiter": "a comma or closing bracket is missing, or a quotation mark in a string lacks its \\",
    "Unterminated string": "the string that begins here is not closed",
    "Invalid control character": "a line break in a string is not written \\n, or a tab not \\t",
    "Invalid \\escape": "a backslash in a string is not written \\\\",
    "Invalid \\uXXXX escape": "four hexadecimal digits are missing after \\u",
}
TOO_DEEP = "it is nested too deeply"


class UnreadableJson(ValueError):
    """It follows JSON's grammar, but readers would not agree on its value; says what is wrong."""


@dataclass(frozen=True)
class Reading:
    """What was read at one place of a text: a value, or the fault for which there is none; `end` is where it stops."""

    start: int
    end: int
    value: object = None
    fault: str | None = None


@dataclass
class Found:
    """What was found in a text: the readings in their order, and where reasoning ended and the answer begins."""

    readings: list[Reading] = field(default_factory=list)
    begins: int = 0


def read_json(text: str) -> object:
    """Return the value of a text that is JSON and nothing else.

    A number whose fraction is zero is an integer, as in JSON schema.

    Raises:
        ValueError: it is not JSON; `UnreadableJson` where a name stands twice or a number is none.
        RecursionError: it is nested too deeply.
    """
    return DECODER.decode(text)


def find_json(text: str) -> Found:
    """Return every object, and every list of objects, that stands in a text and in no other one.

    What a model wrote down while it was reasoning (`<think>...</think>`) is passed over.

    Raises:
        UnreadableJson: there are too many of them to be one answer.
    """
    found, at, n_mended = Found(), 0, 0
    while mark := LANDMARK.search(text, at):
        at = mark.end()
        if mark["reasoning"]:
            ending = REASONED.search(text, at)
            at = found.begins = ending.end() if ending else len(text)
        elif mark["reasoned"]:  # the beginning was part of the prompt, so that all before it is reasoning
            found = Found(begins=at)
        else:
            reading = _read(text, mark.start())
            if reading.fault is not None and n_mended < MOST_MENDED and BEFORE_CLOSING.match(text, reading.end):
                n_mended += 1
                reading = _read(_without_trailing_commas(text, mark.start()), mark.start())
            found.readings.append(reading)
            at = reading.end
        if len(found.readings) > MOST_OBJECTS:
            raise UnreadableJson(f"more than {MOST_OBJECTS} objects stand in the answer")
    return found


def _read(text: str, start: int) -> Reading:
    """Return what is read at `start`; what stands inside of something broken is passed over with it."""
    try:
        value, end = DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return Reading(start, error.pos, fault=_in_words(error))
    except UnreadableJson as error:
        return Reading(start, _end(text, start), fault=str(error))
    except RecursionError:
        return Reading(start, len(text), fault=TOO_DEEP)
    return Reading(start, end, value)


def _end(text: str, start: int) -> int:
    """Return where the object that begins at `start` ends, or stops being JSON."""
    try:
        return PLAIN.raw_decode(text, start)[1]
    except json.JSONDecodeError as error:
        return error.pos
    except RecursionError:
        return len(text)


def _without_trailing_commas(text: str, start: int) -> str:
    """Return the text with a space for each comma before a closing bracket, outside strings, from `start` on."""
    return text[:start] + TRAILING_COMMA.sub(lambda token: token["kept"] or " ", text[start:])


def _in_words(error: json.JSONDecodeError) -> str:
    if error.pos >= len(error.doc.rstrip()):
        return "it ends before it is whole"
    what = next((ours for theirs, ours in FAULTS.items() if error.msg.startswith(theirs)), error.msg)
    return f"{what} (line {error.lineno} column {error.colno})"


# ------------------------------------------------------------------------------------------ the decoder


def _object(members: Sequence[tuple[str, object]]) -> dict[str, object]:
    unique = dict(members)
    if len(unique) < len(members):
        [(name, _)] = Counter(name for name, _ in members).most_common(1)
        raise UnreadableJson(f"the name {name[:60]!r} stands twice in one object")
    return unique


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise UnreadableJson(f"a number has {len(digits)} digits")
    return int(digits)


def _number(digits: str) -> int | float:
    whole, _, fraction = digits.partition(".")
    if fraction and not fraction.strip("0") and whole != "-0":
        return _integer(whole)
    number = float(digits)
    if math.isinf(number):
        raise UnreadableJson(f"the number {digits[:30]} is too large")
    return number


def _no_number(name: str) -> None:
    raise UnreadableJson(f"{name} is not a JSON value")


DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_no_number
)
PLAIN = json.JSONDecoder(parse_int=len, parse_float=len)
