"""What a partition has come to, read from its tables: the funnel and the discriminator's figures."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from synth_pipeline.components.store import DuckDBStore

CHAIN = (
    "ontology",
    "sampling_plan",
    "raw_generations",
    "flawed_variants",
    "validated_set",
    "discriminator_score",
    "finetune_export",
)


@dataclass(frozen=True)
class Funnel:
    """Counts from plan to export of one partition; twins are counted beside records."""

    provider: str
    seed: int
    planned: int
    written: int
    twins: int
    valid: int
    rejected: int
    flagged: int
    exported: int
    cost_usd: float
    offline: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name."""
        return asdict(self)


def read_funnel(store: DuckDBStore, recipe: str, provider: str, seed: int) -> Funnel:
    """Return the funnel of one provider and seed; zeros where nothing is materialized."""
    where = {"provider": provider, "seed": seed}
    plan, raw, variants, validated, export = (
        store.read(recipe, table, where)
        for table in (
            "sampling_plan",
            "raw_generations",
            "flawed_variants",
            "validated_set",
            "finetune_export",
        )
    )
    states = _counts(validated, "state")
    return Funnel(
        provider=provider,
        seed=seed,
        planned=plan.height,
        written=_counts(raw, "state").get("ok", 0),
        twins=_counts(variants, "state").get("ok", 0),
        valid=states.get("valid", 0),
        rejected=states.get("rejected", 0),
        flagged=states.get("flagged", 0),
        exported=export["item_id"].n_unique() if export.height else 0,
        cost_usd=_sum(raw, "cost_usd") + _sum(variants, "cost_usd"),
        offline=bool(raw["offline"].any()) if raw.height else False,
    )


def stopped_at_budget(n_out_of_budget: int, funnel: Funnel) -> str | None:
    """Return what a run that reached a cap says: how far it came and how to go on; None where it reached none.

    Args:
        n_out_of_budget: calls of the run (records, twins, the panel's questions) that no cap left room for.
        funnel: its partition's.
    """
    if not n_out_of_budget:
        return None
    return (
        f"{funnel.provider}, seed {funnel.seed}: stopped at the budget: {funnel.written:,} of {funnel.planned:,} "
        f"records were written, {n_out_of_budget:,} calls were not made; raise --max-cost-usd (or budget in the "
        "recipe) and run again: what was bought is in the ledger"
    )


def read_scores(store: DuckDBStore, recipe: str, table: str, provider: str, seed: int) -> list[dict[str, Any]]:
    """Return the discriminator's rows over all records, one a feature family; none where there is no score."""
    frame = store.read(recipe, table, {"provider": provider, "seed": seed})
    if frame.is_empty():
        return []
    kept = ("provider", "family", "auc", "low", "high", "n_real", "n_synthetic", "floor_auc", "shuffled_auc")
    told = ("limit", "verdict", "verdict_reason", "n_needed", "giveaways", "offline")
    return frame.filter(pl.col("slice") == "all").select(*kept, *told).to_dicts()


def _counts(frame: pl.DataFrame, column: str) -> dict[str, int]:
    return dict(frame.group_by(column).len().iter_rows()) if frame.height else {}


def _sum(frame: pl.DataFrame, column: str) -> float:
    return float(frame[column].sum()) if frame.height else 0.0
