"""A voice's hand on finished sentences: its words, connectives, spacing and closing lines."""

import random
import re
from collections.abc import Sequence

from synth_pipeline.llm.offline.voices import Voice

MOVABLE = (
    "The ",
    "We ",
    "This ",
    "These ",
    "A ",
    "An ",
    "In ",
    "Our ",
    "It ",
    "Results ",
    "Estimates ",
    "There ",
)
LOOSE_MARK = re.compile(r" +([,.;:])")


def style_text(parts: Sequence[str], voice: Voice, kept: Sequence[str], rng: random.Random) -> str:
    """Return `parts` as one text in the hand of `voice`.

    Args:
        parts: sentences, or labelled groups of them, in order.
        voice: whose hand.
        kept: texts that must stand as they are (the given values).
        rng: decides each swap.
    """
    joined = [_join(part, at, voice, rng) for at, part in enumerate(parts)]
    text = _swap_words(LOOSE_MARK.sub(r"\1", " ".join(joined)), voice, kept, rng)
    if voice.closings and rng.random() < voice.closing_rate:
        text += " " + rng.choice(voice.closings)
    return text


def _join(part: str, at: int, voice: Voice, rng: random.Random) -> str:
    if at and part.startswith(MOVABLE) and rng.random() < voice.connective_rate:
        part = f"{rng.choice(voice.connectives)} {part[0].lower()}{part[1:]}"
    if at and part.startswith(MOVABLE) and rng.random() < voice.lowercase_rate:
        part = part[0].lower() + part[1:]
    return " " + part if at and rng.random() < voice.double_space_rate else part


def _swap_words(text: str, voice: Voice, kept: Sequence[str], rng: random.Random) -> str:
    words = [word for word in voice.replace if word in text and not any(word in v and v in text for v in kept)]
    if not words:
        return text
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, words)) + r")\b")
    return pattern.sub(lambda m: voice.replace[m[0]] if rng.random() < voice.replace_rate else m[0], text)
