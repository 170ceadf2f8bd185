"""The merged set: the validated sets of all providers of a seed, without copies across providers."""

import polars as pl

from synth_pipeline.contracts.planned import validated_table
from synth_pipeline.contracts.recipe import Recipe

CROSS_RULE = "exact_duplicate_across_providers"


def merge_sets(validated: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Return MERGED_SET: every row of every provider, in the order of planned record, provider and variant.

    Of valid records with the same text the first provider's by name stays; the others are rejected with the reason.
    """
    ordered = validated.sort("planned_id", "provider", pl.col("variant_id").is_not_null(), "item_id")
    valid = pl.col("state") == "valid"
    first = pl.col("item_id").filter(valid).sort_by(pl.col("provider").filter(valid)).first().over("text")
    copy = valid & (first != pl.col("item_id"))
    reason = pl.format(CROSS_RULE + ": the same text as item {}", first)
    verdict = pl.struct(
        pl.lit(CROSS_RULE).alias("rule"),
        pl.when(copy).then(pl.lit("reject")).otherwise(pl.lit("pass")).alias("verdict"),
        pl.when(copy).then(reason).otherwise(pl.lit("")).alias("reason"),
    )
    merged = ordered.with_columns(
        pl.when(copy).then(pl.lit("rejected")).otherwise("state").alias("state"),
        pl.when(copy).then(pl.concat_list("reasons", reason)).otherwise("reasons").alias("reasons"),
        pl.when(valid)
        .then(pl.concat_list("verdicts", pl.concat_list(verdict)))
        .otherwise("verdicts")
        .alias("verdicts"),
    )
    return validated_table(recipe).check(merged)
