"""A dry run asks what a run would ask, buys nothing of it, and says what it would cost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from synth_pipeline.contracts.errors import ProviderError, RecipeError
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.contracts.spending import Cost
from synth_pipeline.kinds.text import TextKind
from synth_pipeline.llm.estimating import DryCompleter, StandIns
from synth_pipeline.llm.offline import parse_grammar
from synth_pipeline_tests.llm.shop import ANNA, KIND, PRICE, Shop, anna, open_shop
from synth_pipeline_tests.scenario import NAME, RECIPE, SEED, TEMPLATES

MESSY = anna(name="bert", models={"default": "offline/messy"}, prices={"offline/messy": PRICE.model_dump()})
STAGES = ("structure", "write", "flaw")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def change(folder: Path, statement: str) -> int:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection, connection:
        return connection.execute(statement).rowcount


def count_calls(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        return int(connection.execute("select count(*) from calls").fetchone()[0])


# ------------------------------------------------------------------------------------------ laws


def test_what_was_bought_is_to_be_bought_no_more(shop: Shop) -> None:
    for row in (ANNA, MESSY):
        shop.buy(40, row)
        stages = shop.estimate(40, row)
        assert [stages[name].n_held for name in STAGES] == [stages[name].n_planned for name in STAGES]
        assert {stage.expected for stage in stages.values()} == {Cost(0, 0)}
        assert {stage.worst for stage in stages.values()} == {Cost(0, 0)}


@pytest.mark.parametrize("row", [ANNA, MESSY], ids=["terse", "messy"])
def test_with_a_history_of_50_records_200_are_estimated_within_15_percent(shop: Shop, row: Provider) -> None:
    shop.buy(50, row)
    expected = sum(stage.expected.usd for stage in shop.estimate(200, row).values())
    assert shop.buy(200, row) == pytest.approx(expected, rel=0.15)


def test_a_dry_run_leaves_the_ledger_as_it_was(shop: Shop, tmp_path: Path) -> None:
    shop.buy(10)
    before = count_calls(tmp_path)
    shop.estimate(40)
    assert count_calls(tmp_path) == before


def test_the_worst_case_is_above_what_is_expected(shop: Shop) -> None:
    for stage in shop.estimate(40).values():
        assert stage.worst.nano_usd > stage.expected.nano_usd > 0
        assert stage.worst.tokens > stage.expected.tokens > 0


# ------------------------------------------------------------------------------------------ what is counted


def test_every_stage_counts_the_calls_that_its_plan_makes(shop: Shop) -> None:
    stages = shop.estimate(40)
    n_flaws = KIND.sampling_plan(provider="anna", seed=SEED, n=40)["flaw"].drop_nulls().len()
    assert {name: stage.n_planned for name, stage in stages.items()} == {"structure": 1, "write": 40, "flaw": n_flaws}
    assert all(stage.n_to_buy == stage.n_planned and stage.n_held == 0 for stage in stages.values())


def test_the_models_of_the_roles_are_told(shop: Shop) -> None:
    cheap = {"write": "offline/terse", "default": "offline/formal"}
    prices = {"offline/terse": {"usd_per_mtok_in": 2, "usd_per_mtok_out": 8}}
    prices["offline/formal"] = {"usd_per_mtok_in": 0, "usd_per_mtok_out": 0}
    stages = shop.estimate(40, anna(models=cheap, prices=prices))
    assert {name: stage.model for name, stage in stages.items()} == {
        "structure": "offline/formal",
        "write": "offline/terse",
        "flaw": "offline/formal",
    }
    assert [stages[name].expected.usd > 0 for name in STAGES] == [False, True, False]


def test_no_key_is_needed(shop: Shop) -> None:
    assert shop.estimate(4, anna(api_key_env="NOBODY_HAS_SET_THIS"))["write"].n_to_buy == 4


def test_a_stand_in_is_a_record_and_a_twin_is_left_out(shop: Shop) -> None:
    dry = DryCompleter(ANNA, None, StandIns({}))
    raw, variants = shop.run(8, dry, dry)
    assert raw["state"].unique().to_list() == ["ok"]
    assert raw["cost_usd"].sum() == 0
    assert variants["state"].unique().to_list() == ["out_of_budget"]


def test_a_repair_that_is_not_bought_yet_is_counted(shop: Shop, tmp_path: Path) -> None:
    shop.buy(40, MESSY)
    n_repairs = change(tmp_path, "delete from calls where attempt = 1 and recipe_role = 'parcels__write'")
    assert n_repairs > 0
    stage = shop.estimate(40, MESSY)["write"]
    assert (stage.n_planned, stage.n_held, stage.n_to_buy) == (40, 40 - n_repairs, n_repairs)


# ------------------------------------------------------------------------------------------ how figures are had


def test_without_history_a_completion_takes_half_of_max_tokens_and_that_is_said(shop: Shop) -> None:
    stage = shop.estimate(40)["write"]
    assert stage.tokens_out == 40 * 750
    assert "no history yet" in stage.basis
    assert "half of max_tokens" in stage.basis


def test_with_five_completions_the_history_decides_and_is_counted(shop: Shop) -> None:
    shop.buy(4)
    assert "no history yet" in shop.estimate(40)["write"].basis
    shop.buy(6)
    assert shop.estimate(40)["write"].basis.startswith("from the last ")
    assert "completions of this role and model in the ledger" in shop.estimate(40)["write"].basis


def test_other_recipes_serve_where_this_one_has_no_history(shop: Shop) -> None:
    replace(shop, kind=TextKind("letters", RECIPE, TEMPLATES)).buy(10)
    assert "of this role and model in other recipes in the ledger" in shop.estimate(40)["write"].basis


def test_another_model_has_no_history(shop: Shop) -> None:
    shop.buy(10)
    assert "no history yet" in shop.estimate(40, MESSY)["write"].basis


def test_prompts_that_quote_what_is_not_written_yet_grow_with_what_was_written(shop: Shop, tmp_path: Path) -> None:
    shop.buy(10)
    before = shop.estimate(40)["flaw"]
    change(tmp_path, "update calls set content = content || printf('%10000s', '') where recipe_role = 'parcels__write'")
    more, characters_a_token = shop.estimate(40)["flaw"].tokens_in - before.tokens_in, 4
    assert more == pytest.approx(before.n_to_buy * 10_000 / characters_a_token, rel=0.1)


def test_twins_are_expected_only_of_records_that_will_be_written(shop: Shop, tmp_path: Path) -> None:
    shop.buy(10)
    whole = shop.estimate(40)["flaw"]
    change(tmp_path, "update calls set status = 'refused' where recipe_role = 'parcels__write' and rowid % 2 = 0")
    half = shop.estimate(40)["flaw"]
    assert half.n_to_buy == whole.n_to_buy
    assert half.expected.usd == pytest.approx(whole.expected.usd / 2, rel=0.25)


def test_a_pace_that_a_provider_sets_is_the_time_it_takes(shop: Shop) -> None:
    shop.buy(10)
    by_requests, by_tokens = shop.estimate(40, anna(rpm=60))["write"], shop.estimate(40, anna(tpm=60_000))["write"]
    assert by_requests.seconds == pytest.approx(by_requests.n_to_buy)
    assert by_tokens.seconds > by_tokens.n_to_buy * 1.5  # 1500 tokens, the longest completion, of 1000 a second


def test_a_free_provider_costs_nothing(shop: Shop) -> None:
    stage = shop.estimate(40, anna(free=True))["write"]
    assert (stage.expected.nano_usd, stage.worst.nano_usd) == (0, 0)
    assert stage.expected.tokens > 0


# ------------------------------------------------------------------------------------------ errors


def test_a_price_that_nobody_knows_is_asked_for_where_something_is_to_be_bought(shop: Shop) -> None:
    with pytest.raises(ProviderError, match="price of 'offline/terse' is not known"):
        shop.estimate(4, anna(prices={}))


def test_a_price_that_nobody_knows_is_not_missed_where_nothing_is_to_be_bought(shop: Shop) -> None:
    shop.buy(4)
    assert shop.estimate(4, anna(prices={}))["write"].n_to_buy == 0


def test_a_record_that_no_stand_in_fits_is_named(shop: Shop) -> None:
    grammar = parse_grammar("given: []\nfields: {note: '{start}'}\nonce: []\nrules: {start: [short]}", where="here")
    dry = DryCompleter(ANNA, None, StandIns({NAME: grammar}))
    with pytest.raises(
        RecipeError, match="the offline stand-in finds nothing for note: String should have at least 20"
    ):
        shop.run(4, dry, dry)
