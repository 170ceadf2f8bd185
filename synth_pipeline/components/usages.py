"""What records were bought with, read from their tables and from the call ledger."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import polars as pl

from synth_pipeline.components.costs import FLAW, STRUCTURE, WRITE, CostReport, Made, Usage, WriteModel, costs_by_stage
from synth_pipeline.components.declaration import Declaration
from synth_pipeline.components.store import DuckDBStore
from synth_pipeline.contracts.errors import ProviderError
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.contracts.table import Table
from synth_pipeline.contracts.tables import FLAWED_VARIANTS, RAW_GENERATIONS, VALIDATED_SET
from synth_pipeline.llm.providers import price_of

BOUGHT_COLUMNS = ("state", "role", "provider", "model", "attempts", "tokens_in", "tokens_out", "cost_usd")


def usages_in(bought: pl.DataFrame) -> list[Usage]:
    """Return what generations or variants were bought with, by stage, provider and model."""
    summed = bought.group_by("role", "provider", "model", maintain_order=True).agg(
        pl.col("attempts", "tokens_in", "tokens_out", "cost_usd").sum()
    )
    return [Usage(*row) for row in summed.iter_rows()]


def usages_of_panel(recipe: str, spending: Iterable[Mapping[str, Any]]) -> list[Usage]:
    """Return what the recipe's panel was asked, from the ledger's spending: it keeps each question once.

    The ontology's table holds no costs, and its answers serve all partitions.
    """
    return [
        Usage(STRUCTURE, row["provider"], None, row["calls"], row["tokens_in"], row["tokens_out"], row["cost_usd"])
        for row in spending
        if row["recipe_role"] == f"{recipe}__{STRUCTURE}"
    ]


def made_of(raw: pl.DataFrame, variants: pl.DataFrame, validated: pl.DataFrame) -> dict[str, Made]:
    """Return how many records and twins were written, and how many of each are valid."""
    valid = validated.filter(pl.col("state") == "valid")
    n_twins = valid["variant_id"].drop_nulls().len()
    return {
        WRITE: Made(raw.filter(pl.col("state") == "ok").height, valid.height - n_twins),
        FLAW: Made(variants.filter(pl.col("state") == "ok").height, n_twins),
    }


def find_write_models(providers: Mapping[str, Provider], names: Iterable[str]) -> dict[str, WriteModel]:
    """Return each provider's model for writing, with its price; those that are gone or have no known price are left."""
    models = {}
    for name in names:
        row = providers.get(name)
        if row:
            with suppress(ProviderError):  # its price is not known, and nothing is bought here
                models[name] = WriteModel(row.model_for("write"), price_of(row, row.model_for("write")))
    return models


def read_costs(
    store: DuckDBStore,
    declaration: Declaration,
    partitions: Sequence[tuple[str, int]],
    spending: Iterable[Mapping[str, Any]],
) -> CostReport:
    """Return what the records of some partitions cost, whenever they were bought.

    Args:
        store: where the tables live.
        declaration: the recipe.
        partitions: provider and seed of each.
        spending: the ledger's.
    """
    raw = _read(store, declaration.name, RAW_GENERATIONS, partitions, BOUGHT_COLUMNS)
    variants = _read(store, declaration.name, FLAWED_VARIANTS, partitions, BOUGHT_COLUMNS)
    validated = _read(store, declaration.name, VALIDATED_SET, partitions, ("state", "variant_id"))
    usages = [*usages_of_panel(declaration.name, spending), *usages_in(raw), *usages_in(variants)]
    write_models = find_write_models(declaration.providers, {usage.provider for usage in usages})
    return costs_by_stage(usages, made_of(raw, variants, validated), write_models)


def _read(
    store: DuckDBStore, recipe: str, table: Table, partitions: Sequence[tuple[str, int]], columns: Sequence[str]
) -> pl.DataFrame:
    read = (store.read(recipe, table.name, {"provider": name, "seed": seed}) for name, seed in partitions)
    return pl.concat([table.empty().select(columns), *(frame.select(columns) for frame in read if frame.width)])
