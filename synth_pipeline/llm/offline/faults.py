"""The faults a voice shows by its dials: in the record it answers, in its text, or in place of it."""

import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.offline.voices import Dials

Record = dict[str, Any]
YEARS = range(1900, 2101)
TIME_WORDS = frozenset({"year", "start", "end", "date", "from", "to", "since", "until", "begin", "founded"})
HABITS = frozenset({"accept", "latency_s"})
FAULTS = tuple(name for name in Dials.model_fields if name not in HABITS)
REFUSALS = (
    "I'm sorry, but I can't help with that request.",
    "I cannot write this text, as it would present invented findings as research.",
    "I'm unable to write this. I'd be glad to help you find published studies instead.",
    "I am not able to make up the results of a study that does not exist.",
)


def draw_faults(dials: Dials, *names: object) -> frozenset[str]:
    """Return the faults that the request called `names` shows, each drawn from a stream of its own."""
    rates = ((fault, getattr(dials, fault)) for fault in FAULTS)
    return frozenset(f for f, rate in rates if rate and rng_for("offline-dial", f, *names).random() < rate)


def spoil_record(record: Record, faults: frozenset[str], rng: random.Random) -> Record:
    """Return `record` with those of `faults` that live in values; one that finds no place changes nothing."""
    for fault, spoil in IN_RECORD.items():
        if fault in faults:
            record = spoil(record, rng)
    return record


def spoil_text(text: str, rng: random.Random) -> str:
    """Return the JSON `text` so that it no longer parses, not even by a reader that forgives a trailing comma."""
    return rng.choice(BREAKS)(text)


def cut_text(text: str, rng: random.Random) -> str:
    """Return the beginning of `text`, cut somewhere in its second half."""
    return text[: max(1, int(len(text) * rng.uniform(0.5, 0.95)))]


def refuse(rng: random.Random) -> str:
    """Return a refusal in plain text."""
    return rng.choice(REFUSALS)


def number_pattern(number: int | str) -> re.Pattern[str]:
    """Return the pattern that finds `number` as a whole number in a text, with thousands commas or not."""
    plain = str(number)
    forms = {plain, f"{number:,}"} if isinstance(number, int) else {plain}
    either = "|".join(sorted(map(re.escape, forms), key=len, reverse=True))
    return re.compile(rf"(?<![\d.,])(?:{either})(?!\d|[.,]\d)")


def longest_text(record: Mapping[str, Any]) -> str | None:
    """Return the name of the field that holds the longest text; None where no field holds a text."""
    texts = [(len(value), name) for name, value in record.items() if isinstance(value, str)]
    return max(texts)[1] if texts else None


def _implausible(record: Record, rng: random.Random) -> Record:
    fields = _int_fields(record, years=False)
    if not fields:
        return record
    field = rng.choice(fields)
    wrong = record[field] * 10 ** rng.choice((2, 3)) if rng.random() < 0.6 else max(1, record[field] // 1000)
    spoilt = _restate(record, record[field], wrong) if rng.random() < 0.5 else record
    return {**spoilt, field: wrong}


def _temporal_inversion(record: Record, rng: random.Random) -> Record:
    years = _int_fields(record, years=True)
    pairs = [(a, b) for a in years for b in years if record[a] < record[b]]
    if not pairs:
        return record
    first, second = rng.choice(pairs)
    return {**record, first: record[second], second: record[first]}


def _misstated_number(record: Record, rng: random.Random) -> Record:
    text = record.get(longest_text(record) or "", "")
    stated = [field for field in _int_fields(record, years=False) if number_pattern(record[field]).search(text)]
    if not stated:
        return record
    number = record[rng.choice(stated)]
    return _restate(record, number, number + max(1, int(number * rng.uniform(0.1, 0.6))))


def _restate(record: Record, number: int, other: int) -> Record:
    field = longest_text(record)
    if field is None:
        return record
    restated = number_pattern(number).sub(lambda m: f"{other:,}" if "," in m[0] else str(other), record[field])
    return {**record, field: restated}


def _int_fields(record: Record, *, years: bool) -> list[str]:
    ints = [name for name, value in record.items() if isinstance(value, int) and not isinstance(value, bool)]
    return [name for name in ints if _is_year(name, record[name]) == years]


def _is_year(name: str, value: int) -> bool:
    return value in YEARS and bool(TIME_WORDS & set(name.split("_")))


IN_RECORD: dict[str, Callable[[Record, random.Random], Record]] = {
    "implausible": _implausible,
    "temporal_inversion": _temporal_inversion,
    "misstated_number": _misstated_number,
}
BREAKS: tuple[Callable[[str], str], ...] = (
    lambda text: text[:-1],
    lambda text: text[:-1] + "]",
    lambda text: text.replace('":', '"', 1),
    lambda text: text[:-1] + ";",
    lambda text: text.replace('"', "'", 2),
)
