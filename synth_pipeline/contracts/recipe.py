"""The recipe: the declaration of one dataset. It refuses contradictions when it loads."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from synth_pipeline.contracts.records import RecordDeclaration
from synth_pipeline.contracts.rules import AnyRule, Expectation, PlausibleRange, Skew
from synth_pipeline.contracts.settings import Gate, Panel, Roles
from synth_pipeline.contracts.space import (
    Attribute,
    Axis,
    Constraint,
    Declared,
    Flaw,
    NumberAxis,
    Quantity,
    holds_no_number,
)
from synth_pipeline.contracts.spending import Budget
from synth_pipeline.contracts.tables import SAMPLING_PLAN, VALIDATED_SET

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
SPLITS = ("train", "validation", "test")
SPLIT_TOLERANCE = 1e-9
PLAN_WORDS = frozenset(
    (column.name for table in (SAMPLING_PLAN, VALIDATED_SET) for column in table.columns),
) | {"quantity_label", "given", "description"}
NUMERIC = ("integer", "number")
NOT_FOR_EXPECTATIONS = frozenset({"verdicts", "reasons"})


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
    budget: Budget = Field(Budget(), exclude=True, description="what may be spent; it makes no other dataset")
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

    @cached_property
    def planned_names(self) -> tuple[str, ...]:
        """Names that a planned record gives a value for: axes, their attributes, numbers, and the design check."""
        check = ("quantity", "quantity_label", "healthy_value") if self.quantities else ()
        return (*self.axes, *self.attribute_names, *self.numbers, *check)

    @property
    def labels(self) -> tuple[str, ...]:
        """The values of the label axis."""
        return tuple(self.axes[self.label].values)

    @property
    def flaws_axis(self) -> str | None:
        """The axis that `flaws_by` is, or whose attribute it is; None where there is none."""
        holders = (name for name, axis in self.axes.items() if self.flaws_by in (name, *axis.attribute_names))
        return next(holders, None)

    def tags_of(self, axis_values: Mapping[str, str]) -> list[str]:
        """Return the values of `flaws_by` that hold in a cell: an axis value, or an attribute's value or values."""
        axis = self.flaws_axis
        if axis is None or self.flaws_by is None:
            return []
        if axis == self.flaws_by:
            return [axis_values[axis]]
        tags = self.axes[axis].values[axis_values[axis]].attributes[self.flaws_by]
        return [str(tag) for tag in tags] if isinstance(tags, list) else [str(tags)]


def find_contradictions(recipe: Recipe) -> list[str]:
    """Return what contradicts itself across a recipe's parts, each as what, where and fix; axes come first."""
    return _axis_problems(recipe) or [
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
            unknown = _values_problems(recipe, f"{where}.at_least", axis, bounds)
            problems += unknown or _floor_problems(recipe, name, axis)
        for operand in number.difference or ():
            problems += _unknown(f"{where}.difference: number", operand, earlier)
        earlier.add(name)
    return problems


def _floor_problems(recipe: Recipe, name: str, axis: str) -> list[str]:
    """Return the floors on `axis` that lie above the number's range, where both can meet in a cell."""
    number = recipe.numbers[name]
    return [
        f"numbers.{name}.at_least.{axis}: {floor:g} for {value!r} lies above {numbers[-1]:g}, the most that the number "
        f"can be{f' for {key!r}' if key else ''}; lower it, or forbid the two together"
        for value, floor in number.at_least[axis].items()
        for key, numbers in number.by_value().items()
        if floor > numbers[-1] and not _cannot_meet(recipe, (axis, value), (number.by, key))
    ]


def _cannot_meet(recipe: Recipe, one: tuple[str, str], other: tuple[str | None, str]) -> bool:
    if one[0] == other[0]:
        return one[1] != other[1]
    cell = dict((one, other))
    return any(all(cell.get(axis) in values for axis, values in c.forbid.items()) for c in recipe.constraints)


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
        if holds_no_number((low, high), quantity.decimals):
            problems.append(
                f"flaws.{name}.sick.{severity}: range {[low, high]} holds no number with {quantity.decimals} decimals, "
                f"as {flaw.quantity!r} has; widen it"
            )
        if low <= quantity.healthy[1] and quantity.healthy[0] <= high:
            problems.append(
                f"flaws.{name}.sick.{severity}: range {[low, high]} overlaps the healthy range "
                f"{list(quantity.healthy)} of {flaw.quantity!r}; a sick value must lie outside it"
            )
    return problems


def _all_tags(recipe: Recipe) -> set[str]:
    axis = recipe.flaws_axis
    return {tag for value in recipe.axes[axis].values for tag in recipe.tags_of({axis: value})} if axis else set()


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
        if rule.reads_numbers:
            problems += _not_numbers(recipe, f"rules.{index}", rule.fields)
        if rule.rule == "as_planned":
            problems += _planned_problems(recipe, f"rules.{index}", rule.fields)
    return problems


def _not_numbers(recipe: Recipe, where: str, fields: tuple[str, ...]) -> list[str]:
    types = {name: field.type for name, field in recipe.record.fields.items()}
    return [
        f"{where}: record field {field!r} is {types[field]}; the rule reads integer or number"
        for field in fields
        if field in types and types[field] not in NUMERIC
    ]


def _planned_problems(recipe: Recipe, where: str, fields: tuple[str, ...]) -> list[str]:
    planned, problems = _planned_types(recipe), []
    for field in fields:
        problems += _unknown(f"{where}: planned name", field, planned)
        if field in planned and field in recipe.record.fields:
            written = recipe.record.fields[field].type
            if written != planned[field] and not {written, planned[field]} <= set(NUMERIC):
                problems.append(
                    f"{where}: record field {field!r} is {written}, but what is planned is {planned[field]}; "
                    "make the field's type equal"
                )
    return problems


def _planned_types(recipe: Recipe) -> dict[str, str]:
    """Return the record type of every planned value that a field may be held against."""
    attributes = {
        name: _type_of([value.attributes[name] for value in axis.values.values()])
        for axis in recipe.axes.values()
        for name in axis.attribute_names
    }
    numbers = {name: "number" if number.decimals else "integer" for name, number in recipe.numbers.items()}
    return dict.fromkeys(recipe.axes, "string") | attributes | numbers


def _type_of(values: list[Attribute]) -> str:
    names = {bool: "boolean", int: "integer", float: "number", list: "list"}
    found = {names.get(type(value), "string") for value in values}
    return found.pop() if len(found) == 1 else "number"


def _limit_problems(recipe: Recipe) -> list[str]:
    problems: list[str] = []
    for axis in recipe.skew.axes if recipe.skew else ():
        problems += _unknown("skew.axes: axis", axis, recipe.axes)
    for original, label in recipe.reference.labels.items() if recipe.reference else ():
        problems += _unknown(f"reference.labels.{original}: label", label, recipe.labels)
    problems += _expectation_problems(recipe)
    if recipe.panel.confirm > len(recipe.panel.providers) and len(recipe.panel.providers) > 1:
        problems.append(
            f"panel.confirm is {recipe.panel.confirm}, but the panel has {len(recipe.panel.providers)} providers; "
            "lower it"
        )
    return problems


def _expectation_problems(recipe: Recipe) -> list[str]:
    problems: list[str] = []
    columns = {column.name for column in VALIDATED_SET.columns} - NOT_FOR_EXPECTATIONS
    known = {*columns, *recipe.axes, *recipe.record.fields}
    names = [expectation.name for expectation in recipe.expectations]
    for index, expectation in enumerate(recipe.expectations):
        if "column" in expectation.arguments:
            problems += _unknown(f"expectations.{index}: column", expectation.arguments["column"], known)
        name = expectation.name
        if names.count(name) > 1 or name == "not_empty" or name.startswith(("pass_share_", "skew_")):
            problems.append(f"expectations.{index}: the name {name!r} belongs to another check; rename it")
    return problems
