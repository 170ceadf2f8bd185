"""A provider is asked more and more rarely, and one that is out of reach is given up in the end."""

import asyncio
from itertools import islice

import pytest

from synth_pipeline.contracts.errors import PermanentCallError, ProviderDown, TransientCallError
from synth_pipeline.llm.batches import BATCH_PATIENCE, BatchPatience
from synth_pipeline.llm.batches.patience import keep_asking

HASTY = BatchPatience(first_s=0.001, longest_s=0.004, settle_s=0, give_up_after_s=0.1)


def test_the_waits_double_up_to_the_longest() -> None:
    assert list(islice(BATCH_PATIENCE.waits(), 6)) == [5, 10, 20, 40, 60, 60]


def test_a_question_is_asked_until_it_is_answered() -> None:
    answers: list[Exception | int] = [TransientCallError("busy"), TransientCallError("busy", retry_after_s=0.01), 7]
    assert asyncio.run(keep_asking(lambda: _next(answers), HASTY)) == 7
    assert answers == []


def test_a_refusal_is_final() -> None:
    with pytest.raises(PermanentCallError, match="no"):
        asyncio.run(keep_asking(lambda: _next([PermanentCallError("no")]), HASTY))


def test_who_is_out_of_reach_for_too_long_is_given_up_with_what_to_do() -> None:
    with pytest.raises(ProviderDown) as caught:
        asyncio.run(keep_asking(lambda: _next([TransientCallError("cannot connect", where="provider anna")]), HASTY))
    assert str(caught.value) == (
        "provider anna: out of reach for 0.1 s (cannot connect)\n"
        "  fix: run again with --batch: what is in a batch goes on at the provider, and is collected then"
    )


async def _next(answers: list[Exception | int]) -> int:
    """Give the first answer, the last one for ever."""
    answer = answers.pop(0) if len(answers) > 1 or isinstance(answers[0], int) else answers[0]
    if isinstance(answer, Exception):
        raise answer
    return answer
