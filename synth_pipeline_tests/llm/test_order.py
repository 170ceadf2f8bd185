"""Results leave in the order in which they were asked for, few at a time, with a bounded number between."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.llm.order import InOrder


async def drain(results: InOrder[int]) -> list[list[int]]:
    chunks = []
    while chunk := await results.take():
        chunks.append(chunk)
    return chunks


@given(st.permutations(range(20)), st.integers(1, 7))
def test_whatever_the_order_in_which_they_come_they_leave_in_order_in_full_chunks(order: list[int], chunk: int) -> None:
    async def work() -> list[list[int]]:
        results: InOrder[int] = InOrder(read_ahead=20, chunk=chunk)
        numbers = [await results.next_number() for _ in order]
        assert numbers == list(range(20))
        for number in order:
            results.put(number, number)
        results.end()
        return await drain(results)

    chunks = asyncio.run(work())
    assert [number for one in chunks for number in one] == list(range(20))
    assert {len(one) for one in chunks[:-1]} <= {chunk}


def test_no_more_numbers_are_given_out_than_there_is_room_for() -> None:
    async def work() -> None:
        results: InOrder[str] = InOrder(read_ahead=3, chunk=1)
        for _ in range(3):
            await results.next_number()
        fourth = asyncio.create_task(results.next_number())
        results.put(1, "second")  # the first is still out, so nothing can leave
        await asyncio.sleep(0)
        assert not fourth.done()
        results.put(0, "first")
        assert await results.take() == ["first"]
        assert await fourth == 3

    asyncio.run(work())


def test_results_wait_for_a_full_chunk_unless_they_are_the_last() -> None:
    async def work() -> None:
        results: InOrder[int] = InOrder(read_ahead=10, chunk=2)
        for number in range(3):
            results.put(await results.next_number(), number)
        assert await results.take() == [0, 1]
        last = asyncio.create_task(results.take())
        await asyncio.sleep(0)
        assert not last.done()
        results.end()
        assert await last == [2]
        assert await results.take() == []

    asyncio.run(work())


def test_nothing_asked_for_is_nothing_taken() -> None:
    async def work() -> list[int]:
        results: InOrder[int] = InOrder(read_ahead=1, chunk=1)
        results.end()
        return await results.take()

    assert asyncio.run(work()) == []


def test_an_error_is_raised_by_the_next_take_and_an_interrupt_before_it() -> None:
    async def work(*errors: BaseException) -> None:
        results: InOrder[int] = InOrder(read_ahead=5, chunk=1)
        results.put(await results.next_number(), 0)
        for error in errors:
            results.fail(error)
        await results.take()

    with pytest.raises(ValueError, match="first"):
        asyncio.run(work(ValueError("first"), ValueError("second")))
    with pytest.raises(GeneratorExit):
        asyncio.run(work(ValueError("first"), GeneratorExit()))
