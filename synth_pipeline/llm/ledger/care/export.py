"""The ledger's calls as a file that other programs read, written some rows at a time."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
from pyarrow.parquet import ParquetWriter
from sqlalchemy import ColumnElement, Float, Integer, Select, literal_column, select

from synth_pipeline.contracts.errors import InputError
from synth_pipeline.llm.ledger.care.place import written_whole
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.entries import CallStatus
from synth_pipeline.llm.ledger.tables import CALLS

ROWS_AT_ONCE = 500
JSON_COLUMNS = ("messages", "parameters", "parsed", "scopes")
IN_ORDER = literal_column("calls.rowid", Integer)  # rows are only ever appended
Chunks = Iterator[Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Filter:
    """Which calls; None: all.

    Args:
        recipe: the recipe that they were bought for.
        provider: who answered.
        status: what parsing made of them.
    """

    recipe: str | None = None
    provider: str | None = None
    status: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return it as SQL conditions.

        Raises:
            InputError: no call has such a status.
        """
        known = get_args(CallStatus)
        if self.status is not None and self.status not in known:
            raise InputError(f"no call has the status {self.status!r}", where="--status", fix=f"use one of {known}")
        wanted = {"recipe": self.recipe, "provider": self.provider, "status": self.status}
        return [CALLS.c[name] == value for name, value in wanted.items() if value is not None]


def export_calls(database: Database, target: Path, chosen: Filter, *, overwrite: bool = False) -> int:
    """Return how many calls were written to `target`, in the order in which they were bought.

    A .jsonl file holds prompts, parameters and values as JSON, a .parquet file as the text that the ledger keeps.

    Raises:
        InputError: the suffix is neither, the file is there already, or the filter is wrong.
        StorageError: the ledger cannot be read, or the target not written.
    """
    writers: Mapping[str, Callable[[Path, Chunks], int]] = {".jsonl": _write_jsonl, ".parquet": _write_parquet}
    if target.suffix not in writers:
        raise InputError(f"{target.name!r} is neither .jsonl nor .parquet", where="FILE", fix="give it one of the two")
    if target.exists() and not overwrite:
        raise InputError("the file is there already", where=str(target), fix="name another, or add --force")
    query = select(CALLS).where(*chosen.conditions()).order_by(IN_ORDER)
    with written_whole(target) as draft:
        return writers[target.suffix](draft, _chunks(database, query))


def _chunks(database: Database, query: Select[Any]) -> Chunks:
    with database.reading() as connection:
        rows = connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE})
        for chunk in rows.mappings().partitions(ROWS_AT_ONCE):
            yield [dict(row) for row in chunk]


def _write_jsonl(file: Path, chunks: Chunks) -> int:
    n = 0
    with file.open("w", encoding="utf-8", newline="\n") as handle:
        for chunk in chunks:
            n += len(chunk)
            for row in chunk:
                read = {name: _read_json(row[name]) for name in JSON_COLUMNS}
                handle.write(json.dumps({**row, **read}, ensure_ascii=False) + "\n")
    return n


def _read_json(text: str | None) -> Any:
    """Return what a column holds; its bare text where that is no JSON, which `synth ledger verify` complains of."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _write_parquet(file: Path, chunks: Chunks) -> int:
    kinds = {Integer: pa.int64(), Float: pa.float64()}
    schema = pa.schema([(column.name, kinds.get(type(column.type), pa.string())) for column in CALLS.columns])
    n = 0
    with ParquetWriter(file, schema, compression="zstd") as writer:
        for chunk in chunks:
            n += len(chunk)
            writer.write_table(pa.Table.from_pylist(list(chunk), schema=schema))
    return n
