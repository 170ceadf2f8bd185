from collections import Counter
from dataclasses import dataclass, field

import pytest

from synth_pipeline.components.metadata import generation_metadata, purchases
from synth_pipeline.contracts.protocols import Tally
from synth_pipeline.contracts.tables import RAW_GENERATIONS
from synth_pipeline_tests.scenario import raw_frame, raw_row, record_of


@dataclass
class Asked:
    """A completer after its calls."""

    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0


def test_purchases_of_all_completers_are_added_up() -> None:
    anna = Tally(n_bought=30, n_replayed=5, cost_usd=0.25, tokens_in=300, tokens_out=100)
    anna.retries, anna.states = Counter(timeout=1, rate_limit=2), Counter(ok=33, out_of_budget=2)
    bert = Tally(n_bought=10, cost_usd=0.5, tokens_in=80, tokens_out=20, retries=Counter(rate_limit=4))
    told = purchases([Asked(anna, 6.0), Asked(bert, 2.0)])
    retries = told.pop("retries")
    assert told == {
        "n_calls_bought": 40,
        "n_calls_from_ledger": 5,
        "n_out_of_budget": 2,
        "bought_per_s": 5.0,
        "tokens_now": 500,
        "spent_now_usd": 0.75,
        "n_retries": 7,
    }
    assert [record.data for record in retries.records] == [
        {"fault": "rate_limit", "n": 6},
        {"fault": "timeout", "n": 1},
    ]


def test_every_figure_is_there_where_nothing_was_bought() -> None:
    told = purchases([Asked()])
    assert told["retries"].records == []
    assert [told[name] for name in ("n_calls_bought", "bought_per_s", "n_retries", "n_out_of_budget")] == [0, 0.0, 0, 0]


def test_generations_say_how_many_the_budget_left_out() -> None:
    rows = [raw_row(0, record_of("p0")), *(raw_row(n, None, state="out_of_budget", reason="cap") for n in (1, 2))]
    told = generation_metadata(RAW_GENERATIONS.frame(rows))
    assert (told["n_ok"], told["n_out_of_budget"], told["n_failed"]) == (1, 2, 0)


def test_a_written_record_has_a_cost_whenever_it_was_bought() -> None:
    assert generation_metadata(raw_frame())["cost_per_written_usd"] == pytest.approx(0.008 / 3)
    nothing = RAW_GENERATIONS.frame([raw_row(0, None, state="refused", reason="no")])
    assert "cost_per_written_usd" not in generation_metadata(nothing)
