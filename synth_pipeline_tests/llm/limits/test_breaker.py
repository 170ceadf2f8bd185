"""A provider that answers nothing is left alone for a while, and given up in the end."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from synth_pipeline.contracts.errors import ProviderDown
from synth_pipeline.llm.limits import NEUTRAL, OK, Gate, Outcome
from synth_pipeline_tests.llm.limits.servers import new_gate
from synth_pipeline_tests.llm.limits.virtual_time import now, run

REFUSED = Outcome("failed", reason="connection refused")
SLOW_DOWN = Outcome("turned_away", retry_after_s=1.0, reason="slow down")


def with_gate(
    body: Callable[[Gate], Coroutine[Any, Any, None]], *, most: int = 8, give_up_after_s: float = 300
) -> list[str | None]:
    """Run `body` with a gate; return what it told."""
    notices: list[str | None] = []

    async def main() -> None:
        await body(new_gate(most, give_up_after_s, notices))

    run(main())
    return notices


async def end_one(gate: Gate, outcome: Outcome, n_tries: int = 0) -> float:
    """Let one try end so; return how long it waited."""
    began = now()
    gate.leave(await gate.enter(n_tries), outcome)
    return now() - began


async def fail(gate: Gate, n: int) -> None:
    for _ in range(n):
        await end_one(gate, REFUSED)


# ------------------------------------------------------------------------------------------ pauses


def test_five_calls_that_fail_open_it_and_it_says_so() -> None:
    async def body(gate: Gate) -> None:
        await fail(gate, 4)
        await asyncio.sleep(35)
        await fail(gate, 1)

    (notice,) = with_gate(body)
    told = r"provider does not answer \(connection refused\); paused, next try in [56] s, 35 s of 300 s waited"
    assert re.fullmatch(told, notice or "")


def test_a_probe_goes_after_each_pause_and_the_pauses_double_to_a_minute() -> None:
    waited: list[float] = []

    async def body(gate: Gate) -> None:
        await fail(gate, 5)
        waited.extend([await end_one(gate, REFUSED) for _ in range(6)])

    notices = with_gate(body, give_up_after_s=3600)
    for seconds, pause_s in zip(waited, (5, 10, 20, 40, 60, 60), strict=True):
        assert pause_s <= seconds <= 1.1 * pause_s
    assert len(notices) == 7


def test_only_one_probe_goes_at_a_time() -> None:
    async def body(gate: Gate) -> None:
        await fail(gate, 5)
        waiting = [asyncio.create_task(gate.enter()) for _ in range(20)]
        await asyncio.sleep(30)
        assert (gate.in_flight, gate.n_waiting) == (1, 19)
        (probe,) = (task for task in waiting if task.done())
        gate.leave(probe.result(), OK)
        for task in waiting:
            if task is not probe:
                gate.leave(await task, OK)

    told, cleared = with_gate(body)
    assert told is not None
    assert cleared is None


def test_a_probe_that_is_stopped_is_followed_by_another() -> None:
    async def body(gate: Gate) -> None:
        await fail(gate, 5)
        assert await end_one(gate, NEUTRAL) >= 5
        assert await end_one(gate, OK) == 0

    assert with_gate(body)[-1] is None


def test_an_answer_to_a_call_that_was_in_flight_closes_it() -> None:
    async def body(gate: Gate) -> None:
        slow = await gate.enter()
        await fail(gate, 5)
        waiting = asyncio.create_task(end_one(gate, OK))
        await asyncio.sleep(1)
        gate.leave(slow, OK)
        assert await waiting == pytest.approx(1)

    assert with_gate(body)[-1] is None


def test_after_it_few_go_at_first_and_soon_as_many_as_before() -> None:
    async def body(gate: Gate) -> None:
        async def ask() -> None:
            async with gate.slot():
                await asyncio.sleep(0.2)

        await asyncio.gather(*(ask() for _ in range(1000)))
        before = gate.limit
        await fail(gate, 5)
        asking = [asyncio.create_task(ask()) for _ in range(1000)]
        await asyncio.sleep(6)
        assert gate.limit == before
        await asyncio.gather(*asking)

    with_gate(body, most=64)


# ------------------------------------------------------------------------------------------ whose fault it is


def test_a_call_that_always_fails_never_opens_it_while_others_are_answered() -> None:
    async def body(gate: Gate) -> None:
        for n_tries in range(50):
            assert await end_one(gate, REFUSED, n_tries) < 1
            assert await end_one(gate, OK) < 1

    assert with_gate(body) == []


def test_nor_when_it_is_the_last_that_is_left() -> None:
    async def body(gate: Gate) -> None:
        for _ in range(50):
            await end_one(gate, OK)
        for n_tries in range(20):
            assert await end_one(gate, REFUSED, n_tries) < 1

    assert with_gate(body) == []


def test_where_there_are_few_calls_their_tries_open_it() -> None:
    async def body(gate: Gate) -> None:
        for n_tries in range(5):
            await end_one(gate, REFUSED, n_tries)

    assert len(with_gate(body)) == 1


def test_rejections_do_not_open_it() -> None:
    async def body(gate: Gate) -> None:
        for _ in range(20):
            await end_one(gate, SLOW_DOWN)

    assert with_gate(body) == []


# ------------------------------------------------------------------------------------------ giving up


def test_a_provider_that_answers_nothing_for_long_is_down_for_all_that_wait_and_come() -> None:
    async def body(gate: Gate) -> None:
        began = now()
        await fail(gate, 5)

        async def ask() -> None:
            async with gate.slot():
                await asyncio.sleep(1)
                raise_refused()

        def raise_refused() -> None:
            raise ConnectionError

        waiting = [asyncio.create_task(fail(gate, 1)) for _ in range(30)]
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert now() - began == pytest.approx(40)
        down = [error for error in ended if isinstance(error, ProviderDown)]
        assert len(down) >= 25
        with pytest.raises(ProviderDown) as late:
            await gate.enter()
        assert str(late.value) == (
            "provider acme: has answered nothing for 40 s (connection refused)\n"
            "  fix: see the provider's status and its row in providers.yaml, "
            "and run again later: what was bought is in the ledger"
        )

    assert with_gate(body, give_up_after_s=40)[-1] is None


def test_it_is_given_up_at_once_where_no_wait_is_wanted() -> None:
    async def body(gate: Gate) -> None:
        await fail(gate, 5)
        with pytest.raises(ProviderDown, match="has answered nothing for 0 s"):
            await gate.enter()

    with_gate(body, give_up_after_s=0)


def test_an_answer_in_time_starts_the_count_anew() -> None:
    async def body(gate: Gate) -> None:
        for _ in range(10):
            await fail(gate, 5)
            await asyncio.sleep(30)
            await end_one(gate, OK)
        assert await end_one(gate, OK) == 0

    with_gate(body, give_up_after_s=60)


def test_a_provider_that_turns_everything_away_for_long_is_down() -> None:
    async def body(gate: Gate) -> None:
        began = now()
        with pytest.raises(ProviderDown, match=r"has turned every request away for \d+ s \(slow down\)"):
            await asyncio.gather(*(end_one(gate, SLOW_DOWN) for _ in range(5000)))
        assert now() - began == pytest.approx(300, rel=0.1)

    with_gate(body)


def test_one_call_that_is_always_turned_away_does_not_make_it_down() -> None:
    async def body(gate: Gate) -> None:
        for _ in range(10):
            await end_one(gate, OK)
        for n_tries in range(60):
            await end_one(gate, SLOW_DOWN, n_tries)
            await asyncio.sleep(20)
        await end_one(gate, OK)

    with_gate(body)


def test_a_provider_that_asks_to_come_back_much_later_is_down_at_once() -> None:
    async def body(gate: Gate) -> None:
        await end_one(gate, Outcome("turned_away", retry_after_s=600, reason="daily quota"))
        with pytest.raises(ProviderDown, match=r"asks to come back in 600 s \(daily quota\)"):
            await gate.enter()

    with_gate(body)
