"""A grammar: rules of text as data, read from YAML, checked at load and compiled once.

```yaml
given: [sector, country]            # what a prompt may give; a hole is a rule or one of these
fields:                             # how each field of the record is written
  title: "{title}"                  # a template,
  outcomes: ["{measure.name}"]      # a list of templates,
  abstract: {target: words, by: register, orders: [...], else: [...]}    # or a composition
once: [topic]                       # rules chosen once in an answer
unique: [healthy_value]             # given values that a composition should hold exactly once
rules:
  aim: ["We ask whether {topic.name} works.", {text: "...", weight: 3}]
  cue: {by: base_designs, cases: {rct: [...]}, else: [...], join: " "}   # a list value: each in its order
  topic: [{name: cash transfers, short: [the transfer, the grant]}]      # an entity and its parts
voices: {terse: {instead: {aim: [...]}, also: {cue: ...}}}
```

An order is a line of parts, each a rule: `aim` stands always, `gap?` where the target length has room, and
`#label` before the next part that stands.  Templates are explained in `template`.  Data only: nothing is run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from synth_pipeline.contracts.errors import RecipeError
from synth_pipeline.llm.offline.rules import Rule, RuleFault, compile_rule, rule_heights
from synth_pipeline.llm.offline.template import Template, TemplateFault, parse_template

READ_THE_TOP = "see the comment at the top of the grammar"


def _plain_keys(value: object) -> object:
    """YAML reads `true:` and `null:` as no strings; a case is named by the text of its value."""
    if not isinstance(value, dict):
        return value
    names: dict[object, str] = {True: "true", False: "false", None: "null"}
    return {key if isinstance(key, str) else names.get(key, str(key)): case for key, case in value.items()}


Alternative = str | dict[str, str | float | list[str]]
Alternatives = Annotated[list[Alternative], Field(min_length=1)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class KeyedSpec(_Spec):
    """A rule whose alternatives depend on a value."""

    by: str
    cases: Annotated[dict[str, Alternatives], BeforeValidator(_plain_keys)]
    otherwise: Alternatives | None = Field(default=None, alias="else")
    join: str = " "


class CompositionSpec(_Spec):
    """A field made of parts in one of several orders."""

    target: str | None = None
    by: str | None = None
    cases: Annotated[dict[str, list[str]], BeforeValidator(_plain_keys)] = Field(default_factory=dict)
    orders: Annotated[list[str], Field(min_length=1)]


RuleSpec = KeyedSpec | Alternatives


class VoiceRules(_Spec):
    """What a voice says otherwise: rules in the place of others, and further alternatives."""

    instead: dict[str, RuleSpec] = Field(default_factory=dict)
    also: dict[str, Alternatives] = Field(default_factory=dict)


class GrammarSpec(_Spec):
    """A grammar file as it is written."""

    given: list[str]
    fields: dict[str, str | list[str] | CompositionSpec]
    rules: dict[str, RuleSpec]
    once: list[str] = Field(default_factory=list)
    unique: list[str] = Field(default_factory=list)
    voices: dict[str, VoiceRules] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One place in an order: a rule that stands always, one that may stand, or a label."""

    rule: str
    optional: bool = False
    label: bool = False


Order = tuple[Part, ...]


@dataclass(frozen=True)
class Composition:
    """The orders that a composed field may take, and the given value that holds its length in words."""

    target: str | None
    by: str | None
    cases: Mapping[str, tuple[Order, ...]]
    orders: tuple[Order, ...]


FieldRule = Template | tuple[Template, ...] | Composition


@dataclass(frozen=True)
class Rules:
    """The rules as one voice knows them, with how deep each must go at least."""

    by_name: Mapping[str, Rule]
    heights: Mapping[str, int]


@dataclass(frozen=True)
class Grammar:
    """A compiled grammar.

    Args:
        where: the file it came from.
        spec: what the file says.
    """

    where: str
    spec: GrammarSpec

    @cached_property
    def templates(self) -> dict[str, Template]:
        """The fields that one template writes."""
        texts = {name: rule for name, rule in self.spec.fields.items() if isinstance(rule, str)}
        return {name: self._template(name, text) for name, text in texts.items()}

    @cached_property
    def lists(self) -> dict[str, tuple[Template, ...]]:
        """The fields that several templates write, one an item."""
        texts = {name: rule for name, rule in self.spec.fields.items() if isinstance(rule, list)}
        return {name: tuple(self._template(name, text) for text in items) for name, items in texts.items()}

    @cached_property
    def compositions(self) -> dict[str, Composition]:
        """The fields that parts in an order write."""
        specs = {name: rule for name, rule in self.spec.fields.items() if isinstance(rule, CompositionSpec)}
        return {name: _composition(spec) for name, spec in specs.items()}

    @cached_property
    def by_voice(self) -> dict[str, Rules]:
        """The rules of each voice that the grammar names."""
        return {voice: self._compile(self._said_by(rules)) for voice, rules in self.spec.voices.items()}

    @cached_property
    def base(self) -> Rules:
        """The rules of a voice that the grammar does not name."""
        return self._compile(self.spec.rules)

    def rules_of(self, voice: str) -> Rules:
        """Return the rules as `voice` knows them."""
        return self.by_voice.get(voice, self.base)

    def _said_by(self, voice: VoiceRules) -> dict[str, RuleSpec]:
        said = {**self.spec.rules, **voice.instead}
        for name, more in voice.also.items():
            known = said.get(name)
            if not isinstance(known, list):
                raise self.fault(name, "a voice can add alternatives to a plain list only", "use `instead`")
            said[name] = known + more
        return said

    def _compile(self, specs: Mapping[str, RuleSpec]) -> Rules:
        rules: dict[str, Rule] = {}
        for name, spec in specs.items():
            try:
                rules[name] = compile_rule(spec if isinstance(spec, list) else spec.model_dump())
            except (TemplateFault, RuleFault) as fault:
                raise self.fault(name, str(fault), READ_THE_TOP) from fault
        return Rules(rules, rule_heights(rules))

    def _template(self, name: str, text: str) -> Template:
        try:
            return parse_template(text)
        except TemplateFault as fault:
            raise self.fault(name, str(fault), READ_THE_TOP) from fault

    def fault(self, rule: str, what: str, fix: str) -> RecipeError:
        """Return the error that says what is wrong with `rule` of this file, and what to do now."""
        return RecipeError(f"rule {rule!r}: {what}", where=self.where, fix=fix)


def _composition(spec: CompositionSpec) -> Composition:
    cases = {case: tuple(map(_order, lines)) for case, lines in spec.cases.items()}
    return Composition(spec.target, spec.by, cases, tuple(map(_order, spec.orders)))


def _order(line: str) -> Order:
    return tuple(Part(word.strip("#?"), word.endswith("?"), word.startswith("#")) for word in line.split())
