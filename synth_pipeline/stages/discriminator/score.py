"""DISCRIMINATOR_SCORE: every slice by every family, judged against the recipe's limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from synth_pipeline.contracts.identity import seed_for
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.tables import DISCRIMINATOR_SCORE
from synth_pipeline.stages.discriminator.auc import (
    MIN_A_SIDE,
    AucReport,
    n_to_decide,
    shuffled_baseline,
    tell_apart,
)
from synth_pipeline.stages.discriminator.families import Family, surface_family, words_family

MIN_TO_DECIDE = 200
LEAK_AUC = 0.45
CHANCE = 0.5


@dataclass(frozen=True)
class Sides:
    """The texts of both sides at the same n and label mix, with the groups that no fold may part."""

    real: list[str]
    synthetic: list[str]
    real_groups: list[str]
    synthetic_groups: list[str]
    offline: bool


def score_slices(
    validated: pl.DataFrame, reference: pl.DataFrame, recipe: Recipe, *, provider: str, seed: int
) -> pl.DataFrame:
    """Return DISCRIMINATOR_SCORE: one row per slice and feature family.

    Compared are the valid records without a flaw and the reference examples whose label is known, at equal n for each
    label. The folds keep the records of one planned record together, and equal texts too.

    Args:
        validated: VALIDATED_SET of one provider and seed, or a MERGED_SET.
        reference: REFERENCE.
        recipe: the gate and its slices.
        provider: marks the rows; `merged` for a merged set.
        seed: the partition's seed; fixes which records are compared, and the folds.
    """
    clean = validated.filter((pl.col("state") == "valid") & pl.col("flaw").is_null())
    rows: list[dict[str, Any]] = []
    for name, real, synthetic in _slices(clean, reference, recipe):
        sides = _match(real, synthetic, seed)
        for family in (words_family(), surface_family()):
            row = {
                "provider": provider,
                "seed": seed,
                "slice": name,
                "family": family.name,
                "offline": sides.offline,
            }
            rows.append(row | _score(sides, family, recipe.gate.limit, seed))
    return DISCRIMINATOR_SCORE.frame(rows)


def _slices(
    clean: pl.DataFrame, reference: pl.DataFrame, recipe: Recipe
) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    known = reference.filter(pl.col("label").is_not_null())
    yield "all", known, clean
    if recipe.gate.by_label:
        for label in recipe.labels:
            yield (
                f"{recipe.label}={label}",
                known.filter(pl.col("label") == label),
                clean.filter(pl.col("label") == label),
            )


def _match(real: pl.DataFrame, synthetic: pl.DataFrame, seed: int) -> Sides:
    """Draw the same number of examples of each label from both sides."""
    reals, synthetics = [real.clear()], [synthetic.clear()]
    for label in sorted(set(real["label"].to_list()) & set(synthetic["label"].to_list())):
        pools = real.filter(pl.col("label") == label), synthetic.filter(pl.col("label") == label)
        n = min(pool.height for pool in pools)
        reals.append(_draw(pools[0], "example_id", n, seed))
        synthetics.append(_draw(pools[1], "item_id", n, seed))
    one, other = pl.concat(reals), pl.concat(synthetics)
    return Sides(
        real=one["text"].to_list(),
        synthetic=other["text"].to_list(),
        real_groups=one["sha256"].to_list(),
        synthetic_groups=other["planned_id"].to_list(),
        offline=bool(synthetic["offline"].any()),
    )


def _draw(pool: pl.DataFrame, id_column: str, n: int, seed: int) -> pl.DataFrame:
    ordered = pool.sort(id_column)
    if ordered.height <= n:
        return ordered
    picked = np.random.default_rng(seed_for("discriminator", seed, id_column)).permutation(ordered.height)[:n]
    return ordered[sorted(picked.tolist())]


def _score(sides: Sides, family: Family, limit: float, seed: int) -> dict[str, Any]:
    groups = [*sides.real_groups, *sides.synthetic_groups]
    report = tell_apart(sides.real, sides.synthetic, groups, family, seed=seed)
    verdict, reason, n_needed = judge(report, limit, n=len(sides.real))
    return {
        "auc": report.auc if report else None,
        "low": report.low if report else None,
        "high": report.high if report else None,
        "n_real": len(sides.real),
        "n_synthetic": len(sides.synthetic),
        "floor_auc": shuffled_baseline(sides.real, sides.real_groups, family, seed=seed_for("floor", seed)),
        "n_floor": len(sides.real) // 2,
        "shuffled_auc": shuffled_baseline([*sides.real, *sides.synthetic], groups, family, seed=seed),
        "limit": limit,
        "verdict": verdict,
        "verdict_reason": reason,
        "n_needed": n_needed,
        "giveaways": list(report.giveaways) if report else [],
    }


def judge(report: AucReport | None, limit: float, *, n: int) -> tuple[str, str, int | None]:
    """Return the verdict, its reason, and the n a side that would decide it.

    Pass and fail need 200 a side and an interval on one side of the limit; an AUC below 0.45 whose upper bound is below
    0.5 fails as a leak (both sides share sources that the folds do not know of).
    """
    if report is None:
        return (
            "undecided",
            f"{n} a side with matching labels; a classifier needs at least {MIN_A_SIDE}",
            MIN_TO_DECIDE,
        )
    interval = f"AUC {report.auc:.3f} [{report.low:.3f}, {report.high:.3f}] at n = {n} a side"
    if n < MIN_TO_DECIDE:
        needed = max(MIN_TO_DECIDE, n_to_decide(report.auc, limit) or 0)
        return "undecided", f"{interval}: under {MIN_TO_DECIDE} a side nothing is decided", needed
    if report.auc < LEAK_AUC and report.high < CHANCE:
        return (
            "fail",
            f"{interval}: below chance; the sides share sources that the folds do not know of",
            None,
        )
    if report.high <= limit:
        return "pass", f"{interval}: not above {limit:g}", None
    if report.low > limit:
        return "fail", f"{interval}: above {limit:g}", None
    return "undecided", f"{interval}: the interval holds the limit {limit:g}", n_to_decide(report.auc, limit)
