"""Great Expectations over a polars frame: expectations in, plain findings out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from synth_pipeline.contracts.checks import MAX_IDS


@dataclass(frozen=True)
class Stated:
    """One expectation of a suite: the name that its finding carries, the GX class and its arguments."""

    name: str
    expectation: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What Great Expectations found: `observed` is None where it could not look, with the error."""

    name: str
    passed: bool
    observed: Any
    n: int
    unexpected_ids: tuple[str, ...]
    n_unexpected: int
    error: str | None


def run_suite(frame: pl.DataFrame, stated: Sequence[Stated], *, id_column: str) -> list[Finding]:
    """Return one finding for each stated expectation, in their order.

    Args:
        frame: the rows; read through pandas with Arrow types, so that nullable integers stay integers.
        stated: what is expected of them.
        id_column: the column that names a row.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    batch_definition = (
        context.data_sources.add_pandas("memory")
        .add_dataframe_asset("table")
        .add_batch_definition_whole_dataframe("all")
    )
    suite = gx.ExpectationSuite(
        "suite",
        expectations=[getattr(gxe, s.expectation)(**s.arguments, meta={"rule_id": s.name}) for s in stated],
    )
    batch = batch_definition.get_batch({"dataframe": frame.to_pandas(use_pyarrow_extension_array=True)})
    result = batch.validate(suite, result_format=_complete_format(id_column))
    findings = {f.name: f for f in (_finding(one, frame.height, id_column) for one in result.results)}
    return [findings[s.name] for s in stated]


def _complete_format(id_column: str) -> dict[str, Any]:
    return {
        "result_format": "COMPLETE",
        "unexpected_index_column_names": [id_column],
        "return_unexpected_index_query": False,
        "include_unexpected_rows": False,
        "partial_unexpected_count": MAX_IDS,
    }


def _finding(result: Any, n_rows: int, id_column: str) -> Finding:
    found = result.result or {}
    ids = [str(entry[id_column]) for entry in found.get("unexpected_index_list") or []]
    count = found.get("element_count", n_rows) - (found.get("missing_count") or 0)
    observed = found.get("observed_value")
    if observed is None and "unexpected_percent" in found:
        observed = round(1 - (found["unexpected_percent"] or 0) / 100, 6)
    return Finding(
        name=result.expectation_config.meta["rule_id"],
        passed=bool(result.success),
        observed=observed,
        n=int(count),
        unexpected_ids=tuple(ids[:MAX_IDS]),
        n_unexpected=len(ids),
        error=_error(result.exception_info),
    )


def _error(info: Mapping[str, Any] | None) -> str | None:
    entries = [info, *(value for value in (info or {}).values() if isinstance(value, dict))] if info else []
    messages = [str(e.get("exception_message")) for e in entries if isinstance(e, dict) and e.get("raised_exception")]
    return messages[0] if messages else None
