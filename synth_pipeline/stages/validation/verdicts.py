"""From generations and variants to the validated set: a verdict and a reason from every rule."""

import polars as pl

from synth_pipeline.contracts.planned import validated_table
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.rules import AnyRule
from synth_pipeline.contracts.tables import VALIDATED_SET
from synth_pipeline.stages.validation.rules import FIELD, PLANNED, applies_to, fault_of

SCHEMA_RULE = "schema"
POLARS_TYPES = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "string_list": pl.List(pl.String()),
}
FIXED = [column.name for column in VALIDATED_SET.columns]


def validate(
    raw: pl.DataFrame, variants: pl.DataFrame, plan: pl.DataFrame, recipe: Recipe, reference: pl.DataFrame
) -> pl.DataFrame:
    """Return VALIDATED_SET: one row per raw generation and per variant, in the plan's order, clean before flawed.

    Valid, rejected and flagged together are the input, always: an answer that is no record is rejected by the rule
    `schema` with its state and reason.

    Args:
        raw: RAW_GENERATIONS of one provider and seed.
        variants: its FLAWED_VARIANTS.
        plan: its SAMPLING_PLAN.
        recipe: rules and record fields.
        reference: REFERENCE, which no record may copy; may be empty.
    """
    items = _items(raw, variants, plan, recipe)
    items = _with_duplicates(with_fields(items, recipe), reference)
    judged = items.with_columns(
        _schema_verdict().alias(f"rule__{SCHEMA_RULE}"),
        *(_verdict(rule).alias(f"rule__{rule.name}") for rule in recipe.rules),
    )
    return validated_table(recipe).check(_conclude(judged, recipe))


def _items(raw: pl.DataFrame, variants: pl.DataFrame, plan: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    planned_names = [name for name in recipe.planned_names if name in plan.columns and name not in FIXED]
    planned = plan.select(
        "planned_id",
        "position",
        *(pl.col(name).alias(PLANNED + name) for name in planned_names),
        pl.col(recipe.label).alias("label"),
    )
    checks = plan.select("planned_id", "quantity", "healthy_value")
    clean = raw.join(checks, on="planned_id", how="left").with_columns(
        pl.lit(None, dtype=pl.String()).alias(name)
        for name in ("variant_id", "flaw", "severity", "sick_value", "proof")
    )
    shared = [
        *("record_id", "variant_id", "planned_id", "cell_id", "provider", "seed"),
        *("quantity", "healthy_value", "flaw", "severity", "sick_value", "proof"),
        *("state", "state_reason", "text", "record", "checksum", "call_key", "offline"),
    ]
    items = pl.concat([clean.select(shared), variants.select(shared)]).rename({"state": "call_state"})
    return (
        items.with_columns(
            pl.coalesce("variant_id", "record_id").alias("item_id"),
            pl.coalesce("sick_value", "healthy_value").alias("stated_value"),
        )
        .join(planned, on="planned_id", how="left")
        .sort("position", pl.col("variant_id").is_not_null(), "item_id")
    )


def with_fields(items: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Return the items with one column `field__<name>` for each field of the record; null where there is no record."""
    dtype = pl.Struct({name: POLARS_TYPES[field.type] for name, field in recipe.record.fields.items()})
    decoded = items["record"].str.json_decode(dtype)
    return items.hstack(decoded.struct.unnest().rename(lambda name: FIELD + name))


def _with_duplicates(items: pl.DataFrame, reference: pl.DataFrame) -> pl.DataFrame:
    """Add `same_as`: the first earlier item, or the reference example, whose folded text is the same."""
    folded = pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    items = items.with_columns(folded.alias("folded"))
    copied = (
        reference.select(folded.alias("folded"), pl.format("reference example {}", "example_id").alias("example"))
        .unique("folded", keep="first", maintain_order=True)
        .cast({"folded": pl.String(), "example": pl.String()})
    )
    first = pl.col("item_id").first().over("folded")
    earlier = pl.when(pl.col("folded").is_not_null() & (first != pl.col("item_id"))).then(pl.format("item {}", first))
    joined = items.with_columns(earlier.alias("earlier")).join(copied, on="folded", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("example", "earlier").alias("same_as")).drop("example", "earlier", "folded")


def _struct(rule: str, verdict: pl.Expr, reason: pl.Expr) -> pl.Expr:
    return pl.struct(
        pl.lit(rule).alias("rule"),
        verdict.alias("verdict"),
        reason.fill_null("").cast(pl.String()).alias("reason"),
    )


def _schema_verdict() -> pl.Expr:
    ok = pl.col("call_state") == "ok"
    reason = pl.when(~ok).then(pl.format("{}: {}", "call_state", pl.col("state_reason").fill_null("no reason given")))
    return _struct(SCHEMA_RULE, pl.when(ok).then(pl.lit("pass")).otherwise(pl.lit("reject")), reason)


def _verdict(rule: AnyRule) -> pl.Expr:
    judged = (pl.col("call_state") == "ok") & applies_to(rule)
    fault = pl.when(judged).then(fault_of(rule))
    verdict = (
        pl.when(~judged)
        .then(pl.lit("not_applicable"))
        .when(fault.is_null())
        .then(pl.lit("pass"))
        .otherwise(pl.lit(rule.on_fail))
    )
    return _struct(rule.name, verdict, fault)


def _conclude(judged: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    columns = [f"rule__{name}" for name in (SCHEMA_RULE, *(rule.name for rule in recipe.rules))]
    failed = pl.col("verdicts").list.filter(pl.element().struct.field("reason") != "")
    reasons = failed.list.eval(
        pl.format("{}: {}", pl.element().struct.field("rule"), pl.element().struct.field("reason"))
    )
    said = pl.col("verdicts").list.eval(pl.element().struct.field("verdict"))
    state = (
        pl.when(said.list.contains("reject")).then(pl.lit("rejected"))
        .when(said.list.contains("flag")).then(pl.lit("flagged"))
        .otherwise(pl.lit("valid"))
    )  # fmt: skip
    whole = judged.with_columns(pl.concat_list(columns).alias("verdicts"))
    return whole.with_columns(reasons.alias("reasons"), state.alias("state")).select(
        *FIXED, *(pl.col(PLANNED + name).alias(name) for name in recipe.axes)
    )
