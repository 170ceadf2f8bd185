"""The space that a recipe plans in: axes, numbers and constraints."""

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

SHARE_TOLERANCE = 1e-6
Scalar = str | int | float | bool
Attribute = Scalar | list[str]
Interval = tuple[float, float]


def _ascending(interval: Interval) -> Interval:
    if interval[0] > interval[1]:
        raise ValueError(f"range {list(interval)} is not ascending; write the smaller number first")
    return interval


Range = Annotated[Interval, AfterValidator(_ascending)]


def steps_in(interval: Interval, decimals: int) -> tuple[int, int]:
    """Return the first and last number with `decimals` inside `interval`, counted in steps of the last decimal.

    The first lies above the last where the interval holds no such number.
    """
    scale = 10**decimals
    return math.ceil(round(interval[0] * scale, 6)), math.floor(round(interval[1] * scale, 6))


def holds_no_number(interval: Interval, decimals: int) -> bool:
    """Return whether no number with `decimals` lies in `interval`."""
    first, last = steps_in(interval, decimals)
    return first > last


class Declared(BaseModel):
    """A part of a recipe: frozen, and refusing what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Value(Declared):
    """A point on an axis: its target share and the attributes that travel with it."""

    share: float = Field(ge=0, description="target share, 0-1")
    attributes: dict[str, Attribute] = {}


def _value_from_share(raw: object) -> object:
    return {"share": raw} if isinstance(raw, int | float) and not isinstance(raw, bool) else raw


def _kind_of(attribute: Attribute) -> str:
    if isinstance(attribute, list):
        return "a list"
    if isinstance(attribute, bool):
        return "yes or no"
    return "text" if isinstance(attribute, str) else "a number"


class Axis(Declared):
    """A dimension of the ontology: its values with shares that sum to 1, their source, and the panel's question."""

    source: str = Field(min_length=3, description="where values and shares come from; 'chosen' where nowhere")
    question: str | None = Field(None, description="what the panel is asked about a candidate value; None: not asked")
    values: dict[str, Annotated[Value, BeforeValidator(_value_from_share, json_schema_input_type=float | Value)]] = (
        Field(min_length=1)
    )

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = math.fsum(value.share for value in self.values.values())
        if abs(total - 1) > SHARE_TOLERANCE:
            raise ValueError(f"shares sum to {total:.6g}, not 1; change them so that they sum to 1")
        return self

    @model_validator(mode="after")
    def _attributes_agree(self) -> Self:
        names = {frozenset(value.attributes) for value in self.values.values()}
        if len(names) > 1:
            raise ValueError("its values do not all have the same attributes; give every value each attribute")
        for name in self.attribute_names:
            kinds = {_kind_of(value.attributes[name]) for value in self.values.values()}
            if len(kinds) > 1:
                raise ValueError(f"attribute {name!r} is {' and '.join(sorted(kinds))}; give all its values one type")
        return self

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes that every value carries."""
        return tuple(sorted(next(iter(self.values.values())).attributes))


class NumberAxis(Declared):
    """A number of a planned record: drawn from a range, or derived from other numbers.

    Exactly one of `range`, `quantiles` (5th, 50th and 95th percentile; log-uniform between them) and `difference`
    (first minus second) is given, as one value or, with `by`, as one for each value of an axis.
    """

    source: str = "chosen"
    decimals: int = Field(0, ge=0, le=6)
    by: str | None = None
    range: Interval | dict[str, Interval] | None = None
    quantiles: tuple[float, float, float] | dict[str, tuple[float, float, float]] | None = None
    difference: tuple[str, str] | None = None
    at_least: dict[str, dict[str, float]] = Field({}, description="axis -> value -> least allowed number")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in ("range", "quantiles", "difference") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"gives {given or 'none'} of range, quantiles and difference; give exactly one")
        form = getattr(self, given[0])
        if isinstance(form, dict) != (self.by is not None):
            raise ValueError("'by' goes with a mapping for each value of that axis, and only with one")
        for key, numbers in self.by_value().items():
            if list(numbers) != sorted(numbers):
                raise ValueError(f"{given[0]} {list(numbers)} of {key!r} is not ascending")
            if holds_no_number((numbers[0], numbers[-1]), self.decimals):
                raise ValueError(f"{given[0]} {list(numbers)} of {key!r} holds no number with {self.decimals} decimals")
            if given[0] == "quantiles" and numbers[0] <= 0:
                raise ValueError(f"quantiles {list(numbers)} of {key!r} must be above 0; they are drawn on a log scale")
        return self

    def by_value(self) -> dict[str, tuple[float, ...]]:
        """Return the declared numbers for each value of `by` (under '' where there is no `by`)."""
        form = self.range if self.range is not None else self.quantiles
        if form is None:
            return {}
        return dict(form) if isinstance(form, dict) else {"": form}


class Constraint(Declared):
    """A combination that cannot exist: every named axis takes one of the listed values."""

    forbid: dict[str, list[str]] = Field(min_length=2, description="axis -> values that clash")
    because: str = Field(min_length=3)
    source: str = "chosen"


class Quantity(Declared):
    """A design check that a text states with a number, and its range in a sound study."""

    label: str = Field(min_length=3, description="the check in plain words")
    reported_by: list[str] = Field(min_length=1, description="values of `flaws_by` whose texts state it")
    healthy: Range
    decimals: int = Field(0, ge=0, le=6)
    source: str = "chosen"

    @model_validator(mode="after")
    def _healthy_holds_a_number(self) -> Self:
        if holds_no_number(self.healthy, self.decimals):
            raise ValueError(f"healthy {list(self.healthy)} holds no number with {self.decimals} decimals; widen it")
        return self


Severity = Literal["low", "high"]


class Flaw(Declared):
    """One known kind of damage: a quantity moved into its sick range."""

    quantity: str
    applies_to: list[str] = Field(min_length=1, description="values of `flaws_by` that it can damage")
    domain: str = Field(min_length=3, description="the risk-of-bias domain, for the appraisal")
    source: str = Field(min_length=3)
    instruction: str = Field(min_length=10, description="what the writer is told to change")
    sick: dict[Severity, Range] = Field(min_length=1)
