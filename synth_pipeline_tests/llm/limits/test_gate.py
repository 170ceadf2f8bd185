"""Who may go, who waits, and what the provider's headers make of it."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.errors import PermanentCallError, ProviderDown
from synth_pipeline.llm.limits import NEUTRAL, OK, Gate, Outcome
from synth_pipeline.llm.purchases import RateHeaders
from synth_pipeline_tests.llm.limits.servers import new_gate, out_of_order, too_many
from synth_pipeline_tests.llm.limits.virtual_time import now, run

Body = Callable[[Gate], Coroutine[Any, Any, None]]


def with_gate(most: int, body: Body) -> None:
    async def main() -> None:
        await body(new_gate(most))

    run(main())


# ------------------------------------------------------------------------------------------ in turn


def test_who_comes_first_goes_first_and_who_was_tried_before_goes_ahead() -> None:
    async def body(gate: Gate) -> None:
        order: list[str] = []

        async def go(name: str, n_tries: int) -> None:
            async with gate.slot(n_tries):
                order.append(name)

        held = await gate.enter()
        waiting = [asyncio.create_task(go(name, n_tries)) for name, n_tries in (("a", 0), ("b", 0), ("c", 1), ("d", 2))]
        await asyncio.sleep(0.1)
        assert (gate.in_flight, gate.n_waiting, order) == (1, 4, [])
        gate.leave(held, OK)
        await asyncio.gather(*waiting)
        assert order == ["c", "d", "a", "b"]
        assert (gate.in_flight, gate.n_waiting) == (0, 0)

    with_gate(1, body)


def test_nobody_overtakes_those_who_wait() -> None:
    async def body(gate: Gate) -> None:
        held = await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.leave(held, OK)
        late = asyncio.create_task(gate.enter())
        gate.leave(await waiting, OK)
        gate.leave(await late, OK)
        assert gate.in_flight == 0

    with_gate(1, body)


def test_who_stops_waiting_takes_no_slot() -> None:
    async def body(gate: Gate) -> None:
        held = await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert gate.n_waiting == 0
        gate.leave(held, OK)
        assert gate.in_flight == 0

    with_gate(1, body)


def test_who_is_stopped_just_when_he_is_let_in_gives_the_slot_to_the_next() -> None:
    async def body(gate: Gate) -> None:
        held = await gate.enter()
        first, second = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.leave(held, OK)
        first.cancel()
        ticket = await second
        assert first.cancelled()
        assert gate.in_flight == 1
        gate.leave(ticket, OK)
        assert gate.in_flight == 0

    with_gate(1, body)


@pytest.mark.parametrize("error", [too_many(), out_of_order(), PermanentCallError("no"), KeyError("bug")])
def test_whatever_goes_wrong_in_it_a_slot_is_given_back(error: Exception) -> None:
    async def body(gate: Gate) -> None:
        with pytest.raises(type(error)):
            async with gate.slot():
                raise error
        assert gate.in_flight == 0

    with_gate(4, body)


# ------------------------------------------------------------------------------------------ nothing sent


def test_a_ticket_that_was_skipped_is_no_answer() -> None:
    async def body(gate: Gate) -> None:
        for _ in range(4):
            gate.leave(await gate.enter(), Outcome("failed", reason="reset"))
        async with gate.slot() as ticket:
            ticket.skip()
        gate.leave(await gate.enter(), Outcome("failed", reason="reset"))
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(1)
        assert not waiting.done()  # five failures with no answer between
        gate.leave(await waiting, NEUTRAL)

    with_gate(4, body)


# ------------------------------------------------------------------------------------------ headers


def seconds_until_let_in(rate: RateHeaders, *, n: int = 1, tokens_a_call: int = 1) -> float:
    """Return when the n-th call after an answer with these headers may go."""
    waited: list[float] = []

    async def body(gate: Gate) -> None:
        gate.leave(await gate.enter(), OK)
        gate.heed(rate, tokens_a_call)
        began = now()
        for _ in range(n):
            gate.leave(await gate.enter(), OK)
        waited.append(now() - began)

    with_gate(8, body)
    return waited[0]


@pytest.mark.parametrize(
    ("rate", "waited_s"),
    [
        (RateHeaders(), 0),
        (RateHeaders(requests_left=100, requests_reset_s=9), 0),
        (RateHeaders(requests_left=0, requests_reset_s=9), 9),
        (RateHeaders(requests_left=0, requests_reset_s=3600), 60),
        (RateHeaders(requests_left=0), 0),
        (RateHeaders(tokens_left=0, tokens_reset_s=7), 7),
        (RateHeaders(requests_left=0, requests_reset_s=2, tokens_left=0, tokens_reset_s=7), 7),
    ],
)
def test_what_is_used_up_is_waited_for(rate: RateHeaders, waited_s: float) -> None:
    assert seconds_until_let_in(rate) == pytest.approx(waited_s)


def test_what_is_left_is_used_before_it_is_waited_for() -> None:
    rate = RateHeaders(requests_left=3, requests_reset_s=9)
    assert seconds_until_let_in(rate, n=3) == 0
    assert seconds_until_let_in(rate, n=4) == pytest.approx(9)


def test_tokens_that_are_left_are_counted_in_calls() -> None:
    rate = RateHeaders(requests_left=500, requests_reset_s=1, tokens_left=2500, tokens_reset_s=9)
    assert seconds_until_let_in(rate, n=2, tokens_a_call=1000) == 0
    assert seconds_until_let_in(rate, n=3, tokens_a_call=1000) == pytest.approx(9)


def test_a_long_wait_for_the_limit_is_told_once_and_so_is_its_end() -> None:
    notices: list[str | None] = []

    async def main() -> None:
        gate = new_gate(8, notices=notices)
        gate.leave(await gate.enter(), OK)
        gate.heed(RateHeaders(requests_left=0, requests_reset_s=42))
        tickets = await asyncio.gather(*(gate.enter() for _ in range(3)))
        for ticket in tickets:
            gate.leave(ticket, OK)

    run(main())
    assert notices == ["the provider's limit is used up; next call in 42 s", None]


# ------------------------------------------------------------------------------------------ laws


@settings(max_examples=60, deadline=None)
@given(most=st.integers(1, 20), n=st.integers(1, 120), seed=st.integers(0, 2**32), p_bad=st.floats(0, 0.9))
def test_whatever_happens_everybody_ends_and_no_slot_is_lost(most: int, n: int, seed: int, p_bad: float) -> None:
    rng = random.Random(seed)
    ends: list[str] = []

    async def main() -> Gate:
        gate = new_gate(most, give_up_after_s=rng.choice([0, 20, 300]))
        running = 0

        async def one() -> None:
            nonlocal running
            for n_tries in range(5):
                try:
                    async with gate.slot(n_tries) as ticket:
                        running += 1
                        try:
                            assert running <= gate.in_flight <= most
                            assert 1 <= ticket.level <= most
                            assert 1 <= gate.limit <= most
                            await asyncio.sleep(rng.choice([0, 0.01, 0.3, 4]))
                            if rng.random() < p_bad:
                                raise rng.choice([too_many(), too_many(1.5), out_of_order(), PermanentCallError("no")])
                            ticket.skipped = rng.random() < 0.1
                        finally:
                            running -= 1
                    return
                except PermanentCallError:
                    return
                except ProviderDown:
                    ends.append("down")
                    return
                except type(too_many()):
                    await asyncio.sleep(rng.random())

        async def ended(cancel_after_s: float | None) -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(one(), cancel_after_s)
            ends.append("end")

        await asyncio.gather(*(ended(rng.choice([None, None, 0.001, 0.2, 5])) for _ in range(n)))
        return gate

    gate = run(main())
    assert ends.count("end") == n
    assert (gate.in_flight, gate.n_waiting) == (0, 0)
    assert 1 <= gate.limit <= most
