"""What a gate makes of providers that admit so much and no more: laws, in virtual time."""

import asyncio
import math

import pytest

from synth_pipeline_tests.llm.limits.servers import (
    Bucket,
    Client,
    Moody,
    Network,
    Slots,
    Storm,
    Unlimited,
    Window,
    new_gate,
    out_of_order,
    storm,
)
from synth_pipeline_tests.llm.limits.virtual_time import now, run


def fits(result: Storm, n: int) -> bool:
    """Return whether every call was answered."""
    return len(result.answered) == n and result.n_given_up == 0


# ------------------------------------------------------------------------------------------ so many at a time


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("round_trip_s", [0.002, 0.01, 0.03])
@pytest.mark.parametrize(("capacity", "most_rejected"), [(4, 150), (10, 100), (40, 150)])
def test_a_server_that_admits_so_many_at_a_time_is_kept_busy_and_hardly_bothered(
    capacity: int, most_rejected: int, round_trip_s: float, seed: int
) -> None:
    result = storm(Slots(capacity), Network(0.2, round_trip_s, seed=seed), most=64, n=500)
    assert fits(result, 500)
    assert result.wall_s <= 1.4 * 500 / capacity * 0.2
    assert len(result.rejected) <= most_rejected


@pytest.mark.parametrize("capacity", [4, 10, 40])
def test_it_makes_no_difference_whether_all_calls_wait_at_once(capacity: int) -> None:
    result = storm(Slots(capacity), Network(0.2, 0.01), most=64, n=500, at_once=500)
    assert fits(result, 500)
    assert result.wall_s <= 1.4 * 500 / capacity * 0.2
    assert len(result.rejected) <= 100


@pytest.mark.parametrize(("capacity", "most"), [(1, 8), (2, 64), (10, 512), (100, 512), (200, 512), (200, 64)])
@pytest.mark.parametrize(("answer_s", "spread"), [(0.2, 0.4), (1, 0.4), (5, 0)])
def test_whatever_it_admits_and_however_long_it_takes(capacity: int, most: int, answer_s: float, spread: float) -> None:
    n = 20 * max(25, min(capacity, most))
    result = storm(Slots(capacity), Network(answer_s, 0.01, spread), most=most, n=n)
    assert fits(result, n)
    assert result.wall_s <= 1.5 * n / min(capacity, most) * answer_s + 1.5
    assert len(result.rejected) <= 0.25 * n


def test_where_nobody_is_turned_away_nobody_waits_for_long() -> None:
    wide = storm(Unlimited(), Network(0.2), most=128, n=2000)
    slow = storm(Unlimited(), Network(1.0), most=32, n=320)
    assert math.ceil(2000 / 128) * 0.202 / wide.wall_s >= 0.97
    assert 320 / 32 * 1.002 / slow.wall_s >= 0.98
    assert wide.most_in_flight == 128


def test_one_at_a_time_is_one_at_a_time() -> None:
    result = storm(Unlimited(), Network(0.2), most=1, n=50)
    assert result.most_in_flight == 1
    assert fits(result, 50)


def test_a_server_is_asked_for_more_ever_more_rarely() -> None:
    result = storm(Slots(10), Network(1.0, 0.01, 0.3), most=64, n=6000)
    assert fits(result, 6000)
    assert result.rejected_share(after_s=120) <= 0.03


def test_a_server_that_comes_to_admit_fewer_is_followed_down() -> None:
    result = storm(Slots(lambda at: 40 if at < 1020 else 10), Network(0.2, 0.01, 0.3), most=64, n=5200)
    assert fits(result, 5200)
    assert result.rate(30, 50) >= 0.7 * 10 / 0.21
    assert len(result.rejected) <= 450


def test_a_server_that_comes_to_admit_more_is_followed_up() -> None:
    result = storm(Slots(lambda at: 10 if at < 1020 else 60), Network(0.2, 0.01, 0.3), most=64, n=6000)
    assert fits(result, 6000)
    assert result.rate(30, 40) >= 0.7 * 60 / 0.21


def test_two_that_share_a_server_both_get_on() -> None:
    async def main() -> list[Storm]:
        server = Slots(40)
        clients = [Client(server, Network(0.2, 0.01, 0.3, seed), new_gate(64)) for seed in range(2)]
        return await asyncio.gather(*(client.buy_all(3000, 256, 20) for client in clients))

    one, other = run(main())
    both = one.rate(5, 20) + other.rate(5, 20)
    assert both >= 0.75 * 40 / 0.21
    assert min(one.rate(5, 20), other.rate(5, 20)) >= 0.15 * both


@pytest.mark.parametrize("retry_after_s", [None, 1.0])
def test_a_server_that_admits_nobody_for_a_minute_is_left_alone_and_found_again(retry_after_s: float | None) -> None:
    result = storm(
        Slots(lambda at: 0 if 1020 <= at < 1080 else 40, retry_after_s), Network(0.2, 0.01, 0.3), most=64, n=9000
    )
    assert fits(result, 9000)
    assert sum(21 <= at < 80 for at in result.rejected) <= 250
    assert result.rate(90, 110) >= 0.6 * result.rate(5, 20)


def test_a_server_that_is_out_of_order_for_a_minute_is_left_alone_and_found_again() -> None:
    class Broken(Slots):
        def admit(self) -> None:
            if 1020 <= now() < 1080:
                raise out_of_order()
            super().admit()

    result = storm(Broken(40), Network(0.2, 0.01, 0.3), most=64, n=9000)
    assert fits(result, 9000)
    assert sum(21 <= at < 80 for at in result.sent) <= 20
    assert result.rate(120, 130) >= 0.8 * result.rate(5, 20)


# ------------------------------------------------------------------------------------------ so many a second


@pytest.mark.parametrize(
    ("rate", "burst", "answer_s", "tells"),
    [
        (2, 2, 0.05, False),
        (5, 5, 0.2, True),
        (5, 1, 0.2, False),
        (20, 20, 1, False),
        (20, 600, 0.2, False),
        (100, 100, 0.2, False),
        (100, 100, 1, True),
        (5, 5, 10, False),
    ],
)
def test_a_server_that_admits_so_many_a_second_gets_them(
    rate: float, burst: float, answer_s: float, tells: bool
) -> None:
    seconds = 120 if rate < 50 else 60
    network = Network(answer_s, 0.02, 0.3)
    result = storm(Bucket(rate, burst, tells), network, most=128, n=int(2 * rate * seconds) + 1000, for_s=seconds)
    assert result.rate(seconds / 3, seconds) >= 0.8 * rate
    assert result.rejected_share(after_s=seconds / 3) <= 0.25
    assert result.n_given_up == 0


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(("n", "span_s", "answer_s"), [(500, 60, 0.2), (60, 60, 1), (10, 1, 0.2)])
def test_a_server_that_admits_so_many_a_minute_gets_them(n: int, span_s: float, answer_s: float, tells: bool) -> None:
    seconds = max(120, 5 * span_s)
    result = storm(
        Window(n, span_s, tells),
        Network(answer_s, 0.02, 0.3),
        most=64,
        n=int(2 * n * seconds / span_s) + 500,
        for_s=seconds,
    )
    assert result.rate(seconds / 5, seconds) >= 0.75 * n / span_s
    assert result.rejected_share(after_s=seconds / 5) <= 0.25
    assert result.n_given_up == 0


# ------------------------------------------------------------------------------------------ at random


@pytest.mark.parametrize(("answer_s", "most"), [(0.2, 128), (5, 64)])
def test_rejections_and_failures_at_random_cost_no_more_than_themselves(answer_s: float, most: int) -> None:
    result = storm(Moody(0.05, 0.02), Network(answer_s, 0.002, 0.3), most=most, n=8000)
    ideal_s = 8000 * answer_s / most
    assert ideal_s / result.wall_s >= 0.85
    assert len(result.answered) == 8000
