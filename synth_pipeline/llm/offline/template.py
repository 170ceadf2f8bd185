"""Templates: text with holes, read once and rendered many times.

`{name}`          a rule, else a given value       `{name.part}`   a part of a chosen entity
`{name|filter}`   formatted                        `{3..24}`       a drawn number, as many decimals
`[this|or that]`  one of them, may be nested, may be empty
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NUMBER_RANGE = re.compile(r"(-?\d+(?:\.(\d+))?)\.\.(-?\d+(?:\.\d+)?)")
HOLE = re.compile(r"([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?((?:\|\w+)*)")


class TemplateFault(ValueError):
    """A template that cannot be read."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A place for a rule's text or a given value."""

    name: str
    part: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """A place for a drawn number."""

    low: float
    high: float
    decimals: int


@dataclass(frozen=True, slots=True)
class Pick:
    """A place for one of several templates."""

    options: "tuple[Template, ...]"


Piece = str | Hole | Draw | Pick
Template = tuple[Piece, ...]


def parse_template(text: str) -> Template:
    """Return `text` as pieces.

    Raises:
        TemplateFault: a bracket or brace is not closed, or a hole cannot be read.
    """
    options, end = _read_options(text, 0, nested=False)
    if end != len(text):
        raise TemplateFault(f"unmatched ']' at character {end}")
    return options[0]


def holes_of(template: Template) -> Iterator[Hole]:
    """Yield every hole of `template`, those in its picks too."""
    for piece in template:
        if isinstance(piece, Hole):
            yield piece
        elif isinstance(piece, Pick):
            for option in piece.options:
                yield from holes_of(option)


def _read_options(text: str, start: int, *, nested: bool) -> tuple[tuple[Template, ...], int]:
    done: list[Template] = []
    pieces: list[Piece] = []
    at = start
    while at < len(text):
        char = text[at]
        if char == "]":
            break
        if char == "|" and nested:
            done.append(tuple(pieces))
            pieces, at = [], at + 1
            continue
        piece, at = _read_piece(text, at, nested=nested)
        pieces.append(piece)
    if nested and at >= len(text):
        raise TemplateFault("'[' is not closed")
    return (*done, tuple(pieces)), at


def _read_piece(text: str, at: int, *, nested: bool) -> tuple[Piece, int]:
    if text[at] == "[":
        options, end = _read_options(text, at + 1, nested=True)
        return Pick(options), end + 1
    if text[at] == "{":
        end = text.find("}", at)
        if end < 0:
            raise TemplateFault("'{' is not closed")
        return _read_hole(text[at + 1 : end]), end + 1
    stops = "[]{|" if nested else "[]{"
    end = min((found for stop in stops if (found := text.find(stop, at)) >= 0), default=len(text))
    return text[at:end], end


def _read_hole(inside: str) -> Hole | Draw:
    drawn = NUMBER_RANGE.fullmatch(inside)
    if drawn:
        low, decimals, high = drawn.groups()
        return Draw(float(low), float(high), len(decimals or ""))
    hole = HOLE.fullmatch(inside)
    if hole is None:
        raise TemplateFault(f"cannot read the hole {{{inside}}}")
    name, part, filters = hole.groups()
    return Hole(name, part or "", tuple(filters.split("|")[1:]))
