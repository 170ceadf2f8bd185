"""How often a failed call is tried again, and after how long."""

import random

import pytest

from synth_pipeline.contracts.errors import PermanentCallError, TransientCallError
from synth_pipeline.llm.limits import NEUTRAL, OK, PATIENCE, Patience, outcome_of
from synth_pipeline_tests.llm.limits.servers import out_of_order, too_many

OVERLOADED = TransientCallError("overloaded", fault="server_error", http_status=529)


def waits(error: TransientCallError, n_tries: int, patience: Patience = PATIENCE, spent_s: float = 0) -> list[float]:
    found = [patience.wait_s(n_tries, spent_s, error) for _ in range(300)]
    return [wait_s for wait_s in found if wait_s is not None]


@pytest.mark.parametrize(("n_tries", "longest_s"), [(1, 0.5), (2, 1), (3, 2), (5, 8)])
def test_waits_are_drawn_from_a_span_that_doubles(n_tries: int, longest_s: float) -> None:
    drawn = waits(out_of_order(), n_tries)
    assert 0 <= min(drawn) <= 0.1 * longest_s
    assert 0.9 * longest_s <= max(drawn) <= longest_s


def test_no_wait_is_longer_than_the_longest() -> None:
    assert max(waits(too_many(), 25)) <= 30
    assert max(waits(too_many(), 5000, Patience(max_turned_away=9999))) <= 30


def test_what_the_provider_asks_for_is_waited_and_not_by_all_alike() -> None:
    drawn = waits(too_many(retry_after_s=10), 1)
    assert 10 < min(drawn) <= 10.5
    assert 11 <= max(drawn) <= 12


def test_a_call_that_fails_is_tried_six_times() -> None:
    assert PATIENCE.wait_s(5, 0, out_of_order()) is not None
    assert PATIENCE.wait_s(6, 0, out_of_order()) is None


@pytest.mark.parametrize("error", [too_many(), too_many(2), OVERLOADED])
def test_a_call_that_is_turned_away_is_tried_for_ten_minutes_and_thirty_times(error: TransientCallError) -> None:
    assert PATIENCE.wait_s(29, 5000, error) is not None
    assert PATIENCE.wait_s(300, 599, error) is not None
    assert PATIENCE.wait_s(30, 600, error) is None


def test_the_same_stream_gives_the_same_waits() -> None:
    one, other = Patience(rng=random.Random(5)), Patience(rng=random.Random(5))
    assert waits(out_of_order(), 3, one) == waits(out_of_order(), 3, other)


# ------------------------------------------------------------------------------------------ how tries end


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (too_many(1.5), "turned_away"),
        (OVERLOADED, "turned_away"),
        (TransientCallError("busy", http_status=503, retry_after_s=2), "turned_away"),
        (TransientCallError("busy", http_status=503), "failed"),
        (out_of_order(), "failed"),
        (TransientCallError("cut", fault="truncated", http_status=200), "failed"),
        (TransientCallError("nobody there", fault="connection"), "failed"),
        (PermanentCallError("no such model", http_status=404), "neutral"),
        (KeyboardInterrupt(), "neutral"),
    ],
)
def test_what_a_try_raises_says_how_it_ended(error: BaseException, end: str) -> None:
    assert outcome_of(error).end == end


def test_a_rejection_keeps_what_the_provider_asks_for() -> None:
    assert outcome_of(too_many(1.5)).retry_after_s == 1.5
    assert (outcome_of(None), outcome_of(KeyError())) == (OK, NEUTRAL)
