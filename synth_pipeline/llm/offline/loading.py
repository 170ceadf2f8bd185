"""Loading a grammar: reads the YAML, and refuses one that could fail later, naming file, rule and fix."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from synth_pipeline.contracts.errors import RecipeError
from synth_pipeline.llm.offline.filters import FILTERS
from synth_pipeline.llm.offline.grammar import READ_THE_TOP, Grammar, GrammarSpec, Rules
from synth_pipeline.llm.offline.rules import Keyed, Rule, rule_templates
from synth_pipeline.llm.offline.template import Hole, holes_of


def load_grammar(path: Path) -> Grammar:
    """Return the grammar in the YAML file at `path`.

    Raises:
        RecipeError: the file is no grammar; names the file, the rule and the fix.
    """
    return parse_grammar(path.read_text(encoding="utf-8"), where=path.name)


def parse_grammar(text: str, *, where: str) -> Grammar:
    """Return the grammar that the YAML `text` declares; `where` names it in errors.

    Raises:
        RecipeError: the text is no grammar; names `where`, the rule and the fix.
    """
    try:
        spec = GrammarSpec.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as fault:
        raise RecipeError(f"this is not YAML: {fault}", where=where, fix="mend the line it names") from fault
    except ValidationError as fault:
        raise _spec_error(fault, where) from fault
    grammar = Grammar(where, spec)
    for rules in (grammar.base, *grammar.by_voice.values()):
        _check_rules(grammar, rules)
    return grammar


def _spec_error(fault: ValidationError, where: str) -> RecipeError:
    first = fault.errors()[0]
    place = [str(step) for step in first["loc"]]
    rule = place[1] if len(place) > 1 else ""
    named = f"rule {rule!r}: " if rule and place[0] == "rules" else ""
    return RecipeError(f"{named}{'.'.join(place)}: {first['msg']}", where=where, fix=READ_THE_TOP)


def _check_rules(grammar: Grammar, rules: Rules) -> None:
    for name in (*grammar.spec.once, *_parts_of(grammar)):
        if name.partition(".")[0] not in rules.by_name:
            raise grammar.fault(name, "is named but not written", f"write it under rules{_near(name, rules.by_name)}")
    for name, rule in rules.by_name.items():
        _check_holes(grammar, rules, name, rule)
        if name not in rules.heights:
            raise grammar.fault(name, "never ends: every alternative leads back to it", "add one without that hole")
    for name, hole in _field_holes(grammar):
        _check_hole(grammar, rules, name, hole)


def _parts_of(grammar: Grammar) -> Iterator[str]:
    for composition in grammar.compositions.values():
        for order in (*composition.orders, *(o for orders in composition.cases.values() for o in orders)):
            yield from (part.rule for part in order)


def _field_holes(grammar: Grammar) -> Iterator[tuple[str, Hole]]:
    for name, template in grammar.templates.items():
        yield from ((name, hole) for hole in holes_of(template))
    for name, templates in grammar.lists.items():
        yield from ((name, hole) for template in templates for hole in holes_of(template))


def _check_holes(grammar: Grammar, rules: Rules, name: str, rule: Rule) -> None:
    for template in rule_templates(rule):
        for hole in holes_of(template):
            _check_hole(grammar, rules, name, hole)
    if isinstance(rule, Keyed):
        _check_hole(grammar, rules, name, rule.by)


def _check_hole(grammar: Grammar, rules: Rules, name: str, hole: Hole) -> None:
    known = {**dict.fromkeys(grammar.spec.given), **rules.by_name}
    if hole.name not in known:
        fix = f"write a rule of that name or list it under given{_near(hole.name, known)}"
        raise grammar.fault(name, f"the hole {{{hole.name}}} is neither a rule nor a given value", fix)
    for used in hole.filters:
        if used not in FILTERS:
            raise grammar.fault(name, f"no filter is called {used!r}", f"use one of {', '.join(FILTERS)}")
    _check_part(grammar, rules, name, hole)


def _check_part(grammar: Grammar, rules: Rules, name: str, hole: Hole) -> None:
    rule = rules.by_name.get(hole.name)
    parts = rule.parts if rule is not None else frozenset()
    if hole.part and hole.part not in parts:
        raise grammar.fault(
            name,
            f"{{{hole.name}.{hole.part}}}: {hole.name!r} has no such part in every alternative",
            f"its parts are {', '.join(sorted(parts)) or 'none'}",
        )
    if parts and hole.name not in grammar.spec.once:
        raise grammar.fault(hole.name, "has parts, but is not chosen once", "list it under once")
    if parts and not hole.part:
        raise grammar.fault(name, f"{{{hole.name}}} has parts", f"name one: {', '.join(sorted(parts))}")


def _near(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
