import time
from collections import Counter

import pytest

from synth_pipeline.components.progress import (
    LogProgress,
    LogReporter,
    Speed,
    Speedometer,
    calls_bought,
    describe,
    describe_end,
    projected_usd,
)
from synth_pipeline.contracts.protocols import Tally

HALFWAY = Tally(
    total=500,
    done=312,
    n_bought=312,
    in_flight=64,
    cost_usd=0.312,
    tokens_in=31_200,
    tokens_out=9_360,
    retries=Counter(timeout=1, rate_limit=12),
    states=Counter(ok=309, refused=3),
)


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# ------------------------------------------------------------------------------------------ the wording


def test_a_running_stage_is_one_line_of_facts() -> None:
    assert describe(HALFWAY, Speed(elapsed_s=26, per_s=11.94, left_s=15.7)) == (
        "312/500 (62 %); 11.9/s; 16 s left; 64 in flight; $0.3120 spent, about $0.5000 in all; "
        "31.2k tokens in, 9,360 out; not ok: refused 3; retries: rate_limit 12, timeout 1"
    )


def test_a_stage_that_has_ended_says_how_long_it_took_and_projects_nothing() -> None:
    ended = Tally(total=4, done=4, n_bought=3, n_replayed=1, cost_usd=0.012, tokens_in=300, tokens_out=90)
    assert describe_end(ended, Speed(elapsed_s=8, per_s=0.5)) == (
        "4/4 (100 %) in 8 s; 0.5/s; $0.0120 spent; 300 tokens in, 90 out; 1 from the ledger"
    )


def test_a_replay_speaks_of_the_ledger_alone() -> None:
    replay = Tally(total=40, done=20, n_replayed=22, states=Counter(ok=20))
    assert describe(replay, Speed(1, 2000, 0.01)) == "20/40 (50 %); 2,000/s; 0 s left; 22 from the ledger"


def test_what_nothing_tells_is_said_to_be_unknown() -> None:
    assert describe(Tally(total=40, in_flight=8), Speed(2, 0)) == "0/40 (0 %); 0.0/s; time left unknown; 8 in flight"


def test_a_paused_provider_and_a_reached_budget_are_told_as_they_are() -> None:
    paused = Tally(total=40, done=1, notice="anna is paused for 30 s: 12 calls failed in a row")
    assert describe(paused, Speed(60, 0)).endswith("; anna is paused for 30 s: 12 calls failed in a row")


def test_no_stage_is_called_whole_before_it_is() -> None:
    assert describe(Tally(total=1000, done=999), Speed(1, 1, 1)).startswith("999/1,000 (99 %)")


def test_a_stage_of_nothing_has_no_share() -> None:
    assert describe_end(Tally(), Speed(0, 0)) == "0/0 in 0 s; 0.0/s"


# ------------------------------------------------------------------------------------------ what it will cost, and when


def test_the_whole_costs_what_each_bought_call_did_for_each_that_is_left() -> None:
    assert projected_usd(HALFWAY) == pytest.approx(0.5)


def test_calls_from_the_ledger_do_not_make_the_rest_look_cheaper() -> None:
    half_replayed = Tally(total=300, done=200, n_bought=100, n_replayed=100, cost_usd=1.0)
    assert calls_bought(half_replayed) == 100
    assert projected_usd(half_replayed) == pytest.approx(2.0)


def test_repairs_are_part_of_what_a_call_costs() -> None:
    repaired = Tally(total=200, done=100, n_bought=120, cost_usd=1.2)
    assert calls_bought(repaired) == 100
    assert projected_usd(repaired) == pytest.approx(2.4)


def test_calls_that_failed_or_were_not_made_are_not_counted_as_bought() -> None:
    stopped = Tally(total=100, done=60, n_bought=20, states=Counter(ok=20, failed=10, out_of_budget=30), cost_usd=2.0)
    assert calls_bought(stopped) == 20


def test_nothing_is_projected_before_anything_was_bought() -> None:
    assert projected_usd(Tally(total=10, done=3, n_replayed=3)) is None


def test_the_speed_is_that_of_the_last_thirty_seconds() -> None:
    tally = Tally(total=1000)
    meter = Speedometer(tally, 0.0)
    for second in range(1, 61):
        tally.done = tally.n_bought = second * 10 if second <= 30 else 300 + (second - 30)
        speed = meter.read(tally, float(second))
    assert speed.elapsed_s == 60
    assert speed.per_s == pytest.approx(1.0)
    assert speed.left_s == pytest.approx(670)


def test_the_time_left_comes_from_bought_calls_once_there_are_any() -> None:
    tally = Tally(total=1000)
    meter = Speedometer(tally, 0.0)
    tally.done = tally.n_replayed = 500
    assert meter.read(tally, 1.0).left_s == pytest.approx(1.0)  # all from the ledger so far
    tally.done, tally.n_bought = 510, 10
    speed = meter.read(tally, 11.0)
    assert speed.per_s == pytest.approx(510 / 11)
    assert speed.left_s == pytest.approx(490 / (10 / 11))


def test_a_stage_that_stands_still_has_no_time_left_to_tell() -> None:
    tally = Tally(total=10, done=5, n_bought=5)
    meter = Speedometer(tally, 0.0)
    assert meter.read(tally, 40.0) == Speed(40.0, 0.0, None)


def test_a_completer_that_is_asked_again_begins_at_its_speed_of_now() -> None:
    tally = Tally(total=500, done=500, n_bought=500)
    meter = Speedometer(tally, 0.0)
    tally.total, tally.done, tally.n_bought = 600, 520, 520
    assert meter.read(tally, 10.0).per_s == pytest.approx(2.0)
    assert meter.mean(tally, 10.0).per_s == pytest.approx(2.0)


# ------------------------------------------------------------------------------------------ lines in a log


def test_a_log_has_a_first_line_one_every_five_seconds_and_a_last() -> None:
    lines: list[str] = []
    clock = Clock()
    progress = LogProgress(lines.append, clock)
    tally = Tally(total=100)
    progress.start("anna: write", tally)
    for _ in range(100):
        clock.now += 0.125
        tally.done = tally.n_bought = tally.done + 1
        progress.update(tally)
    progress.finish(tally)
    assert [line.partition(";")[0] for line in lines] == [
        "anna: write: 100 calls",
        "anna: write: 40/100 (40 %)",
        "anna: write: 80/100 (80 %)",
        "anna: write: 100/100 (100 %) in 12 s",
    ]
    assert "; 8.0/s; 2 s left; " in lines[2]


def test_a_stage_without_calls_writes_no_line() -> None:
    lines: list[str] = []
    progress = LogReporter().for_log(lines.append)
    progress.start("anna: flaw", Tally())
    progress.finish(Tally())
    assert lines == []


def test_an_update_that_shows_nothing_costs_next_to_nothing() -> None:
    progress, tally = LogProgress(lambda _line: None, Clock()), Tally(total=10)
    progress.start("anna: write", tally)
    n, best = 20_000, float("inf")
    for _ in range(5):
        started = time.process_time()
        for _ in range(n):
            progress.update(tally)
        best = min(best, time.process_time() - started)
    assert best / n < 20e-6  # measured: 0.2 µs; the limit is for a loaded machine
