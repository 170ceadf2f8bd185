"""The columns that a recipe's axes, attributes and numbers add to the plan and to the validated set."""

from collections.abc import Sequence

import polars as pl

from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.space import Attribute
from synth_pipeline.contracts.table import Column, Table
from synth_pipeline.contracts.tables import SAMPLING_PLAN, VALIDATED_SET


def axis_columns(recipe: Recipe) -> tuple[Column, ...]:
    """Return one text column for each axis."""
    return tuple(Column(name, pl.String(), f"value on the axis {name}") for name in recipe.axes)


def planned_columns(recipe: Recipe) -> tuple[Column, ...]:
    """Return the columns of axes, their attributes and the numbers, in the recipe's order."""
    attributes = [
        Column(
            name,
            _dtype([value.attributes[name] for value in axis.values.values()]),
            f"attribute of the value on {axis_name}",
        )
        for axis_name, axis in recipe.axes.items()
        for name in axis.attribute_names
    ]
    numbers = [
        Column(name, pl.Float64() if number.decimals else pl.Int64(), f"planned number {name}")
        for name, number in recipe.numbers.items()
    ]
    return (*axis_columns(recipe), *attributes, *numbers)


def plan_table(recipe: Recipe) -> Table:
    """Return the contract of the recipe's sampling plan."""
    return SAMPLING_PLAN.with_columns(planned_columns(recipe))


def validated_table(recipe: Recipe) -> Table:
    """Return the contract of the recipe's validated set."""
    return VALIDATED_SET.with_columns(axis_columns(recipe))


def _dtype(values: Sequence[Attribute]) -> pl.DataType:
    if any(isinstance(value, list) for value in values):
        return pl.List(pl.String())
    for python_type, dtype in ((str, pl.String()), (bool, pl.Boolean()), (float, pl.Float64())):
        if any(isinstance(value, python_type) for value in values):
            return dtype
    return pl.Int64()
