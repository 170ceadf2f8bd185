"""Which design check a planned record states, and whether a flawed twin of it is planned."""

import polars as pl

from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.tables import FLAW
from synth_pipeline.stages.sampling.numbers import spread, uniforms

DRAWS = ("which flaw", "flawed", "which severity", "healthy", "sick")


def add_checks_and_flaws(plan: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Return the plan with quantity, healthy value, flaw, severity and sick value.

    Every record whose cell a flaw applies to states the flaw's quantity, flawed twin or not, so that naming the
    quantity says nothing about the flaw. Where no flaw applies all five are null.
    """
    ids = plan["planned_id"].to_list()
    draws = dict(zip(DRAWS, (uniforms(ids, draw).tolist() for draw in DRAWS), strict=True))
    axis = recipe.flaws_axis
    if axis is None:
        return plan.with_columns(pl.lit(None, dtype=column.dtype).alias(column.name) for column in FLAW)
    eligible = {value: _eligible(recipe, recipe.tags_of({axis: value})) for value in recipe.axes[axis].values}
    rows = [
        _one(recipe, eligible[value], dict(zip(DRAWS, drawn, strict=True)))
        for value, *drawn in zip(plan[axis].to_list(), *(draws[name] for name in DRAWS), strict=True)
    ]
    columns = {column.name: column.dtype for column in FLAW}
    return plan.hstack(pl.DataFrame(rows, schema=columns, orient="row"))


def _eligible(recipe: Recipe, tags: list[str]) -> list[str]:
    return [name for name, flaw in recipe.flaws.items() if set(flaw.applies_to) & set(tags)]


def _one(recipe: Recipe, eligible: list[str], draw: dict[str, float]) -> dict[str, str | None]:
    nothing: dict[str, str | None] = {column.name: None for column in FLAW}
    if not eligible:
        return nothing
    name = eligible[int(draw["which flaw"] * len(eligible))]
    flaw = recipe.flaws[name]
    quantity = recipe.quantities[flaw.quantity]
    healthy = spread(quantity.healthy, draw["healthy"], quantity.decimals)
    stated = nothing | {"quantity": flaw.quantity, "healthy_value": healthy}
    if draw["flawed"] >= recipe.flaw_share:
        return stated
    severity = sorted(flaw.sick)[int(draw["which severity"] * len(flaw.sick))]
    sick = spread(flaw.sick[severity], draw["sick"], quantity.decimals)
    return stated | {"flaw": name, "severity": severity, "sick_value": sick}
