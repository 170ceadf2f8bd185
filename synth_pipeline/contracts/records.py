"""The record: the value that a completion must parse into, built from its declaration."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from synth_pipeline.contracts.space import Declared

Record = BaseModel
LARGEST = 2**63 - 1


def _fits_a_column(number: int) -> int:
    if abs(number) > LARGEST:
        raise ValueError("an integer must fit 64 bits")
    return number


Integer = Annotated[int, AfterValidator(_fits_a_column)]


class RecordField(Declared):
    """One field of a record, in JSON-schema words."""

    type: Literal["string", "integer", "number", "boolean", "string_list"]
    description: str = Field(min_length=3)
    min_length: int | None = Field(None, ge=0)
    max_length: int | None = Field(None, ge=1)
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _bounds_fit_the_type(self) -> Self:
        numeric = self.type in {"integer", "number"}
        broken = [bound for bound in (self.minimum, self.maximum) if bound is not None and not bound.is_integer()]
        if self.type == "integer" and broken:
            raise ValueError(f"bound {broken[0]:g} of an integer is no whole number; round it, or make it a number")
        if not numeric and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"minimum and maximum go with integer and number, not {self.type}")
        if (numeric or self.type == "boolean") and (self.min_length is not None or self.max_length is not None):
            raise ValueError(f"min_length and max_length go with string and string_list, not {self.type}")
        return self

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        for least, most in (("minimum", "maximum"), ("min_length", "max_length")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} {low:g} is above {most} {high:g}; swap them")
        return self

    def definition(self) -> tuple[Any, Any]:
        """Return the field's Python type and pydantic field."""
        python_type = {
            "string": str,
            "integer": Integer,
            "number": float,
            "boolean": bool,
            "string_list": list[str],
        }
        limits = {
            "min_length": self.min_length,
            "max_length": self.max_length,
            "ge": self.minimum,
            "le": self.maximum,
        }
        given = {name: limit for name, limit in limits.items() if limit is not None}
        return python_type[self.type], Field(description=self.description, **given)  # type: ignore[call-overload]  # limits fit the type, checked above


class RecordDeclaration(Declared):
    """The fields of a record and which of them is its text."""

    text: str
    fields: dict[str, RecordField] = Field(min_length=1)

    @model_validator(mode="after")
    def _text_is_a_string_field(self) -> Self:
        if self.text not in self.fields:
            raise ValueError(f"text field {self.text!r} is not among the fields {sorted(self.fields)}")
        if self.fields[self.text].type != "string":
            raise ValueError(f"text field {self.text!r} is {self.fields[self.text].type}; it must be a string")
        return self

    def record_class(self, name: str) -> type[Record]:
        """Return the pydantic class that a completion must parse into; unknown fields are refused."""
        definitions = {field: declared.definition() for field, declared in self.fields.items()}
        config = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
        return create_model(name, __config__=config, **definitions)  # type: ignore[call-overload,no-any-return]  # names come from YAML
