"""What a recipe may declare about its rules and expectations; `stages.validation` carries them out."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from synth_pipeline.contracts.space import Declared, Range

BOUNDS = frozenset({"min_value", "max_value", "strict_min", "strict_max"})
ARGUMENTS = {
    "ExpectColumnMeanToBeBetween": {"column", *BOUNDS},
    "ExpectColumnMedianToBeBetween": {"column", *BOUNDS},
    "ExpectColumnStdevToBeBetween": {"column", *BOUNDS},
    "ExpectColumnUniqueValueCountToBeBetween": {"column", *BOUNDS},
    "ExpectColumnProportionOfUniqueValuesToBeBetween": {"column", *BOUNDS},
    "ExpectColumnValuesToBeBetween": {"column", "mostly", *BOUNDS},
    "ExpectColumnValuesToBeInSet": {"column", "mostly", "value_set"},
    "ExpectColumnValuesToNotBeNull": {"column", "mostly"},
    "ExpectColumnValueLengthsToBeBetween": {"column", "mostly", *BOUNDS},
    "ExpectTableRowCountToBeBetween": BOUNDS,
}
REQUIRED = frozenset({"column", "value_set"})
EXPECTATIONS = tuple(ARGUMENTS)


class Rule(Declared):
    """A predicate on a record: what becomes of a record that fails it, and how many may fail."""

    on_fail: Literal["reject", "flag"] = "reject"
    min_pass_share: float = Field(0.5, ge=0, le=1, description="the plausibility check fails below this pass share")
    source: str = "chosen"

    rule: str
    reads_numbers: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The rule's name in verdicts and checks."""
        return self.rule

    @property
    def fields(self) -> tuple[str, ...]:
        """The record's fields that the rule reads."""
        return ()


class PlausibleRange(Rule):
    """A number of the record lies in the range of its value on an axis."""

    rule: Literal["plausible_range"]
    field: str
    by: str
    ranges: dict[str, Range]
    reads_numbers: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The rule's name in verdicts and checks."""
        return f"plausible_{self.field}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The record's fields that the rule reads."""
        return (self.field,)


class Ordered(Rule):
    """Numbers of the record do not decrease from the first field to the last (dates in order)."""

    rule: Literal["ordered"]
    order: list[str] = Field(min_length=2)
    reads_numbers: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The rule's name in verdicts and checks."""
        return "ordered_" + "_".join((self.order[0], self.order[-1]))

    @property
    def fields(self) -> tuple[str, ...]:
        """The record's fields that the rule reads."""
        return tuple(self.order)


class NumberInText(Rule):
    """A number of the record stands in its text, in digits."""

    rule: Literal["number_in_text"]
    field: str
    reads_numbers: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The rule's name in verdicts and checks."""
        return f"{self.field}_in_text"

    @property
    def fields(self) -> tuple[str, ...]:
        """The record's fields that the rule reads."""
        return (self.field,)


class AsPlanned(Rule):
    """Fields of the record equal what was planned."""

    rule: Literal["as_planned"]
    planned: list[str] = Field(min_length=1)

    @property
    def fields(self) -> tuple[str, ...]:
        """The record's fields that the rule reads."""
        return tuple(self.planned)


class StatesQuantity(Rule):
    """The text states the planned value of its design check: healthy in a record, sick in a variant."""

    rule: Literal["states_quantity"]


class WordsBetween(Rule):
    """The text's length in words lies in a range."""

    rule: Literal["words_between"]
    least: int = Field(ge=0)
    most: int = Field(ge=1)

    @model_validator(mode="after")
    def _least_is_not_above_most(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least {self.least} is above most {self.most}; swap them")
        return self


class ExactDuplicate(Rule):
    """No earlier record, and no reference example, has the same text (white space and case folded)."""

    rule: Literal["exact_duplicate"]


AnyRule = Annotated[
    PlausibleRange | Ordered | NumberInText | AsPlanned | StatesQuantity | WordsBetween | ExactDuplicate,
    Field(discriminator="rule"),
]


class Expectation(Declared):
    """A Great Expectations statement about the valid records of a partition."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    expectation: Literal[EXPECTATIONS]  # type: ignore[valid-type]  # a tuple of literals, written once above
    arguments: dict[str, Any] = {}
    description: str | None = Field(None, description="the statement in plain words, for the check's page")
    severity: Literal["warn", "error"] = "error"
    blocking: bool = False
    source: str = "chosen"

    @model_validator(mode="after")
    def _arguments_are_known(self) -> Self:
        known = ARGUMENTS[self.expectation]
        unknown, missing = sorted(set(self.arguments) - known), sorted((known & REQUIRED) - set(self.arguments))
        if unknown:
            raise ValueError(f"{self.expectation} takes no {unknown[0]!r}; it takes {sorted(known)}")
        if missing:
            raise ValueError(f"{self.expectation} needs {missing[0]!r}; add it to the arguments")
        return self


class Skew(Declared):
    """How far a margin of the valid records may lie from its target share."""

    axes: list[str] = Field(min_length=1)
    limit: float = Field(gt=0, le=1, description="largest allowed absolute gap between realised and target share")
    blocking: bool = True
