"""The recipe: the declaration of one dataset. It refuses contradictions when it loads."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from synth_pipeline.contracts.records import RecordDeclaration
from synth_pipeline.contracts.rules import AnyRule, Expectation, PlausibleRange, Skew
from synth_pipeline.contracts.space import Axis, Constraint, Declared, Flaw, NumberAxis, Quantity

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
SPLITS = ("train", "validation", "test")
SPLIT_TOLERANCE = 1e-9


class RoleSettings(Declared):
    """How a role's model is asked."""

    temperature: float = Field(1.0, ge=0, le=2)
    max_tokens: int = Field(1500, ge=16)


class Roles(Declared):
    """How each role's model is asked."""

    structure: RoleSettings = RoleSettings(temperature=0.0, max_tokens=1000)
    write: RoleSettings = RoleSettings()
    flaw: RoleSettings = RoleSettings(temperature=0.3)


class Panel(Declared):
    """Who confirms the structure of the ontology, and how many must."""

    providers: list[str] = Field(min_length=1)
    confirm: int = Field(2, ge=1, description="providers that must confirm a fact")

    @model_validator(mode="after")
    def _providers_are_distinct(self) -> Self:
        if len(set(self.providers)) < len(self.providers):
            raise ValueError(f"panel {self.providers} names a provider twice; name each once")
        return self


class ReferenceDeclaration(Declared):
    """Where the real examples are and how their columns and labels map to the recipe's words.

    A column may be given as a list: the first that the file has is taken.
    """

    path: str
    text: str | list[str]
    label: str | list[str] | None = None
    id: str | list[str] | None = None
    labels: dict[str, str] = Field(
        {}, description="label in the file -> label of the recipe; equal ones map by themselves"
    )


class Gate(Declared):
    """The discriminator's limits: above `limit` the check warns, above `block_above` it blocks."""

    limit: float = Field(0.75, ge=0.5, le=1)
    block_above: float | None = Field(None, ge=0.5, le=1)
    by_label: bool = Field(False, description="score every label by itself too")


class Export(Declared):
    """How the valid items leave: splits by share, and the template that makes a conversation of an item."""

    splits: dict[str, float] = {
        "train": 0.8,
        "validation": 0.1,
        "test": 0.1,
    }

    @model_validator(mode="after")
    def _splits_sum_to_one(self) -> Self:
        unknown = sorted(set(self.splits) - set(SPLITS))
        if unknown:
            raise ValueError(f"unknown splits {unknown}; there are {list(SPLITS)}")
        total = sum(self.splits.values())
        if min(self.splits.values()) < 0 or abs(total - 1) > SPLIT_TOLERANCE:
            raise ValueError(f"splits {self.splits} must be 0 or more and sum to 1; they sum to {total:g}")
        return self


class Recipe(Declared):
    """The declaration of one dataset; its name is its folder's."""

    description: str = Field(min_length=10)
    n_records: int = Field(1000, ge=1, le=10_000_000, description="planned records of a partition")
    label: Name = Field(description="the axis that is learned")
    axes: dict[Name, Axis] = Field(min_length=1)
    numbers: dict[Name, NumberAxis] = {}
    constraints: list[Constraint] = []
    record: RecordDeclaration
    flaws_by: Name | None = Field(None, description="the axis or attribute that quantities and flaws refer to")
    quantities: dict[Name, Quantity] = {}
    flaws: dict[Name, Flaw] = {}
    flaw_share: float = Field(0.5, ge=0, le=1, description="share of planned records that get a flawed twin")
    panel: Panel
    roles: Roles = Roles()
    rules: list[AnyRule] = []
    expectations: list[Expectation] = []
    skew: Skew | None = None
    reference: ReferenceDeclaration | None = None
    gate: Gate = Gate()
    export: Export = Export()
    owners: list[str] = []

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [*self.axes, *self.numbers, *self.attribute_names, *PLAN_WORDS]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"{doubled} are used twice among axes, numbers, attributes and plan columns; rename one")
        return self

    @model_validator(mode="after")
    def _references_hold(self) -> Self:
        for problem in find_contradictions(self):
            raise ValueError(problem)
        return self

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of all attributes of all axes."""
        return tuple(name for axis in self.axes.values() for name in axis.attribute_names)

    @property
    def planned_names(self) -> tuple[str, ...]:
        """Names that a planned record gives a value for: axes, their attributes, numbers, and the design check."""
        check = ("quantity", "quantity_label", "healthy_value") if self.quantities else ()
        return (*self.axes, *self.attribute_names, *self.numbers, *check)

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the label axis."""
        return tuple(self.axes[self.label].values)

    def tags_of(self, axis_values: dict[str, str]) -> list[str]:
        """Return the values of `flaws_by` that hold in a cell: an axis value, or an attribute's value or values."""
        if self.flaws_by is None:
            return []
        if self.flaws_by in self.axes:
            return [axis_values[self.flaws_by]]
        for name, axis in self.axes.items():
            if self.flaws_by in axis.attribute_names:
                tags = axis.values[axis_values[name]].attributes[self.flaws_by]
                return [str(tag) for tag in tags] if isinstance(tags, list) else [str(tags)]
        return []


PLAN_WORDS = (
    "planned_id",
    "cell_id",
    "provider",
    "seed",
    "ordinal",
    "position",
    "round",
    "quantity",
    "quantity_label",
    "healthy_value",
    "flaw",
    "severity",
    "sick_value",
    "label",
    "text",
    "record",
    "state",
)


def find_contradictions(recipe: Recipe) -> list[str]:
    """Return what contradicts itself across a recipe's parts, each as what, where and fix."""
    return [
        *_axis_problems(recipe),
        *_number_problems(recipe),
        *_flaw_problems(recipe),
        *_rule_problems(recipe),
        *_limit_problems(recipe),
    ]


def _unknown(what: str, name: str, known: Any) -> list[str]:
    return [] if name in known else [f"{what} {name!r} is not declared; declared are {sorted(known)}"]


def _values_problems(recipe: Recipe, where: str, axis: str, values: Any) -> list[str]:
    unknown = _unknown(f"{where}: axis", axis, recipe.axes)
    return unknown or [
        problem
        for value in values
        for problem in _unknown(f"{where}: value of {axis!r}", value, recipe.axes[axis].values)
    ]


def _complete_problems(recipe: Recipe, where: str, axis: str, values: Any) -> list[str]:
    problems = _values_problems(recipe, where, axis, values)
    missing = [] if problems else [value for value in recipe.axes[axis].values if value not in values]
    return problems + [f"{where}: value {value!r} of {axis!r} has no entry; add one" for value in missing]


def _axis_problems(recipe: Recipe) -> list[str]:
    problems = _unknown("label", recipe.label, recipe.axes)
    for index, constraint in enumerate(recipe.constraints):
        for axis, values in constraint.forbid.items():
            problems += _values_problems(recipe, f"constraints.{index}.forbid", axis, values)
    return problems


def _number_problems(recipe: Recipe) -> list[str]:
    problems: list[str] = []
    earlier: set[str] = set()
    for name, number in recipe.numbers.items():
        where = f"numbers.{name}"
        if number.by is not None:
            problems += _complete_problems(recipe, f"{where}.by", number.by, number.by_value())
        for axis, bounds in number.at_least.items():
            problems += _values_problems(recipe, f"{where}.at_least", axis, bounds)
        for operand in number.difference or ():
            problems += _unknown(f"{where}.difference: number", operand, earlier)
        earlier.add(name)
    return problems


def _flaw_problems(recipe: Recipe) -> list[str]:
    if not recipe.quantities and not recipe.flaws:
        return []
    if recipe.flaws_by is None:
        return ["quantities and flaws need 'flaws_by', the axis or attribute that they refer to"]
    tags = _all_tags(recipe)
    if not tags:
        return [f"flaws_by {recipe.flaws_by!r} is neither an axis nor an attribute"]
    problems: list[str] = []
    for name, quantity in recipe.quantities.items():
        for tag in quantity.reported_by:
            problems += _unknown(f"quantities.{name}.reported_by: value of {recipe.flaws_by!r}", tag, tags)
    for name in recipe.flaws:
        problems += _one_flaw_problems(recipe, name)
    return problems


def _one_flaw_problems(recipe: Recipe, name: str) -> list[str]:
    flaw = recipe.flaws[name]
    unknown = _unknown(f"flaws.{name}.quantity", flaw.quantity, recipe.quantities)
    if unknown:
        return unknown
    quantity = recipe.quantities[flaw.quantity]
    problems = [
        f"flaws.{name}.applies_to: it cannot damage {tag!r}, whose texts do not state {flaw.quantity!r} "
        f"(stated by {quantity.reported_by}); take it out, or add it to quantities.{flaw.quantity}.reported_by"
        for tag in flaw.applies_to
        if tag not in quantity.reported_by
    ]
    for severity, (low, high) in flaw.sick.items():
        if low <= quantity.healthy[1] and quantity.healthy[0] <= high:
            problems.append(
                f"flaws.{name}.sick.{severity}: range {[low, high]} overlaps the healthy range "
                f"{list(quantity.healthy)} of {flaw.quantity!r}; a sick value must lie outside it"
            )
    return problems


def _all_tags(recipe: Recipe) -> set[str]:
    by = recipe.flaws_by
    if by in recipe.axes:
        return set(recipe.axes[by].values)
    holders = [(name, axis) for name, axis in recipe.axes.items() if by in axis.attribute_names]
    return {tag for name, axis in holders for value in axis.values for tag in recipe.tags_of({name: value})}


def _rule_problems(recipe: Recipe) -> list[str]:
    names = [rule.name for rule in recipe.rules]
    problems = [
        f"rules: {name!r} is declared twice; keep one" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    for index, rule in enumerate(recipe.rules):
        for field in rule.fields:
            problems += _unknown(f"rules.{index}: record field", field, recipe.record.fields)
        if isinstance(rule, PlausibleRange):
            problems += _complete_problems(recipe, f"rules.{index}.ranges", rule.by, rule.ranges)
        if rule.rule == "as_planned":
            for field in rule.fields:
                problems += _unknown(f"rules.{index}: planned name", field, recipe.planned_names)
    return problems


def _limit_problems(recipe: Recipe) -> list[str]:
    problems: list[str] = []
    for axis in recipe.skew.axes if recipe.skew else ():
        problems += _unknown("skew.axes: axis", axis, recipe.axes)
    for original, label in recipe.reference.labels.items() if recipe.reference else ():
        problems += _unknown(f"reference.labels.{original}: label", label, recipe.labels)
    if recipe.panel.confirm > len(recipe.panel.providers) and len(recipe.panel.providers) > 1:
        problems.append(
            f"panel.confirm is {recipe.panel.confirm}, but the panel has {len(recipe.panel.providers)} providers; "
            "lower it"
        )
    return problems
