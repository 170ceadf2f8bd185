"""Compiled rules: a choice among alternatives, or choices picked by a value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from synth_pipeline.llm.offline.template import HOLE, Hole, Template, holes_of, parse_template

RESERVED = frozenset({"text", "weight"})


class RuleFault(ValueError):
    """A rule that cannot be read."""


@dataclass(frozen=True, slots=True)
class Entity:
    """An alternative with named parts, each with its own wordings."""

    parts: Mapping[str, tuple[Template, ...]]


Option = Template | Entity


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives, one of which is taken; `steps` are cumulative weights, None where all weigh the same."""

    options: tuple[Option, ...]
    steps: tuple[float, ...] | None
    parts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Keyed:
    """Choices picked by the value in `by`; for a list value, each in its order, joined by `join`."""

    by: Hole
    cases: Mapping[str, Choice]
    fallback: Choice | None
    join: Template
    parts: frozenset[str]


Rule = Choice | Keyed


def compile_rule(spec: Sequence[Any] | Mapping[str, Any]) -> Rule:
    """Return the rule that `spec` writes: a list of alternatives, or a mapping with `by` and `cases`.

    Raises:
        RuleFault: an alternative cannot be read, or alternatives mix texts and entities.
        TemplateFault: a template cannot be read.
    """
    return _compile_keyed(spec) if isinstance(spec, Mapping) else _compile_choice(spec)


def choices_of(rule: Rule) -> tuple[Choice, ...]:
    """Return every choice that `rule` may take."""
    if isinstance(rule, Choice):
        return (rule,)
    return (*rule.cases.values(), *((rule.fallback,) if rule.fallback else ()))


def rule_templates(rule: Rule) -> Iterator[Template]:
    """Yield every template of `rule`."""
    for choice in choices_of(rule):
        for option in choice.options:
            yield from _option_templates(option)


def rule_heights(rules: Mapping[str, Rule]) -> dict[str, int]:
    """Return for each rule how many rules deep its shortest text goes; a rule that never ends is left out."""
    heights: dict[str, int] = {}
    grew = True
    while grew:
        grew = False
        for name, rule in rules.items():
            height = None if name in heights else _rule_height(rule, rules, heights)
            if height is not None:
                heights[name], grew = height, True
    return heights


def option_height(option: Option, rules: Mapping[str, Rule], heights: Mapping[str, int]) -> int | None:
    """Return how many rules deep the shortest text of `option` goes; None where it may not end."""
    names = {hole.name for template in _option_templates(option) for hole in holes_of(template)} & rules.keys()
    if not names <= heights.keys():
        return None
    return 1 + max((heights[name] for name in names), default=0)


def _rule_height(rule: Rule, rules: Mapping[str, Rule], heights: Mapping[str, int]) -> int | None:
    lowest = [
        min(
            (h for option in choice.options if (h := option_height(option, rules, heights)) is not None),
            default=None,
        )
        for choice in choices_of(rule)
    ]
    ends = [height for height in lowest if height is not None]
    return max(ends) if len(ends) == len(lowest) else None


def _option_templates(option: Option) -> Iterator[Template]:
    if isinstance(option, Entity):
        for wordings in option.parts.values():
            yield from wordings
    else:
        yield option


def _compile_keyed(spec: Mapping[str, Any]) -> Keyed:
    hole = HOLE.fullmatch(spec["by"])
    if hole is None:
        raise RuleFault(f"by: {spec['by']!r} names no value")
    cases = {case: _compile_choice(options) for case, options in spec["cases"].items()}
    fallback = _compile_choice(spec["otherwise"]) if spec["otherwise"] else None
    every = [choice.parts for choice in (*cases.values(), *((fallback,) if fallback else ()))]
    parts = frozenset.intersection(*every) if every else frozenset()
    return Keyed(Hole(hole[1], hole[2] or "", ()), cases, fallback, parse_template(spec["join"]), parts)


def _compile_choice(alternatives: Sequence[Any]) -> Choice:
    options = tuple(_compile_option(alternative) for alternative in alternatives)
    entities = [option for option in options if isinstance(option, Entity)]
    if entities and len(entities) < len(options):
        raise RuleFault("some alternatives are texts and some have parts")
    weights = [_weight(alternative) for alternative in alternatives]
    equal = len(set(weights)) == 1
    parts = frozenset.intersection(*(frozenset(entity.parts) for entity in entities)) if entities else frozenset()
    return Choice(options, None if equal else tuple(accumulate(weights)), parts)


def _compile_option(alternative: str | Mapping[str, Any]) -> Option:
    if isinstance(alternative, str):
        return parse_template(alternative)
    if "text" in alternative:
        if extra := sorted(set(alternative) - RESERVED):
            raise RuleFault(f"an alternative with a text has no {extra[0]!r}; only text and weight")
        return parse_template(str(alternative["text"]))
    wordings = {name: _wordings(value) for name, value in alternative.items() if name not in RESERVED}
    return Entity(wordings)


def _wordings(value: str | float | Sequence[str]) -> tuple[Template, ...]:
    texts = value if isinstance(value, list) else [str(value)]
    return tuple(parse_template(text) for text in texts)


def _weight(alternative: str | Mapping[str, Any]) -> float:
    weight = 1.0 if isinstance(alternative, str) else alternative.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight <= 0:
        raise RuleFault(f"weight {weight!r} is not a number above 0")
    return float(weight)
