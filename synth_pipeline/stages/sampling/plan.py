"""The sampling plan of one provider and seed."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from synth_pipeline.contracts.identity import cell_id, planned_id, seed_for
from synth_pipeline.contracts.planned import plan_table
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.space import Axis
from synth_pipeline.stages.sampling.checks_and_flaws import add_checks_and_flaws
from synth_pipeline.stages.sampling.numbers import add_numbers
from synth_pipeline.stages.sampling.quotas import Codes, draw_cells


def plan_records(recipe: Recipe, name: str, *, provider: str, seed: int, n: int) -> pl.DataFrame:
    """Return SAMPLING_PLAN: `n` planned records, the same for every provider of a seed.

    Every axis's counts are its largest-remainder quotas, so they lie within one record of share times `n`.

    Args:
        recipe: what to plan.
        name: the recipe's name; part of every identity.
        provider: the partition's provider; it marks the rows and changes nothing else.
        seed: the partition's seed.
        n: records to plan.

    Raises:
        RecipeError: a constraint cannot be obeyed with the recipe's shares.
    """
    cells = _cells(recipe, draw_cells(recipe, name, seed, n))
    ordinals = cells.select(pl.int_range(pl.len()).over("cell_id").alias("ordinal"))["ordinal"].to_list()
    ids = [planned_id(name, seed, cell, ordinal) for cell, ordinal in zip(cells["cell_id"], ordinals, strict=True)]
    order = np.random.default_rng(seed_for(name, seed, "order")).permutation(n)
    plan = cells.with_columns(
        pl.Series("planned_id", ids, dtype=pl.String()),
        pl.Series("ordinal", ordinals, dtype=pl.Int64()),
        pl.Series("position", order, dtype=pl.Int64()),
        pl.lit(provider).alias("provider"),
        pl.lit(seed, dtype=pl.Int64()).alias("seed"),
        pl.lit(0, dtype=pl.Int64()).alias("round"),
    )
    plan = add_checks_and_flaws(add_numbers(_with_attributes(plan, recipe), recipe), recipe)
    return plan_table(recipe).check(plan.sort("position"))


def _cells(recipe: Recipe, codes: Mapping[str, Codes]) -> pl.DataFrame:
    columns = {}
    for name, axis in recipe.axes.items():
        values = pl.Series(list(axis.values), dtype=pl.String())
        columns[name] = values.gather(codes[name].astype(np.uint32))
    cells = pl.DataFrame(columns)
    distinct = cells.unique(maintain_order=True)
    ids = [cell_id(row) for row in distinct.iter_rows(named=True)]
    return cells.join(
        distinct.with_columns(pl.Series("cell_id", ids, dtype=pl.String())), on=list(recipe.axes), maintain_order="left"
    )


def _with_attributes(plan: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    for name, axis in recipe.axes.items():
        if axis.attribute_names:
            plan = plan.join(_attribute_frame(name, axis), on=name, maintain_order="left")
    return plan


def _attribute_frame(name: str, axis: Axis) -> pl.DataFrame:
    rows = [{name: value, **declared.attributes} for value, declared in axis.values.items()]
    return pl.DataFrame(rows, infer_schema_length=None)
