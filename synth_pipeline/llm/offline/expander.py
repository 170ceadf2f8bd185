"""The expander: from a grammar's rules, the given values and a random stream to text."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synth_pipeline.llm.offline.filters import FILTERS, as_text
from synth_pipeline.llm.offline.grammar import Rules
from synth_pipeline.llm.offline.rules import Choice, Entity, Keyed, Option, option_height
from synth_pipeline.llm.offline.template import Draw, Hole, Piece, Template

MAX_DEPTH = 16
REDRAWS = 4
Streams = Callable[[str], random.Random]


class MissingValue(LookupError):
    """A hole asks for a value that the prompt does not give."""


@dataclass(frozen=True)
class Hand:
    """How one answer is written.

    Args:
        streams: the random stream for a rule's name.
        numbers: the number style, one of `NUMBER_STYLES`.
        stock: whether cases are drawn and not looked up, so that the text ignores what the values mean.
    """

    streams: Streams
    numbers: str = "plain"
    stock: bool = False


class Expander:
    """Writes the texts of one answer; what is chosen once stays chosen.

    Args:
        rules: the rules as the voice knows them.
        once: the names of the rules that are chosen once.
        given: what the prompt gives.
        hand: the random streams and habits of this answer.
    """

    def __init__(self, rules: Rules, once: frozenset[str], given: Mapping[str, Any], hand: Hand) -> None:
        self._rules, self._once, self._given, self._hand = rules, once, given, hand
        self._texts: dict[str, str] = {}
        self._entities: dict[str, Entity] = {}
        self._used: dict[tuple[str, int], set[int]] = {}

    def rule(self, name: str, depth: int = 0) -> str:
        """Return one text of the rule `name`.

        Raises:
            MissingValue: a hole on the way has no value.
        """
        if name in self._texts:
            return self._texts[name]
        rule = self._rules.by_name[name]
        text = self._keyed(name, rule, depth) if isinstance(rule, Keyed) else self._choice(name, rule, depth)
        if name in self._once:
            self._texts[name] = text
        return text

    def render(self, template: Template, name: str = "", depth: int = 0) -> str:
        """Return `template` with its holes filled; `name` names the stream that its picks draw from.

        Raises:
            MissingValue: a hole has no value.
        """
        return "".join(p if isinstance(p, str) else self._piece(p, name, depth) for p in template)

    def value(self, hole: Hole) -> object:
        """Return what `hole` stands for, unformatted: an entity's part, a rule's text or a given value.

        Raises:
            MissingValue: it stands for nothing.
        """
        return self._value(hole, 0)

    @property
    def is_stock(self) -> bool:
        """Whether this answer is a stock text with the given values put in."""
        return self._hand.stock

    def given(self, name: str) -> object:
        """Return the given value `name`; None where the prompt has none."""
        return self._given.get(name)

    def stream(self, name: str) -> random.Random:
        """Return the random stream that belongs to `name` in this answer."""
        return self._hand.streams(name)

    def _value(self, hole: Hole, depth: int) -> object:
        if hole.part:
            return self._part(hole, depth)
        if hole.name in self._rules.by_name:
            return self.rule(hole.name, depth + 1)
        value = self._given.get(hole.name)
        if value is None:
            raise MissingValue(hole.name)
        return value

    def _piece(self, piece: Piece, name: str, depth: int) -> str:
        rng = self._hand.streams(name)
        if isinstance(piece, Hole):
            value = self._value(piece, depth)
            for used in piece.filters:
                value = FILTERS[used](value, rng, self._hand.numbers)
            return value if isinstance(value, str) else as_text(value)
        if isinstance(piece, Draw):
            return f"{rng.uniform(piece.low, piece.high):.{piece.decimals}f}"
        return piece if isinstance(piece, str) else self.render(rng.choice(piece.options), name, depth)

    def _choice(self, name: str, choice: Choice, depth: int) -> str:
        option = self._option(name, choice, depth)
        if isinstance(option, Entity):
            self._entities[name] = option
            return ""
        return self.render(option, name, depth)

    def _option(self, name: str, choice: Choice, depth: int) -> Option:
        if depth > MAX_DEPTH:
            by_name, heights = self._rules.by_name, self._rules.heights
            return min(choice.options, key=lambda option: option_height(option, by_name, heights) or MAX_DEPTH)
        used = self._used.setdefault((name, id(choice)), set())
        at = self._draw(name, choice)
        for _ in range(REDRAWS):
            if at not in used:
                break
            at = self._draw(name, choice)
        used.add(at)
        return choice.options[at]

    def _draw(self, name: str, choice: Choice) -> int:
        rng = self._hand.streams(name)
        if choice.steps is None:
            return rng.randrange(len(choice.options))
        drawn = rng.random() * choice.steps[-1]
        return next(at for at, step in enumerate(choice.steps) if drawn < step)

    def _keyed(self, name: str, rule: Keyed, depth: int) -> str:
        key = self._value(rule.by, depth)
        keys = key if isinstance(key, list | tuple) else [key]
        texts: list[str] = []
        for at, key in enumerate(keys):
            texts += [self.render(rule.join, name, depth)] if at else []
            texts.append(self._choice(name, self._case(name, rule, key), depth))
        return "".join(texts)

    def _case(self, name: str, rule: Keyed, key: object) -> Choice:
        if self._hand.stock:
            return self._hand.streams(name).choice(list(rule.cases.values()))
        found = rule.cases.get(str(key).lower() if isinstance(key, bool) else str(key), rule.fallback)
        if found is None:
            raise MissingValue(f"{name} for {key!r}")
        return found

    def _part(self, hole: Hole, depth: int) -> str:
        if hole.name not in self._entities:
            self.rule(hole.name, depth + 1)
        wordings = self._entities[hole.name].parts[hole.part]
        wording = wordings[0] if len(wordings) == 1 else self._hand.streams(hole.name).choice(wordings)
        return self.render(wording, hole.name, depth + 1)
