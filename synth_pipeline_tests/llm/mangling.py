"""How answers may come: a record in its many spellings and dresses, its text mangled, and what stands in a text."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

# ------------------------------------------------------------------------------------------ what stands in a text


@dataclass(frozen=True)
class Tokens:
    """The JSON strings and numbers that stand in a text, found without the parser: each one at its first character."""

    text: str
    strings: frozenset[str]
    numbers: frozenset[Decimal]

    @classmethod
    def of(cls, text: str) -> "Tokens":
        """Return the tokens of a text, and of the text that it holds where it is one JSON string."""
        found = [*_tokens(text)]
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError):
            inner = None
        if isinstance(inner, str):
            found += _tokens(inner)
        numbers = frozenset(one for one in found if isinstance(one, Decimal) and one.is_finite())
        return cls(text, frozenset(one for one in found if isinstance(one, str)), numbers)

    def hold(self, value: object) -> bool:
        """Return whether every name and every leaf of a value is one of the tokens."""
        match value:
            case dict():
                return all(name in self.strings and self.hold(part) for name, part in value.items())
            case list():
                return all(map(self.hold, value))
            case bool() | None:
                return json.dumps(value) in self.text
            case int():
                return Decimal(value) in self.numbers
            case float():
                return any(float(number) == value for number in self.numbers)
        return value in self.strings


def _tokens(text: str) -> Iterator[object]:
    decoder = json.JSONDecoder(parse_int=Decimal, parse_float=Decimal)
    for place, character in enumerate(text):
        begins_number = character in "-0123456789" and (not place or text[place - 1] in " \t\r\n:,[")
        if character == '"' or begins_number:
            try:
                yield decoder.raw_decode(text, place)[0]
            except ValueError:
                continue


# ------------------------------------------------------------------------------------------ spelling and dressing


def spelt(value: object, rng: random.Random) -> str:
    """Return a value as JSON in one of its many spellings, some with trailing commas."""
    match value:
        case dict():
            members = [f"{spelt(name, rng)}{_gap(rng)}:{spelt(part, rng)}" for name, part in value.items()]
            return _spelt_items("{}", members, rng)
        case list():
            return _spelt_items("[]", [spelt(part, rng) for part in value], rng)
        case str():
            return json.dumps(value, ensure_ascii=rng.random() < 0.5)
    return json.dumps(value)


def _spelt_items(brackets: str, items: list[str], rng: random.Random) -> str:
    trailing = "," + _gap(rng) if items and rng.random() < 0.3 else ""
    inner = ",".join(f"{_gap(rng)}{item}{_gap(rng)}" for item in items)
    return brackets[0] + inner + trailing + brackets[1]


def _gap(rng: random.Random) -> str:
    return rng.choice(["", "", " ", "\n  ", "\r\n\t"])


PROSE = (
    *("", "Sure!", "Here is {the} record, as {{asked}}:", "I hope [1] this 'helps' }.", "I'm sorry for the wait."),
    *("{}", '{"note": "..."}', '{"note": string, "city": string}', '(5" wide)', "[see](there)"),
    *("\ufeff", "\u200b", "json", "😀", "\\"),
)
FENCES = ("{}", "```json\n{}\n```", "```\n{}\n```", "~~~\n{}\n~~~", "  ```JSON\r\n{}\r\n  ```", "```json\n{}", "`{}`")


def dressed(record: Mapping[str, object], rng: random.Random) -> str:
    """Return a record as a model may answer it: spelt, fenced, in prose, after reasoning."""
    answer = rng.choice(FENCES).replace("{}", spelt(record, rng))
    draft = spelt({**record, "city": "Bern"}, rng)
    reasoning = f"<think>{rng.choice(PROSE)} {draft}</think>" if rng.random() < 0.2 else ""
    return f"{reasoning}\n{rng.choice(PROSE)}\n{answer}\n{rng.choice(PROSE)}\n"


# ------------------------------------------------------------------------------------------ mangling

WORDS = (
    *("", "a", "It came late.", "Bern", 'the "box"', "a\\b", "{x}", "[1]", "a,]", "```", "zwölf"),
    *("😀", "\n", "\t", "}"),
)
SNIPPETS: tuple[str, ...] = (
    *'{}[]",:\\\n\t 01-.eE`<>\0',
    *(",}", ",]", "{{", "}}", "[[", '""', '\\"', "\\u00", "\\ud83d", "\ud83d", "\ufeff", "😀", "null", "true"),
    *("NaN", "1e999", "-Infinity", "9" * 400, "```", "~~~json\n", "<think>", "</think>", '{"note":'),
    *('"city": "Lyon",', "I'm sorry", "// so"),
)


def a_record(rng: random.Random) -> dict[str, object]:
    """Return a record that fits the class."""
    return {
        "note": "It is " + " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 12))),
        "city": rng.choice(WORDS),
        "weight_g": rng.choice([1, 12, 1200, 2**53 + 1, 2**63 - 1]),
        "price": rng.choice([0.0, -0.0, 5.5, -3.25, 1e-7, 1e300, 12.0]),
        "late": rng.random() < 0.5,
        "marks": [rng.choice(WORDS) for _ in range(rng.randint(0, 4))],
    }


def _span(text: str, rng: random.Random) -> tuple[int, int]:
    start = rng.randint(0, len(text))
    return start, min(len(text), start + rng.choice([1, 1, 1, 2, 5, 40]))


def delete(text: str, rng: random.Random) -> str:
    start, end = _span(text, rng)
    return text[:start] + text[end:]


def insert(text: str, rng: random.Random) -> str:
    start, _ = _span(text, rng)
    return text[:start] + rng.choice(SNIPPETS) + text[start:]


def duplicate(text: str, rng: random.Random) -> str:
    start, end = _span(text, rng)
    return text[:end] + text[start:end] + text[end:]


def swap(text: str, rng: random.Random) -> str:
    start, end = _span(text, rng)
    middle = rng.randint(start, end)
    return text[:start] + text[middle:end] + text[start:middle] + text[end:]


def overwrite(text: str, rng: random.Random) -> str:
    start, end = _span(text, rng)
    return text[:start] + rng.choice(SNIPPETS) + text[end:]


def cut(text: str, rng: random.Random) -> str:
    start = rng.randint(0, len(text))
    return text[:start] if rng.random() < 0.7 else text[start:]


def add_comma(text: str, rng: random.Random) -> str:
    places = [place for place, character in enumerate(text) if character in "}]"]
    place = rng.choice(places) if places else 0
    return text[:place] + rng.choice([",", " , ", ",,"]) + text[place:]


def wrap(text: str, rng: random.Random) -> str:
    other = spelt(a_record(rng), rng)
    wrappings = (
        *("[@]", '{"record": @}', '{"x": @}', '["y", @]', "```json\n@\n```", "Sure {so}: @ Bye."),
        *("<think>@</think>", "<think>@", "@</think>@", f"<think>{other}</think>@", '{"note": @', "@@"),
        *(f"{other}\n@", f"[{other}, @]", f"@ {other[:-1]}", "[" * 1500 + "@"),
    )
    return rng.choice(wrappings).replace("@", text)


def encode(text: str, rng: random.Random) -> str:
    return json.dumps(text, ensure_ascii=rng.random() < 0.5)


EDITS = (delete, insert, duplicate, swap, overwrite, cut, add_comma, wrap, encode)


def mangled(rng: random.Random) -> str:
    """Return a record's text after one to four edits."""
    record = a_record(rng)
    text = dressed(record, rng) if rng.random() < 0.3 else spelt(record, rng)
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(EDITS)(text, rng)
    return text
