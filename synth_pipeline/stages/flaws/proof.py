"""Proof of a twin: the text changed where it should and nowhere else, and states the sick value there."""

import difflib
import re
from dataclasses import dataclass

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
THOUSANDS = re.compile(r"(?<=\d)(?=(?:\d{3})+$)")
PROVEN = "proven"


@dataclass(frozen=True)
class Span:
    """The stretch of the variant's text that differs from its source: character positions and both wordings."""

    start: int
    end: int
    before: str
    after: str


def find_span(source: str, variant: str) -> Span:
    """Return the smallest stretch of words of `variant` outside which both texts are equal."""
    before, after = _words(source), _words(variant)
    blocks = [
        op for op in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if op[0] != "equal"
    ]
    if not blocks:
        return Span(0, 0, "", "")
    first, last = blocks[0], blocks[-1]
    start, end = len("".join(after[: first[3]])), len("".join(after[: last[4]]))
    return Span(start, end, "".join(before[first[1] : last[2]]), variant[start:end])


def prove(source: str, variant: str, *, healthy: str, sick: str) -> str:
    """Return `proven`, or why the variant is not the planned damage.

    Proven means: exactly one sentence differs; the source's wording of it states the healthy value, the variant's
    states the sick value once more and the healthy value once less than the source's does.
    """
    old, new = SENTENCE_END.split(source), SENTENCE_END.split(variant)
    if old == new:
        return "the text did not change"
    if len(old) != len(new):
        return f"the variant has {len(new)} sentences, its source {len(old)}"
    changed = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
    if len(changed) != 1:
        return f"{len(changed)} sentences differ, not exactly one"
    return _prove_sentence(*changed[0], healthy, sick)


def _prove_sentence(before: str, after: str, healthy: str, sick: str) -> str:
    if not count_stated(before, healthy):
        return f"the changed sentence did not state the healthy value {healthy}"
    if count_stated(after, sick) <= count_stated(before, sick):
        return f"the changed sentence does not state the sick value {sick}"
    if count_stated(after, healthy) >= count_stated(before, healthy):
        return f"the changed sentence still states the healthy value {healthy}"
    return PROVEN


def count_stated(text: str, number: str) -> int:
    """Return how often `number` stands in `text` as a whole number, not inside a longer one.

    Thousands may be written together or parted by a comma or a space.
    """
    whole, point, decimals = number.partition(".")
    grouped = THOUSANDS.sub(r"[,\\s]?", whole)
    return len(re.findall(rf"(?<![\d.,]){grouped}{re.escape(point + decimals)}(?!\d|[.,]\d)", text))


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|[^\s]+", text)
