"""The queue makes changes durable in their order, many at a time, and loses no failure."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger import Admitted, Bought, Change, Claimed, Ledger, LedgerQueue, Note, Outcome, Release
from synth_pipeline_tests.llm.entries import entry
from synth_pipeline_tests.llm.ledger.changes import ANN, BOB, admit, keep

BROKEN = "half a character: \ud800"


class Counting(Ledger):
    """A ledger that counts its transactions."""

    n_applied = 0

    def apply(self, changes: Sequence[Change]) -> list[Outcome]:
        self.n_applied += 1
        return super().apply(changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Counting]:
    with closing(Counting.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as opened:
        yield opened


def test_each_who_waits_is_told_what_came_of_its_change(ledger: Ledger) -> None:
    async def work() -> list[Outcome]:
        queue = LedgerQueue(ledger)
        outcomes: list[Outcome] = [await queue.do(admit(holder=ANN)), await queue.do(admit(holder=BOB))]
        outcomes.append(await queue.do(keep(holder=ANN)))
        outcomes.append(await queue.do(admit(holder=BOB)))
        await queue.do(Release("k0", BOB))
        await queue.close()
        return outcomes

    admitted, *others = asyncio.run(work())
    assert isinstance(admitted, Admitted)
    assert others == [Claimed(ANN), entry(), Bought(entry())]


def test_changes_of_many_tasks_share_transactions_and_keep_their_order(ledger: Counting) -> None:
    async def work() -> list[object]:
        queue = LedgerQueue(ledger)
        holders = [f"holder {number}" for number in range(200)]
        outcomes = await asyncio.gather(*(queue.do(admit(holder=holder)) for holder in holders))
        await queue.close()
        return list(outcomes)

    first, *others = asyncio.run(work())
    assert isinstance(first, Admitted)
    assert others == [Claimed("holder 0")] * 199
    assert ledger.n_applied <= 10


def test_what_nobody_waits_for_is_made_too_and_before_what_comes_after_it(ledger: Ledger) -> None:
    async def work() -> tuple[Outcome, Outcome]:
        queue = LedgerQueue(ledger)
        queue.later(keep())
        queue.later(Note("k0", "ok"))
        bought = await queue.do(admit())
        queue.later(Note("k0", "refused"))
        await queue.flush()
        flushed = ledger.find(["k0"])["k0"]
        queue.later(Note("k0", "cut_off"))
        await queue.close()
        return bought, flushed

    assert asyncio.run(work()) == (Bought(entry(status="ok")), entry(status="refused"))
    assert ledger.find(["k0"]) == {"k0": entry(status="cut_off")}


def test_a_change_is_made_though_the_task_that_waits_for_it_is_cancelled(ledger: Ledger) -> None:
    async def work() -> None:
        queue = LedgerQueue(ledger)
        task = asyncio.create_task(queue.do(keep()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await queue.close()

    asyncio.run(work())
    assert ledger.find(["k0"]) == {"k0": entry()}


def test_a_transaction_that_cannot_be_made_is_told_to_all_who_wait_and_the_next_is_made(ledger: Ledger) -> None:
    async def work() -> list[object]:
        queue = LedgerQueue(ledger)
        changes = [keep("k0"), keep("k1", content=BROKEN), keep("k2")]
        outcomes = await asyncio.gather(*(queue.do(change) for change in changes), return_exceptions=True)
        await queue.do(keep("k3"))
        await queue.close()
        return list(outcomes)

    outcomes = asyncio.run(work())
    assert [type(outcome) for outcome in outcomes] == [StorageError] * 3
    assert list(ledger.find(["k0", "k1", "k2", "k3"])) == ["k3"]


@pytest.mark.parametrize("waiting", [False, True])
def test_a_failure_that_nobody_waited_for_is_told_at_the_next_flush_and_only_there(
    ledger: Ledger, *, waiting: bool
) -> None:
    async def work() -> None:
        queue = LedgerQueue(ledger)
        if waiting:
            task = asyncio.create_task(queue.do(keep(content=BROKEN)))
            await asyncio.sleep(0)
            task.cancel()
        else:
            queue.later(keep(content=BROKEN))
        with pytest.raises(StorageError, match="cannot be used"):
            await queue.flush()
        await queue.flush()
        queue.later(keep(content=BROKEN))
        with pytest.raises(StorageError, match="cannot be used"):
            await queue.close()

    asyncio.run(work())


def test_a_closed_queue_takes_nothing(ledger: Ledger) -> None:
    async def work() -> None:
        queue = LedgerQueue(ledger)
        await queue.close()
        await queue.close()
        with pytest.raises(RuntimeError, match="queue is closed"):
            queue.later(keep())

    asyncio.run(work())


def test_a_task_that_is_cancelled_may_still_close_its_queue(ledger: Ledger) -> None:
    async def stage() -> None:
        queue = LedgerQueue(ledger)
        try:
            queue.later(keep())
            await asyncio.sleep(60)
        finally:
            await queue.close()

    async def work() -> None:
        task = asyncio.create_task(stage())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())
    assert ledger.find(["k0"]) == {"k0": entry()}
