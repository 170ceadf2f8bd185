"""Raw generations: every planned record is asked for and ends in exactly one state."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from synth_pipeline.contracts.identity import record_id, seed_for
from synth_pipeline.contracts.protocols import CallRequest, Completer, Template
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.tables import RAW_GENERATIONS
from synth_pipeline.contracts.written import written_columns


def write_records(
    plan: pl.DataFrame, recipe: Recipe, name: str, template: Template, complete: Completer
) -> pl.DataFrame:
    """Return RAW_GENERATIONS: one row per planned record, in the plan's order.

    Args:
        plan: the recipe's SAMPLING_PLAN of one provider and seed.
        recipe: the record's fields and the writer's settings.
        name: the recipe's name; part of the schema's name towards the provider.
        template: the write template.
        complete: asks the provider.
    """
    record_class = recipe.record.record_class(f"{name}_record")
    settings = recipe.roles.write

    def request(row: Mapping[str, Any]) -> CallRequest:
        return CallRequest(
            role="write",
            sample=row["planned_id"],
            messages=template.render(prompt_values(recipe, row)),
            record_class=record_class,
            schema_name=f"{name}__write",
            template=template,
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            seed=seed_for("write", row["planned_id"]),
        )

    results = complete((request(row) for row in plan.iter_rows(named=True)), plan.height)
    kept = plan.select("planned_id", "cell_id", "provider", "seed").iter_rows(named=True)
    return RAW_GENERATIONS.frame(
        {
            "record_id": record_id(row["planned_id"], complete.provider),
            **row,
            **written_columns(result, recipe.record.text),
        }
        for row, result in zip(kept, results, strict=True)
    )


def prompt_values(recipe: Recipe, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a write template may name: the planned values one by one, and all of them as `given`.

    The flaw that a twin of the record will get is not among them.
    """
    given = {name: row[name] for name in recipe.planned_names if name != "quantity_label" and row.get(name) is not None}
    if row.get("quantity"):
        given["quantity_label"] = recipe.quantities[row["quantity"]].label
    blanks = dict.fromkeys(recipe.planned_names)
    return {**blanks, **given, "given": given, "description": recipe.description}
