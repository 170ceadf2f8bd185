"""Polars frames in DuckDB: one table per asset, one transaction per write."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType
from polars.datatypes import DataTypeClass

from synth_pipeline.components.store import DuckDBStore, column_types, quoted, table_name, transaction
from synth_pipeline.contracts.errors import StorageError, TableError
from synth_pipeline.contracts.table import Table
from synth_pipeline.contracts.tables import ASSET_TABLES, MERGED_SET

CONTRACTS = {table.name: table for table in (*ASSET_TABLES, MERGED_SET)}
INCOMING = "incoming_frame"
N_PREVIEW_ROWS, N_PREVIEW_CHARACTERS = 5, 200
ROW_ORDER = "rowid"
MOST_KEYS_SHOWN = 3
SCALARS = (
    *(pl.String, pl.Boolean, pl.Binary, pl.Date, pl.Float32, pl.Float64),
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
)
Types = Mapping[str, DuckDBPyType]


class DuckDBFrames(dg.ConfigurableIOManager):
    """Keeps the asset `[recipe, asset]` in the table `<recipe>.<asset>`.

    Each partition dimension is a column of the same name. A write replaces exactly its partitions, in one
    transaction; an asset without partitions replaces its table. A load returns the rows by partition, and
    inside a partition in the order in which they were written.
    """

    store: dg.ResourceDependency[DuckDBStore]
    single_dimension: str = "seed"

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        """Write a frame into its asset's table, and say on the asset's page what stands there now.

        Raises:
            TableError: the frame does not fit the table or its partitions.
            StorageError: the database cannot be written.
        """
        part = slice_of(context, self.single_dimension)
        n_rows = replace_rows(self.store, part, obj)
        context.add_output_metadata(
            {
                "dagster/row_count": n_rows,
                "dagster/partition_row_count": obj.height,
                "dagster/table_name": part.label,
                "dagster/uri": self.store.shown_database,
                "dagster/column_schema": table_schema(obj.schema, _declared(context, part)),
                "preview": preview(obj),
            }
        )

    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        """Return the rows of the partitions asked for; partitions never written are absent.

        Raises:
            StorageError: the table does not exist; says what to materialize.
        """
        return read_rows(self.store, slice_of(context, self.single_dimension))


@dataclass(frozen=True)
class TableSlice:
    """Where rows belong: a table, and the partitions of it in question.

    Args:
        recipe: the table's schema.
        table: the asset's name.
        dimensions: the partition columns; empty for an asset without partitions.
        keys: the partitions, one key per dimension each.
    """

    recipe: str
    table: str
    dimensions: tuple[str, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()

    @property
    def label(self) -> str:
        """The table as people write it."""
        return f"{self.recipe}.{self.table}"

    @property
    def name(self) -> str:
        """The table as SQL."""
        return table_name(self.recipe, self.table)

    def error(self, what: str, fix: str) -> TableError:
        """Return the error that says `what` is wrong with this table."""
        return TableError(what, where=f"table {self.label}", fix=fix)


def slice_of(context: dg.OutputContext | dg.InputContext, single_dimension: str = "seed") -> TableSlice:
    """Return the table and partitions of the asset of `context`.

    Args:
        context: of an output, or of an input that is an asset.
        single_dimension: the partition column of an asset with one dimension.

    Raises:
        StorageError: the asset's key is not `[recipe, asset]`.
    """
    recipe, table = _names_of(context.asset_key)
    if not context.has_asset_partitions:
        return TableSlice(recipe, table)
    partitions, keys = context.asset_partitions_def, context.asset_partition_keys
    if not isinstance(partitions, dg.MultiPartitionsDefinition):
        return TableSlice(recipe, table, (single_dimension,), tuple((key,) for key in keys))
    dimensions = tuple(partitions.partition_dimension_names)
    cells = [partitions.get_partition_key_from_str(key).keys_by_dimension for key in keys]
    return TableSlice(recipe, table, dimensions, tuple(tuple(cell[name] for name in dimensions) for cell in cells))


def _names_of(key: dg.AssetKey) -> tuple[str, str]:
    match key.path:
        case [recipe, table]:
            return recipe, table
    what = f"asset {key.to_user_string()!r} has no table"
    raise StorageError(what, fix="give it the key [recipe, asset]")


def replace_rows(store: DuckDBStore, part: TableSlice, frame: pl.DataFrame) -> int:
    """Replace the partitions of `part` by `frame` in one transaction; all of the table where it has none.

    Returns:
        The number of rows in the whole table afterwards.

    Raises:
        TableError: the frame does not fit the table or its partitions.
        StorageError: the database cannot be written.
    """
    _check_frame(part, frame)
    _check_partitions(part, frame)
    rows = frame.to_arrow()  # before the database is locked
    with store.connection() as db, _registered(db, rows) as incoming:
        if part.dimensions:
            _widen(db, part, incoming)
        with transaction(db):
            db.execute(f"create schema if not exists {quoted(part.recipe)}")
            (_replace_partitions if part.dimensions else _replace_table)(db, part)
            return _count(db, part)


def read_rows(store: DuckDBStore, part: TableSlice) -> pl.DataFrame:
    """Return the rows of `part`: by partition, and inside a partition in the order they were written.

    Raises:
        StorageError: the table does not exist; says what to materialize.
    """
    with store.connection(read_only=True) as db:
        types = column_types(db, part.recipe, part.table)
        if not types:
            fix = f"materialize the asset {part.recipe}/{part.table} first"
            raise StorageError("the table does not exist", where=f"table {part.label}", fix=fix)
        where, keys = _chosen(part, types)
        order = ", ".join([*map(quoted, part.dimensions), ROW_ORDER])
        return db.sql(f"select * from {part.name} where {where} order by {order}", params=keys).pl()


def _replace_table(db: duckdb.DuckDBPyConnection, part: TableSlice) -> None:
    db.execute(f"create or replace table {part.name} as select * from {INCOMING}")


def _replace_partitions(db: duckdb.DuckDBPyConnection, part: TableSlice) -> None:
    db.execute(f"create table if not exists {part.name} as select * from {INCOMING} limit 0")
    where, keys = _chosen(part, column_types(db, part.recipe, part.table))
    db.execute(f"delete from {part.name} where {where}", keys)
    db.execute(f"insert into {part.name} by name select * from {INCOMING}")


def _chosen(part: TableSlice, types: Types) -> tuple[str, list[list[str]]]:
    if not part.dimensions:
        return "true", []
    columns = ", ".join(map(quoted, part.dimensions))
    lists = [f"unnest(cast(${n} as {types[name]}[]))" for n, name in enumerate(part.dimensions, start=1)]
    keys = [[key[n] for key in part.keys] for n in range(len(part.dimensions))]
    return f"({columns}) in (select {', '.join(lists)})", keys


def _count(db: duckdb.DuckDBPyConnection, part: TableSlice) -> int:
    [(n_rows,)] = db.execute(f"select count(*) from {part.name}").fetchall()
    return int(n_rows)


@contextmanager
def _registered(db: duckdb.DuckDBPyConnection, rows: object) -> Iterator[Types]:
    db.register(INCOMING, rows)
    try:
        nothing = db.sql(f"select * from {INCOMING} limit 0")
        yield dict(zip(nothing.columns, nothing.types, strict=True))
    finally:
        db.unregister(INCOMING)


def _widen(db: duckdb.DuckDBPyConnection, part: TableSlice, incoming: Types) -> None:
    # a transaction before the write's own: DuckDB 1.5 cannot add a column and fill it in one
    held = column_types(db, part.recipe, part.table)
    for name in incoming.keys() & held.keys():
        if incoming[name] != held[name]:
            what = f"column {name!r} is {held[name]} in the table and {incoming[name]} in the frame"
            fix = f"keep the old type, or drop table {part.label} and materialize all of its partitions again"
            raise part.error(what, fix)
    _check_names(part, [*held, *(name for name in incoming if name not in held)])
    with transaction(db):
        for name in [name for name in incoming if held and name not in held]:
            db.execute(f"alter table {part.name} add column {quoted(name)} {incoming[name]}")


def _check_frame(part: TableSlice, frame: pl.DataFrame) -> None:
    if not isinstance(frame, pl.DataFrame):
        raise part.error(f"the asset returned a {type(frame).__name__}, not a polars DataFrame", "return a frame")
    if not frame.width:
        raise part.error("the frame has no columns", "give an empty frame its schema")
    _check_names(part, frame.columns)
    for name, dtype in frame.schema.items():
        if not _is_kept(dtype):
            fix = "cast it to text, numbers, booleans, naive dates and times, or lists and structs of them"
            raise part.error(f"column {name!r} is {dtype}, which would not come back as it went", fix)


def _check_names(part: TableSlice, names: Sequence[str]) -> None:
    taken = {"", ROW_ORDER}
    for name in names:
        if name.lower() in taken:
            raise part.error(f"the name of column {name!r} is taken, since SQL knows no case", "rename it")
        taken.add(name.lower())


def _is_kept(dtype: pl.DataType | DataTypeClass) -> bool:
    match dtype:
        case pl.List():
            return _is_kept(dtype.inner)
        case pl.Struct():
            return bool(dtype.fields) and all(_is_kept(field.dtype) for field in dtype.fields)
        case pl.Datetime():
            return dtype.time_zone is None
    return dtype in SCALARS


def _check_partitions(part: TableSlice, frame: pl.DataFrame) -> None:
    for name in part.dimensions:
        if name not in frame.columns:
            raise part.error(f"partition column {name!r} is missing", "add it where the frame is made")
    if not part.dimensions:
        return
    outside = frame.join(_keys_like(part, frame), on=part.dimensions, how="anti")
    if outside.height:
        first = outside.select(part.dimensions).row(0, named=True)
        what = f"{outside.height} rows lie outside the partitions written ({_shown(part.keys)}), first {first}"
        raise part.error(what, "return only rows of the run's own partitions")


def _keys_like(part: TableSlice, frame: pl.DataFrame) -> pl.DataFrame:
    keys = pl.DataFrame(part.keys, schema=dict.fromkeys(part.dimensions, pl.String), orient="row")
    try:
        return keys.select(pl.col(name).cast(frame.schema[name]) for name in part.dimensions)
    except pl.exceptions.InvalidOperationError as error:
        types = ", ".join(f"{name}: {frame.schema[name]}" for name in part.dimensions)
        what = f"the partition columns ({types}) cannot hold the keys {_shown(part.keys)}"
        raise part.error(what, "give them the keys' type") from error


def _shown(keys: Sequence[Sequence[str]]) -> str:
    first = ["|".join(key) for key in keys[:MOST_KEYS_SHOWN]]
    return ", ".join([*first, "…"] if len(keys) > MOST_KEYS_SHOWN else first)


def _declared(context: dg.OutputContext, part: TableSlice) -> dg.TableSchema | Table | None:
    """Return what is known of the columns: the asset's own metadata, else the contract of its name."""
    own = (context.definition_metadata or {}).get("dagster/column_schema")
    schema = own.schema if isinstance(own, dg.TableSchemaMetadataValue) else own
    return schema if isinstance(schema, dg.TableSchema) else CONTRACTS.get(part.table)


def table_schema(schema: pl.Schema, declared: dg.TableSchema | Table | None = None) -> dg.TableSchema:
    """Return the columns for the asset's page, with the descriptions and constraints that are declared."""
    if isinstance(declared, Table):
        declared = contract_schema(declared)
    known = {column.name: column for column in declared.columns} if declared else {}
    columns = [_table_column(name, str(dtype), known.get(name)) for name, dtype in schema.items()]
    return dg.TableSchema(columns, constraints=declared.constraints if declared else None)


def _table_column(name: str, dtype: str, known: dg.TableColumn | None) -> dg.TableColumn:
    if known is None:
        return dg.TableColumn(name, dtype)
    return dg.TableColumn(name, dtype, known.description, known.constraints, known.tags)


def contract_schema(table: Table) -> dg.TableSchema:
    """Return a table's contract as an asset's page shows it: types, descriptions, which columns may be null."""
    columns = [
        dg.TableColumn(
            column.name,
            str(column.dtype),
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in table.columns
    ]
    return dg.TableSchema(columns, dg.TableConstraints([table.grain, f"key: {', '.join(table.key)}"]))


def preview(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """Return the first rows of `frame` for the asset's page, long text cut."""
    rows = frame.head(N_PREVIEW_ROWS).to_dicts()
    records = [dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows]
    return dg.MetadataValue.table(records, schema=table_schema(frame.schema))


def _cell(value: object) -> str | int | float | bool | None:
    if isinstance(value, bool | int) or value is None or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)
    return text if len(text) <= N_PREVIEW_CHARACTERS else text[: N_PREVIEW_CHARACTERS - 1] + "…"
