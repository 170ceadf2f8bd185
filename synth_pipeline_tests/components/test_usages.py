from pathlib import Path

import polars as pl

from synth_pipeline.components.costs import Made, Usage
from synth_pipeline.components.declaration import list_recipes, load_declaration
from synth_pipeline.components.store import DuckDBStore
from synth_pipeline.components.usages import find_write_models, made_of, read_costs, usages_in, usages_of_panel
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline_tests.scenario import item, raw_frame, validated_frame, variant_frame

SPENDING = [
    {"recipe_role": "parcels__structure", "provider": "anna", "calls": 3}
    | {"tokens_in": 30, "tokens_out": 6, "cost_usd": 0.01},
    {"recipe_role": "parcels__structure", "provider": "bert", "calls": 3}
    | {"tokens_in": 33, "tokens_out": 9, "cost_usd": 0.02},
    {"recipe_role": "parcels__write", "provider": "anna", "calls": 99}
    | {"tokens_in": 1, "tokens_out": 1, "cost_usd": 9.0},
    {"recipe_role": "letters__structure", "provider": "anna", "calls": 7}
    | {"tokens_in": 1, "tokens_out": 1, "cost_usd": 9.0},
]


def test_a_table_says_what_it_was_bought_with() -> None:
    assert usages_in(raw_frame()) == [Usage("write", "anna", "anna/large", 4, 400, 200, 0.008)]
    assert usages_in(variant_frame()) == [Usage("flaw", "anna", "anna/large", 2, 200, 100, 0.004)]
    assert usages_in(raw_frame().clear()) == []


def test_the_panel_is_counted_once_from_the_ledger_and_for_its_recipe_alone() -> None:
    assert usages_of_panel("parcels", SPENDING) == [
        Usage("structure", "anna", None, 3, 30, 6, 0.01),
        Usage("structure", "bert", None, 3, 33, 9, 0.02),
    ]


def test_records_and_twins_are_counted_apart() -> None:
    validated = validated_frame(
        [
            item("w0"),
            item("w1", state="rejected", reasons=["length: too short"]),
            item("v0", record_id="w0", variant_id="v0"),
            item("v2", record_id="w2", variant_id="v2"),
        ]
    )
    assert made_of(raw_frame(), variant_frame(), validated) == {"write": Made(3, 1), "flaw": Made(2, 2)}


def test_a_provider_that_is_gone_has_no_write_model_and_one_has_its_own_price() -> None:
    price = Price(usd_per_mtok_in=2, usd_per_mtok_out=8)
    row = Provider(
        name="anna", family="anna", models={"default": "a/small", "write": "a/large"}, prices={"a/large": price}
    )
    found = find_write_models({"anna": row}, ["anna", "bert"])
    assert found.keys() == {"anna"}
    assert (found["anna"].name, found["anna"].price) == ("a/large", price)


def test_a_write_model_whose_price_nobody_knows_is_left_out() -> None:
    row = Provider(name="anna", family="anna", models={"default": "nobody/knows"})
    assert find_write_models({"anna": row}, ["anna"]) == {}


def test_before_the_first_run_there_is_nothing_to_report(tmp_path: Path) -> None:
    declaration = load_declaration(list_recipes()[0])
    costs = read_costs(DuckDBStore(database=str(tmp_path / "t.duckdb")), declaration, [("anna", 0)], [])
    assert costs.rows() == []


def test_the_partitions_of_a_report_are_read_from_their_tables(tmp_path: Path) -> None:
    declaration = load_declaration(list_recipes()[0])
    store = DuckDBStore(database=str(tmp_path / "t.duckdb"))
    frames = {
        "raw_generations": raw_frame(),
        "flawed_variants": variant_frame(),
        "validated_set": validated_frame([item("w0")]),
    }
    with store.connection() as db:
        db.execute(f"create schema {declaration.name}")
        for name, frame in frames.items():
            other = frame.with_columns(pl.lit("bert").alias("provider"))
            both = pl.concat([frame, other])
            db.register("both_now", both.to_arrow())
            db.execute(f"create table {declaration.name}.{name} as select * from both_now")
    costs = read_costs(store, declaration, [("anna", 7)], [])
    assert [(cost.stage, cost.n_calls, cost.n_written, cost.n_valid) for cost in costs.stages] == [
        ("write", 4, 3, 1),
        ("flaw", 2, 2, 0),
    ]
    assert read_costs(store, declaration, [("anna", 7), ("bert", 7)], []).whole.n_calls == 12
