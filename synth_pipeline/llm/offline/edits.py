"""The answers that are no fresh writing: a number changed in a source, candidates accepted or not."""

import re
from collections.abc import Mapping
from typing import Any

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.offline.faults import longest_text, number_pattern

SENTENCE_END = re.compile(r"(?<=[.!?;])\s+(?=[^a-z])")


def damage_source(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source record with the healthy value replaced by the sick one where it is stated.

    Args:
        given: `source`, `healthy_value` and `sick_value`, and what names the quantity (`quantity`,
            `quantity_label`). A source that does not state the healthy value comes back unchanged.
    """
    source = dict(given["source"])
    field = longest_text(source)
    healthy, sick = str(given.get("healthy_value", "")), str(given.get("sick_value", ""))
    if field is None or not healthy:
        return source
    pattern = number_pattern(healthy)
    label = f"{given.get('quantity', '')} {given.get('quantity_label', '')}"
    place = _stating_sentence(source[field], pattern, _words(label.replace("_", " ")))
    if place is None:
        return source
    start, end = place
    text = source[field]
    return {**source, field: text[:start] + pattern.sub(lambda _: sick, text[start:end]) + text[end:]}


def accept_candidates(given: Mapping[str, Any], voice: str, accept: float) -> list[str]:
    """Return the candidates that `voice` says yes to, in their order; the same for every seed.

    Args:
        given: `axis` and `candidates`.
        voice: who is asked.
        accept: the share of candidates it accepts.
    """
    axis = given.get("axis", "")
    candidates = [str(candidate) for candidate in given.get("candidates", ())]
    return [c for c in candidates if rng_for("offline-structure", voice, axis, c).random() < accept]


def _stating_sentence(text: str, pattern: re.Pattern[str], label: frozenset[str]) -> tuple[int, int] | None:
    starts = [0, *(found.end() for found in SENTENCE_END.finditer(text))]
    spans = list(zip(starts, [*starts[1:], len(text)], strict=True))
    stating = [span for span in spans if pattern.search(text, *span)]
    return max(stating, key=lambda span: len(_words(text[slice(*span)]) & label), default=None)


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"[a-z]{3,}", text.lower()))
