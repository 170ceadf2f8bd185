"""Proof of a twin: the text changed where it should and nowhere else, and states the sick value there."""

import difflib
import re
from dataclasses import dataclass

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
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

    Proven means: exactly one sentence differs; the source's wording of it states the healthy value and not the sick
    one, the variant's states the sick value and no longer the healthy one.
    """
    old, new = SENTENCE_END.split(source), SENTENCE_END.split(variant)
    changed_old = [sentence for sentence in old if sentence not in new]
    changed_new = [sentence for sentence in new if sentence not in old]
    if not changed_new and not changed_old:
        return "the text did not change"
    if len(old) != len(new) or len(changed_new) != 1 or len(changed_old) != 1:
        return f"{max(len(changed_new), len(changed_old))} sentences differ, not exactly one"
    if not states(changed_old[0], healthy):
        return f"the changed sentence did not state the healthy value {healthy}"
    if not states(changed_new[0], sick):
        return f"the changed sentence does not state the sick value {sick}"
    if states(changed_new[0], healthy) and healthy != sick and not states_twice(changed_old[0], healthy):
        return f"the changed sentence still states the healthy value {healthy}"
    return PROVEN


def states(text: str, number: str) -> bool:
    """Return whether `number` stands in `text` as a whole number, not inside a longer one."""
    return _whole(number).search(text) is not None


def states_twice(text: str, number: str) -> bool:
    """Return whether `number` stands in `text` more than once."""
    return len(_whole(number).findall(text)) > 1


def _whole(number: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\d.,]){re.escape(number)}(?![\d]|[.,]\d)")


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|[^\s]+", text)
