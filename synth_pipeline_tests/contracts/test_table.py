"""A table's shape is said once; a frame that breaks it is turned away with table, column and fix."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from synth_pipeline.contracts.errors import TableError
from synth_pipeline.contracts.planned import plan_table, validated_table
from synth_pipeline.contracts.table import Column, Table
from synth_pipeline.contracts.tables import ASSET_TABLES, MERGED_SET, REFERENCE, VALIDATED_SET
from synth_pipeline_tests.scenario import RECIPE

PARCELS = Table(
    "parcels",
    "one row per parcel",
    ("city", "number"),
    (
        Column("city", pl.String(), "where it goes"),
        Column("number", pl.Int64(), "its number in the city"),
        Column("note", pl.String(), "what is written on it", nullable=True),
    ),
)
GOOD = pl.DataFrame({"city": ["Bern", "Lyon"], "number": [1, 1], "note": [None, "fragile"]})


def refusal(frame: pl.DataFrame) -> str:
    """Return the message with which PARCELS turns `frame` away."""
    with pytest.raises(TableError) as caught:
        PARCELS.check(frame)
    return str(caught.value)


def test_a_frame_that_fits_comes_back_with_its_columns_in_order() -> None:
    assert_frame_equal(PARCELS.check(GOOD.select("note", "number", "city")), GOOD)


@settings(deadline=None)
@given(st.permutations(["city", "number", "note"]))
def test_the_order_in_which_columns_come_does_not_matter(order: list[str]) -> None:
    assert PARCELS.check(GOOD.select(order)).columns == ["city", "number", "note"]


def test_a_missing_column_is_named() -> None:
    assert refusal(GOOD.drop("note")) == (
        "table parcels: column 'note' is missing\n  fix: add it where the frame is made"
    )


def test_a_column_too_many_is_named() -> None:
    assert refusal(GOOD.with_columns(colour=pl.lit("red"))) == (
        "table parcels: column 'colour' is not part of the table\n  fix: drop it, or declare it in the contract"
    )


def test_a_column_of_another_type_is_named_with_both_types() -> None:
    assert refusal(GOOD.cast({"number": pl.String()})) == (
        "table parcels: column 'number' is String, not Int64\n  fix: cast it where it is made"
    )


def test_nulls_are_counted_where_none_may_be() -> None:
    broken = GOOD.with_columns(city=pl.Series([None, None], dtype=pl.String()))
    assert refusal(broken) == "table parcels: column 'city' has 2 nulls\n  fix: fill it, or reject the rows"


def test_a_doubled_key_is_shown_with_its_rows() -> None:
    assert refusal(pl.concat([GOOD, GOOD.head(1)])) == (
        "table parcels: key ('city', 'number') is doubled in 2 rows, first ('Bern', 1)\n  fix: make it unique"
    )


def test_part_of_a_key_may_repeat() -> None:
    assert PARCELS.check(GOOD).height == 2


def test_an_empty_frame_has_the_tables_shape() -> None:
    empty = PARCELS.empty()
    assert (empty.height, empty.schema) == (0, PARCELS.schema)
    assert_frame_equal(PARCELS.check(empty), empty)


def test_rows_become_a_checked_frame() -> None:
    rows: list[dict[str, object]] = [{"city": "Bern", "number": 1, "note": None}]
    assert_frame_equal(PARCELS.frame(rows), GOOD.head(1))
    assert PARCELS.frame([]).schema == PARCELS.schema
    with pytest.raises(TableError, match="column 'city' has 1 nulls"):
        PARCELS.frame([{"city": None, "number": 1, "note": None}])


def test_a_row_with_a_value_that_no_column_takes_is_turned_away() -> None:
    with pytest.raises(TableError, match="column 'colour' is not part of the table"):
        PARCELS.frame([{"city": "Bern", "number": 1, "note": None, "colour": "red"}])


def test_a_row_that_leaves_a_value_out_is_turned_away() -> None:
    with pytest.raises(TableError, match="column 'note' is missing"):
        PARCELS.frame([{"city": "Bern", "number": 1}])


def test_a_recipes_own_columns_stand_after_the_fixed_ones() -> None:
    wider = PARCELS.with_columns([Column("colour", pl.String(), "of the box")])
    assert wider.schema.names() == ["city", "number", "note", "colour"]
    assert PARCELS.schema.names() == ["city", "number", "note"]


@pytest.mark.parametrize("table", [*ASSET_TABLES, MERGED_SET, REFERENCE], ids=lambda table: table.name)
def test_every_table_keys_on_its_own_columns_and_describes_each(table: Table) -> None:
    names = table.schema.names()
    assert len(set(names)) == len(table.columns)
    assert set(table.key) <= set(names)
    assert all(column.description for column in table.columns)
    assert not [column.name for column in table.columns if column.nullable and column.name in table.key]


def test_the_seven_assets_are_partitioned_by_provider_and_seed() -> None:
    assert [table.name for table in ASSET_TABLES] == [
        "ontology",
        "sampling_plan",
        "raw_generations",
        "flawed_variants",
        "validated_set",
        "discriminator_score",
        "finetune_export",
    ]
    assert all(table.key[:2] == ("provider", "seed") for table in ASSET_TABLES)


def test_the_plan_of_a_recipe_holds_its_axes_attributes_and_numbers() -> None:
    own = {name: dtype for name, dtype in plan_table(RECIPE).schema.items() if name in RECIPE.planned_names}
    assert own == {
        **dict.fromkeys(("topic", "city", "tone", "topic_name"), pl.String()),
        "urgent": pl.Boolean(),
        **dict.fromkeys(("weight_g", "came_on", "days", "sent_on"), pl.Int64()),
        "price": pl.Float64(),
        **dict.fromkeys(("quantity", "healthy_value"), pl.String()),
    }


def test_the_validated_set_of_a_recipe_holds_its_axes() -> None:
    assert validated_table(RECIPE).schema.names() == [*VALIDATED_SET.schema.names(), "topic", "city", "tone"]
