"""A table's shape, said once and checked at the door."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import polars as pl

from synth_pipeline.contracts.errors import TableError

ROWS_AT_ONCE = 500  # rows that are held as Python values before they become part of a frame


@dataclass(frozen=True)
class Column:
    """One column: its name, polars type, whether null is allowed, and what it holds."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """The contract of one table.

    Args:
        name: the asset's name, and the table's inside the recipe's schema.
        grain: what one row is.
        key: the columns that name a row; no two rows share them.
        columns: all columns, in order.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def with_columns(self, extra: Sequence[Column]) -> "Table":
        """Return this table with a recipe's own columns after the fixed ones."""
        return replace(self, columns=(*self.columns, *extra))

    @property
    def schema(self) -> pl.Schema:
        """The polars schema, in column order."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def empty(self) -> pl.DataFrame:
        """Return a frame of this shape without rows."""
        return pl.DataFrame(schema=self.schema)

    def frame(self, rows: Iterable[dict[str, object]]) -> pl.DataFrame:
        """Return `rows`, each with a value or None for every column, as a checked frame of this shape.

        They are taken a few hundred at a time, so that rows made one by one are never all held as Python values.
        """
        schema, names, left = self.schema, set(self.schema.names()), iter(rows)
        frames = [self.empty()]
        while chunk := list(islice(left, ROWS_AT_ONCE)):
            for row in chunk:
                if row.keys() != names:
                    self._check_names(row)
            frames.append(pl.DataFrame(chunk, schema=schema, orient="row"))
        return self.check(pl.concat(frames, rechunk=False))

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` with its columns in order.

        Raises:
            TableError: a column is missing, unknown, of another type or null where it must not be, or a key is doubled.
        """
        self._check_names(frame.columns)
        ordered = frame.select(self.schema.names())
        self._check_types(ordered)
        self._check_nulls(ordered)
        self._check_key(ordered)
        return ordered

    def _check_names(self, names: Iterable[str]) -> None:
        expected, found = set(self.schema.names()), set(names)
        for name in sorted(expected - found):
            raise self._error(f"column {name!r} is missing", "add it where the frame is made")
        for name in sorted(found - expected):
            raise self._error(f"column {name!r} is not part of the table", "drop it, or declare it in the contract")

    def _check_types(self, frame: pl.DataFrame) -> None:
        for name, dtype in self.schema.items():
            if frame.schema[name] != dtype:
                raise self._error(f"column {name!r} is {frame.schema[name]}, not {dtype}", "cast it where it is made")

    def _check_nulls(self, frame: pl.DataFrame) -> None:
        counts = frame.null_count().row(0, named=True) if frame.width else {}
        for column in self.columns:
            if not column.nullable and counts[column.name]:
                raise self._error(
                    f"column {column.name!r} has {counts[column.name]} nulls", "fill it, or reject the rows"
                )

    def _check_key(self, frame: pl.DataFrame) -> None:
        if frame.select(self.key).hash_rows().n_unique() == frame.height:
            return  # a quarter of the memory of looking for doubled rows, of which there are hardly ever any
        doubled = frame.filter(frame.select(self.key).is_duplicated())
        if doubled.height:
            first = doubled.select(self.key).row(0)
            raise self._error(f"key {self.key} is doubled in {doubled.height} rows, first {first}", "make it unique")

    def _error(self, what: str, fix: str) -> TableError:
        return TableError(what, where=f"table {self.name}", fix=fix)
