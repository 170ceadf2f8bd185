"""Asset checks: what the stages conclude, reported to Dagster by partition."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from synth_pipeline.components.declaration import Declaration
from synth_pipeline.components.failures import explained, explaining
from synth_pipeline.components.partitions import cell_partitions
from synth_pipeline.contracts.checks import MAX_IDS, Conclusion, DeclaredCheck

GATE = "gate"
COMPLETE = DeclaredCheck(
    "complete", "Every row was asked for and answered: none failed for good, none was left out by the budget.", "warn"
)
WRITTEN_BY = (("raw_generations", "record_id"), ("flawed_variants", "variant_id"))
NOT_ANSWERED = ("failed", "out_of_budget")
SEVERITIES = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


def build_checks(declaration: Declaration) -> list[dg.AssetChecksDefinition]:
    """Return the recipe's checks.

    Plausibility and skew of the validated set, the gate on its discriminator score, and whether all that was to be
    written has been.
    """
    complete = [_complete_check(declaration, asset, key) for asset, key in WRITTEN_BY]
    return [_validated_checks(declaration), _gate_check(declaration), *complete]


def _validated_checks(declaration: Declaration) -> dg.AssetChecksDefinition:
    asset = dg.AssetKey([declaration.name, "validated_set"])
    declared = {check.name: check for check in declaration.kind.declared_checks}
    cells = cell_partitions(declaration.providers)
    specs = [
        dg.AssetCheckSpec(
            check.name,
            asset=asset,
            description=check.description,
            blocking=check.blocking,
            partitions_def=cells,
        )
        for check in declared.values()
    ]

    @dg.multi_asset_check(
        name=f"{declaration.name}__validated_set_checks",
        specs=specs,
        ins={"validated_set": dg.AssetIn(asset)},
    )
    def validated_set_checks(validated_set: pl.DataFrame) -> Iterator[dg.AssetCheckResult]:
        with explaining():
            conclusions = declaration.kind.conclude(validated_set)
        yield from (_result(asset, declared[conclusion.name], conclusion) for conclusion in conclusions)

    return validated_set_checks


def _result(asset: dg.AssetKey, check: DeclaredCheck, conclusion: Conclusion) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {
        "observed": str(conclusion.observed),
        "limit": conclusion.limit,
        "n": conclusion.n,
        "n_offending": conclusion.n_offending,
        "offending_ids": dg.MetadataValue.json(list(conclusion.offending_ids)),
        **conclusion.figures,
    }
    if not conclusion.passed and conclusion.advice:
        metadata["what_to_do"] = conclusion.advice
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=conclusion.passed,
        severity=SEVERITIES[check.severity],
        metadata=metadata,
        description=None if conclusion.passed else f"observed {conclusion.observed}; limit: {conclusion.limit}",
    )


def _gate_check(declaration: Declaration) -> dg.AssetChecksDefinition:
    asset = dg.AssetKey([declaration.name, "discriminator_score"])
    gate = declaration.recipe.gate
    blocks = gate.block_above is not None
    above = f"; blocks above {gate.block_above:g}" if gate.block_above is not None else "; never blocks"

    @dg.asset_check(
        name=GATE,
        asset=asset,
        description=f"No family tells synthetic from real with an AUC above {gate.limit:g} (undecided warns){above}.",
        blocking=blocks,
        partitions_def=cell_partitions(declaration.providers),
    )
    @explained
    def gate_check(discriminator_score: pl.DataFrame) -> dg.AssetCheckResult:
        return _gate_result(discriminator_score, gate.block_above)

    return gate_check


def _gate_result(score: pl.DataFrame, block_above: float | None) -> dg.AssetCheckResult:
    whole = score.filter(pl.col("slice") == "all").sort("auc", descending=True, nulls_last=True)
    worst = whole.row(0, named=True)
    decided = whole.filter(pl.col("verdict") != "undecided")
    blocked = block_above is not None and decided.filter(pl.col("low") > block_above).height > 0
    passed = bool((whole["verdict"] == "pass").all())
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if blocked else dg.AssetCheckSeverity.WARN,
        metadata={
            "observed": worst["verdict_reason"],
            "family": worst["family"],
            **{name: worst[name] for name in ("auc", "low", "high") if worst[name] is not None},
            "limit": worst["limit"],
            "n_real": worst["n_real"],
            "n_synthetic": worst["n_synthetic"],
            "n_needed": worst["n_needed"] or 0,
            "giveaways": dg.MetadataValue.json(worst["giveaways"]),
            "offline": worst["offline"],
        },
        description=f"{worst['verdict']}: {worst['family']}, {worst['verdict_reason']}",
    )


def _complete_check(declaration: Declaration, asset: str, key: str) -> dg.AssetChecksDefinition:
    of = dg.AssetKey([declaration.name, asset])

    @dg.asset_check(
        name=COMPLETE.name,
        asset=of,
        description=COMPLETE.description,
        blocking=COMPLETE.blocking,
        partitions_def=cell_partitions(declaration.providers),
    )
    @explained
    def complete_check(frame: pl.DataFrame) -> dg.AssetCheckResult:
        return _result(of, COMPLETE, conclude_complete(frame, key))

    return complete_check


def conclude_complete(frame: pl.DataFrame, key: str) -> Conclusion:
    """Return whether every row of generations or variants was answered, with the ids of the first that were not."""
    missing = frame.filter(pl.col("state").is_in(NOT_ANSWERED))
    counted = dict(missing.group_by("state").len().iter_rows())
    told = ", ".join(f"{counted[state]} {state}" for state in NOT_ANSWERED if state in counted)
    return Conclusion(
        name=COMPLETE.name,
        passed=missing.is_empty(),
        observed=f"{told} of {frame.height}" if told else f"{frame.height} of {frame.height} answered",
        limit="none failed, none out_of_budget",
        n=frame.height,
        offending_ids=tuple(missing[key].head(MAX_IDS)),
        n_offending=missing.height,
        advice="raise the budget, or wait for the provider, and materialize again: only what is missing is bought",
    )
