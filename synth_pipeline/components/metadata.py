"""What an asset's page says of a partition: counts, cost, previews, as Dagster metadata."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, get_args

import dagster as dg
import polars as pl

from synth_pipeline.contracts.protocols import State, Tally

CLOCKS = ("completed_at", "latency_s")
N_DECIMALS = 3
ROWS_AT_ONCE = 5_000  # rows that are held as text while they are hashed


class Asked(Protocol):
    """A completer that has been asked."""

    @property
    def tally(self) -> Tally:
        """What all its calls came to."""

    @property
    def seconds(self) -> float:
        """How long it was at work on them."""


def content_version(frame: pl.DataFrame) -> dg.DataVersion:
    """Return a data version from the frame's content; when and how fast it was bought does not count."""
    content = hashlib.sha256()
    for rows in frame.drop(CLOCKS, strict=False).iter_slices(ROWS_AT_ONCE):
        content.update(rows.write_ndjson().encode("utf-8", "surrogatepass"))
    return dg.DataVersion(content.hexdigest()[:24])


def output(frame: pl.DataFrame, metadata: Mapping[str, Any]) -> dg.Output[pl.DataFrame]:
    """Return the frame with its metadata and content version."""
    return dg.Output(frame, metadata=dict(metadata), data_version=content_version(frame))


def counts(frame: pl.DataFrame, column: str, values: Iterable[str] = ()) -> dict[str, int]:
    """Return how many rows each value of a column has, as numbers that the UI plots; 0 for `values` not there."""
    tallied = dict(frame.group_by(column).len().sort(column).iter_rows())
    return {f"n_{value}": int(tallied.get(value, 0)) for value in dict.fromkeys([*values, *tallied])}


def purchases(completers: Iterable[Asked]) -> dict[str, Any]:
    """Return what was bought just now, how fast, what the ledger held already, what failed and what no cap allowed."""
    asked = list(completers)
    tallies = [completer.tally for completer in asked]
    n_bought, seconds = sum(tally.n_bought for tally in tallies), sum(completer.seconds for completer in asked)
    retries = Counter[str]()
    for tally in tallies:
        retries.update(tally.retries)
    return {
        "n_calls_bought": n_bought,
        "n_calls_from_ledger": sum(tally.n_replayed for tally in tallies),
        "n_out_of_budget": sum(tally.states["out_of_budget"] for tally in tallies),
        "bought_per_s": n_bought / seconds if seconds else 0.0,
        "tokens_now": sum(tally.tokens_in + tally.tokens_out for tally in tallies),
        "spent_now_usd": sum(tally.cost_usd for tally in tallies),
        "n_retries": retries.total(),
        "retries": table(pl.DataFrame(retries.most_common(), schema={"fault": pl.String, "n": pl.Int64}, orient="row")),
    }


def generation_metadata(frame: pl.DataFrame) -> dict[str, Any]:
    """Return states, tokens and dollars of generations or variants, whenever bought, and whether the stand-in wrote."""
    states, cost = counts(frame, "state", get_args(State)), float(frame["cost_usd"].sum())
    return {
        **states,
        "tokens_in": int(frame["tokens_in"].sum()),
        "tokens_out": int(frame["tokens_out"].sum()),
        "cost_usd": cost,
        **({"cost_per_written_usd": cost / states["n_ok"]} if states["n_ok"] else {}),
        "written_by": _writer(frame),
    }


def table(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """Return a small frame as a table of scalars."""
    rows = [{name: _cell(value) for name, value in row.items()} for row in frame.to_dicts()]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows]) if rows else _empty(frame)


def _empty(frame: pl.DataFrame) -> dg.TableMetadataValue:
    columns = [dg.TableColumn(name) for name in frame.columns]
    return dg.MetadataValue.table([], schema=dg.TableSchema(columns=columns))


def _cell(value: object) -> str | int | float | bool | None:
    if isinstance(value, float):
        return round(value, N_DECIMALS)
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _writer(frame: pl.DataFrame) -> str:
    if frame.is_empty():
        return "nobody: no rows"
    return "offline stand-in, not an LLM" if frame["offline"].any() else "LLM"
