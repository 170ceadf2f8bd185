"""What goes into a table comes back, whatever is written beside it."""

import math
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from synth_pipeline.components.io_managers import (
    CONTRACTS,
    DuckDBFrames,
    TableSlice,
    preview,
    read_rows,
    replace_rows,
    table_schema,
)
from synth_pipeline.components.store import DuckDBStore
from synth_pipeline.contracts.errors import StorageError, TableError
from synth_pipeline.contracts.tables import FLAG, INT, NAMES, REAL, TEXT, VALIDATED_SET, VERDICTS

PROVIDERS = ("anna", "bert", "carl")
SEEDS = ("0", "1", "2")
CELLS = tuple(product(PROVIDERS, SEEDS))
PARTITIONS = dg.MultiPartitionsDefinition(
    {"provider": dg.StaticPartitionsDefinition(PROVIDERS), "seed": dg.StaticPartitionsDefinition(SEEDS)}
)
SEED_PARTITIONS = dg.StaticPartitionsDefinition(SEEDS)
RECIPE, TABLE = "evidence", "raw_generations"
KEY = [RECIPE, TABLE]
# Dagster itself calls what it deprecates, for each resource inside another.
pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning")


@pytest.fixture
def store(tmp_path: Path) -> DuckDBStore:
    return DuckDBStore(database=str(tmp_path / "synth.duckdb"))


@pytest.fixture
def frames(store: DuckDBStore) -> DuckDBFrames:
    return DuckDBFrames(store=store)


def rows_of(provider: str, seed: int, *texts: str | None) -> pl.DataFrame:
    """One row per text, in one partition."""
    return pl.DataFrame(
        {"provider": [provider] * len(texts), "seed": [seed] * len(texts), "text": texts},
        schema={"provider": TEXT, "seed": INT, "text": TEXT},
    )


def written_to(key: str, partitions: dg.PartitionsDefinition[str] = PARTITIONS) -> dg.OutputContext:
    return dg.build_output_context(asset_key=KEY, partition_key=key, asset_partitions_def=partitions)


def read_from(start: str, end: str | None = None) -> dg.InputContext:
    keys = dg.PartitionKeyRange(start, end or start)
    return dg.build_input_context(asset_key=KEY, asset_partition_key_range=keys, asset_partitions_def=PARTITIONS)


def cells_of(cells: Sequence[tuple[str, str]]) -> TableSlice:
    return TableSlice(RECIPE, TABLE, ("provider", "seed"), tuple(cells))


def column_schema(context: dg.OutputContext) -> dg.TableSchema:
    value = context.get_logged_metadata()["dagster/column_schema"]
    assert isinstance(value, dg.TableSchemaMetadataValue)
    return value.schema


def texts(frame: pl.DataFrame) -> list[str]:
    return frame["text"].to_list()


# Round trips

VALUES: dict[str, tuple[pl.DataType, st.SearchStrategy[object]]] = {
    "text": (TEXT, st.text()),
    "count": (INT, st.integers(-(2**63), 2**63 - 1)),
    "cost_usd": (REAL, st.floats()),
    "offline": (FLAG, st.booleans()),
    "reasons": (NAMES, st.lists(st.none() | st.text(max_size=3), max_size=3)),
    "verdicts": (
        VERDICTS,
        st.lists(
            st.none() | st.fixed_dictionaries(dict.fromkeys(("rule", "verdict", "reason"), st.none() | st.text())),
            max_size=3,
        ),
    ),
    "born": (pl.Date(), st.dates()),
    "at": (pl.Datetime("us"), st.datetimes()),
    "always_null": (TEXT, st.none()),
}
SCHEMA = {name: dtype for name, (dtype, _) in VALUES.items()}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values) in VALUES.items()}), max_size=6)


@given(rows=ROWS, order=st.permutations(list(VALUES)))
@settings(max_examples=20, deadline=None)
def test_a_frame_comes_back_with_its_rows_their_order_and_their_types(
    rows: list[dict[str, object]], order: list[str]
) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA).select(order)
    with tempfile.TemporaryDirectory() as folder:
        store = DuckDBStore(database=f"{folder}/synth.duckdb")
        replace_rows(store, TableSlice(RECIPE, TABLE), frame)
        assert_frame_equal(read_rows(store, TableSlice(RECIPE, TABLE)), frame)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_table_of_the_contract_comes_back_empty_with_its_types(store: DuckDBStore, name: str) -> None:
    part = TableSlice(RECIPE, name, ("provider", "seed"), CELLS)
    replace_rows(store, part, CONTRACTS[name].empty())
    assert CONTRACTS[name].check(read_rows(store, part)).schema == CONTRACTS[name].schema


WRITES = st.lists(
    st.tuples(st.sets(st.sampled_from(CELLS), min_size=1), st.lists(st.integers(0, 8), max_size=12)),
    max_size=6,
)


@given(writes=WRITES, wanted=st.sets(st.sampled_from(CELLS)))
@settings(max_examples=15, deadline=None)
def test_a_write_replaces_exactly_its_partitions_and_a_load_returns_exactly_those_it_names(
    writes: list[tuple[set[tuple[str, str]], list[int]]], wanted: set[tuple[str, str]]
) -> None:
    kept: dict[tuple[str, str], list[str]] = {cell: [] for cell in CELLS}
    with tempfile.TemporaryDirectory() as folder:
        store = DuckDBStore(database=f"{folder}/synth.duckdb")
        replace_rows(store, cells_of(CELLS), rows_of("anna", 0))
        for number, (cells, picks) in enumerate(writes):
            chosen = sorted(cells)
            placed = [(chosen[pick % len(chosen)], f"{number}.{n}") for n, pick in enumerate(picks)]
            frame = pl.concat([rows_of("anna", 0), *(rows_of(p, int(s), text) for (p, s), text in placed)])
            n_rows = replace_rows(store, cells_of(chosen), frame)
            kept |= {cell: [text for place, text in placed if place == cell] for cell in cells}
            assert n_rows == sum(map(len, kept.values()))
        loaded = read_rows(store, cells_of([*wanted]))
    assert loaded.rows() == [(p, int(s), text) for p, s in sorted(wanted) for text in kept[p, s]]


# Partitions, as Dagster asks for them


def test_a_range_is_written_and_read_as_the_rectangle_that_it_is(frames: DuckDBFrames) -> None:
    every = pl.concat([rows_of(provider, int(seed), f"{provider}{seed}") for provider, seed in CELLS])
    whole = dg.build_output_context(
        asset_key=KEY,
        asset_partitions_def=PARTITIONS,
        asset_partition_key_range=dg.PartitionKeyRange("anna|0", "carl|2"),
    )
    frames.handle_output(whole, every)
    assert texts(frames.load_input(read_from("bert|1", "carl|2"))) == ["bert1", "bert2", "carl1", "carl2"]


def test_a_dynamic_dimension_is_written_and_read(frames: DuckDBFrames) -> None:
    partitions = dg.MultiPartitionsDefinition(
        {
            "provider": dg.StaticPartitionsDefinition(PROVIDERS),
            "seed": dg.DynamicPartitionsDefinition(name="seeds"),
        }
    )

    @dg.asset(key=KEY, partitions_def=partitions)
    def raw_generations(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return rows_of("anna", 7, "dynamic")

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("seeds", ["7"])
        resources = {"io_manager": frames}
        dg.materialize([raw_generations], partition_key="anna|7", instance=instance, resources=resources)
    assert texts(frames.store.read(RECIPE, TABLE, {"seed": 7})) == ["dynamic"]


@dg.asset(key=["evidence", "sampling_plan"], partitions_def=SEED_PARTITIONS)
def sampling_plan(context: dg.AssetExecutionContext) -> pl.DataFrame:
    seed = int(context.partition_key)
    return pl.DataFrame({"seed": [seed, seed], "planned_id": [f"b{seed}", f"a{seed}"]})


@dg.asset(key=KEY, partitions_def=PARTITIONS, ins={"plan": dg.AssetIn(key=["evidence", "sampling_plan"])})
def raw_generations(context: dg.AssetExecutionContext, plan: pl.DataFrame) -> pl.DataFrame:
    provider = context.partition_key.split("|")[0]
    return plan.select(pl.lit(provider).alias("provider"), "seed", text=pl.lit(provider) + pl.col("planned_id"))


@dg.asset(key=["evidence", "merged_set"], partitions_def=SEED_PARTITIONS, ins={"raw": dg.AssetIn(key=KEY)})
def merged_set(raw: pl.DataFrame) -> pl.DataFrame:
    return raw


@dg.asset(key=["evidence", "panel"], ins={"raw": dg.AssetIn(key=KEY)})
def panel(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.select("text")


ASSETS = (sampling_plan, raw_generations, merged_set, panel)


def materialize(frames: DuckDBFrames, asset: dg.AssetsDefinition, key: str | None = None) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*ASSETS],
        selection=[asset],
        partition_key=key,
        instance=dg.DagsterInstance.ephemeral(),
        resources={"io_manager": frames},
    )


def test_a_seeds_asset_reads_the_cells_of_all_providers_and_the_missing_are_absent(
    frames: DuckDBFrames,
) -> None:
    materialize(frames, sampling_plan, "0")
    materialize(frames, sampling_plan, "1")
    for key in ("carl|0", "anna|0", "bert|1"):
        materialize(frames, raw_generations, key)
    materialize(frames, merged_set, "0")
    assert texts(frames.store.read("evidence", "merged_set", {})) == ["annab0", "annaa0", "carlb0", "carla0"]


def test_an_asset_without_partitions_reads_all_and_replaces_its_whole_table(frames: DuckDBFrames) -> None:
    materialize(frames, sampling_plan, "0")
    materialize(frames, raw_generations, "anna|0")
    materialize(frames, panel)
    materialize(frames, panel)
    assert frames.store.read("evidence", "panel", {}).equals(pl.DataFrame({"text": ["annab0", "annaa0"]}))


def test_an_asset_that_was_never_materialized_is_named(frames: DuckDBFrames) -> None:
    with pytest.raises(
        StorageError, match=r"table evidence\.raw_generations[\s\S]*materialize the asset evidence/raw_"
    ):
        frames.load_input(read_from("anna|0"))


def test_an_asset_whose_key_is_no_recipe_and_name_is_refused(frames: DuckDBFrames) -> None:
    with pytest.raises(StorageError, match=r"asset 'lonely' has no table\n  fix: give it the key \[recipe, asset\]"):
        frames.handle_output(dg.build_output_context(asset_key="lonely"), rows_of("anna", 0))


# What does not fit


def test_columns_in_another_order_land_where_they_belong(frames: DuckDBFrames) -> None:
    frames.handle_output(written_to("anna|0"), rows_of("anna", 0, "first"))
    frames.handle_output(written_to("bert|0"), rows_of("bert", 0, "second").select("text", "seed", "provider"))
    assert frames.load_input(read_from("bert|0")).equals(rows_of("bert", 0, "second"))


def test_a_new_column_is_added_and_a_missing_one_is_null(frames: DuckDBFrames) -> None:
    frames.handle_output(written_to("anna|0"), rows_of("anna", 0, "old"))
    wider = rows_of("bert", 0, "new").drop("text").with_columns(reasons=pl.Series([["short"]], dtype=NAMES))
    frames.handle_output(written_to("bert|0"), wider)
    expected = pl.DataFrame(
        {"provider": ["anna", "bert"], "seed": [0, 0], "text": ["old", None], "reasons": [None, ["short"]]}
    )
    assert_frame_equal(frames.load_input(read_from("anna|0", "bert|0")), expected)


def test_a_changed_type_is_refused_and_changes_nothing(frames: DuckDBFrames) -> None:
    frames.handle_output(written_to("anna|0"), rows_of("anna", 0, "old"))
    changed = pl.DataFrame({"provider": ["anna"], "seed": [0], "text": [1.5], "more": [1]})
    fault = r"evidence\.raw_generations: column 'text' is VARCHAR in the table and DOUBLE in the frame\n  fix: keep"
    with pytest.raises(TableError, match=fault):
        frames.handle_output(written_to("anna|0"), changed)
    assert frames.load_input(read_from("anna|0")).equals(rows_of("anna", 0, "old"))


@pytest.mark.parametrize("stranger", [rows_of("bert", 0, "x"), rows_of("anna", 1, "x")])
def test_rows_of_another_partition_are_refused_and_change_nothing(frames: DuckDBFrames, stranger: pl.DataFrame) -> None:
    frames.handle_output(written_to("anna|0"), rows_of("anna", 0, "old"))
    with pytest.raises(TableError, match=r"1 rows lie outside the partitions written \(anna\|0\), first"):
        frames.handle_output(written_to("anna|0"), pl.concat([rows_of("anna", 0, "new"), stranger]))
    assert texts(frames.load_input(read_from("anna|0"))) == ["old"]


def test_a_row_without_its_partition_is_refused(frames: DuckDBFrames) -> None:
    nobody = rows_of("anna", 0, "x").with_columns(provider=pl.lit(None, TEXT))
    with pytest.raises(TableError, match="'provider': None"):
        frames.handle_output(written_to("anna|0"), nobody)


def test_a_frame_without_a_partition_column_is_refused(frames: DuckDBFrames) -> None:
    with pytest.raises(TableError, match="partition column 'seed' is missing"):
        frames.handle_output(written_to("anna|0"), rows_of("anna", 0, "x").drop("seed"))


def test_a_partition_key_that_its_column_cannot_hold_is_refused(frames: DuckDBFrames) -> None:
    partitions = dg.StaticPartitionsDefinition(["first"])
    with pytest.raises(TableError, match=r"\(seed: Int64\) cannot hold the keys first"):
        frames.handle_output(written_to("first", partitions), rows_of("anna", 0, "x"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame(), "the frame has no columns"),
        (rows_of("anna", 0).lazy(), "returned a LazyFrame, not a polars DataFrame"),
        (pl.DataFrame({"text": [None]}), "column 'text' is Null, which would not come back"),
        (pl.DataFrame({"text": ["a"]}, schema={"text": pl.Categorical}), "column 'text' is Categorical"),
        (pl.DataFrame({"at": []}, schema={"at": pl.Datetime("us", "UTC")}), "column 'at' is Datetime"),
        (
            pl.DataFrame({"Text": ["a"], "text": ["b"]}),
            "name of column 'text' is taken, since SQL knows no case",
        ),
        (pl.DataFrame({"rowid": [1]}), "name of column 'rowid' is taken"),
    ],
)
def test_a_frame_that_would_not_come_back_as_it_went_is_refused(
    frames: DuckDBFrames, frame: pl.DataFrame, message: str
) -> None:
    with pytest.raises(TableError, match=message):
        frames.handle_output(dg.build_output_context(asset_key=KEY), frame)


def test_an_empty_frame_empties_its_partition_and_leaves_a_typed_table(frames: DuckDBFrames) -> None:
    frames.handle_output(written_to("anna|0"), rows_of("anna", 0))
    assert frames.load_input(read_from("anna|0")).equals(rows_of("anna", 0))
    frames.handle_output(written_to("anna|0"), rows_of("anna", 0, "text"))
    frames.handle_output(written_to("bert|0"), rows_of("bert", 0, "text"))
    frames.handle_output(written_to("anna|0"), rows_of("anna", 0))
    assert frames.load_input(read_from("anna|0", "bert|0")).equals(rows_of("bert", 0, "text"))


# The asset's page


def test_the_assets_page_says_what_stands_in_the_table(
    frames: DuckDBFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frames.handle_output(written_to("bert|0"), rows_of("bert", 0, "other"))
    context = written_to("anna|0")
    frames.handle_output(context, rows_of("anna", 0, "a", "b"))
    said = {name: value.value for name, value in context.get_logged_metadata().items()}
    assert said["dagster/row_count"] == 3
    assert said["dagster/partition_row_count"] == 2
    assert said["dagster/table_name"] == "evidence.raw_generations"
    assert said["dagster/uri"] == "synth.duckdb"


def test_columns_are_described_by_the_contract_of_their_table(frames: DuckDBFrames) -> None:
    context = written_to("anna|0")
    frames.handle_output(context, rows_of("anna", 0, "a"))
    schema = column_schema(context)
    assert [(column.name, column.type, column.constraints.nullable) for column in schema.columns] == [
        ("provider", "String", False),
        ("seed", "Int64", False),
        ("text", "String", True),
    ]
    assert schema.columns[2].description == "the record's text field"
    assert schema.constraints.other == ["one row per planned record", "key: provider, seed, record_id"]


def test_the_assets_own_description_of_a_column_comes_before_the_contracts(frames: DuckDBFrames) -> None:
    own = dg.TableSchema([dg.TableColumn("text", description="its own words")])
    context = dg.build_output_context(asset_key=KEY, definition_metadata={"dagster/column_schema": own})
    frames.handle_output(context, rows_of("anna", 0, "a"))
    schema = column_schema(context)
    assert [column.description for column in schema.columns] == [None, None, "its own words"]


def test_a_column_that_nobody_declared_is_shown_without_a_description() -> None:
    extra = {**VALIDATED_SET.schema, "severity_axis": TEXT}
    assert table_schema(pl.Schema(extra), VALIDATED_SET).columns[-1] == dg.TableColumn("severity_axis", "String")


def test_a_preview_shows_five_rows_with_long_text_cut_and_lists_as_json() -> None:
    row = {"text": "x" * 500, "reasons": ["é", None], "auc": math.nan, "n": 3, "offline": True, "flaw": None}
    shown = preview(pl.DataFrame([row] * 9, schema_overrides={"flaw": TEXT})).records
    assert len(shown) == 5
    expected = {
        "text": "x" * 199 + "…",
        "reasons": '["é", null]',
        "auc": "nan",
        "n": 3,
        "offline": True,
        "flaw": None,
    }
    assert shown[0].data == expected


def test_a_preview_of_nothing_still_shows_the_columns() -> None:
    assert [column.name for column in preview(rows_of("anna", 0)).schema.columns] == [
        "provider",
        "seed",
        "text",
    ]
