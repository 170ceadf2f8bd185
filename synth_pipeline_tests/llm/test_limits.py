import asyncio
import time

from synth_pipeline.llm.limits import Pace


def time_calls(pace: Pace, n: int, tokens: int) -> float:
    async def start_all() -> None:
        await asyncio.gather(*(pace.wait(tokens) for _ in range(n)))

    started = time.monotonic()
    asyncio.run(start_all())
    return time.monotonic() - started


def test_calls_start_no_faster_than_the_requests_a_minute() -> None:
    assert time_calls(Pace(rpm=600, tpm=None), n=5, tokens=1) >= 0.4


def test_calls_start_no_faster_than_the_tokens_a_minute() -> None:
    assert time_calls(Pace(rpm=None, tpm=60_000), n=4, tokens=100) >= 0.3


def test_without_limits_nothing_waits() -> None:
    assert time_calls(Pace(rpm=None, tpm=None), n=200, tokens=1000) < 0.2
