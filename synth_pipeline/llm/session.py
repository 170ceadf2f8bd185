"""One stage's calls in one event loop: looked up in the ledger, bought where they are missing, given back in order."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import Any

from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.protocols import CallRequest, CallResult
from synth_pipeline.llm.buying import Buyer, NotBought
from synth_pipeline.llm.keys import key_of
from synth_pipeline.llm.ledger import Ledger, LedgerEntry, Note
from synth_pipeline.llm.order import InOrder
from synth_pipeline.llm.parsing import Parsed, parse_completion, repair_messages
from synth_pipeline.llm.provenance import provenance_of
from synth_pipeline.llm.purchases import Purchase
from synth_pipeline.llm.receipts import Desk

MAX_ASKS = 2
BLOCK = 16  # requests that are read together: reading them holds up what is in flight
CHUNK = 32  # results given back together: while they are used, the event loop stands still
MOST_AHEAD, ROUNDS_AHEAD = 400, 6  # calls that wait: the gate asks for more room where work outlasts a refusal
READ_AHEAD = 1024  # requests between the first unfinished one and the last that was read, at least
GRACE_S = 15.0  # how long answers that will be billed are awaited where a stage ends early


class Session:
    """Works through the requests of one stage.

    Args:
        desk: what the stage's purchases share.
        ledger: where completions are looked up.
        find_buyer: returns who buys for a request; first called for the first that the ledger does not hold.
    """

    def __init__(self, desk: Desk, ledger: Ledger, find_buyer: Callable[[CallRequest], Buyer]) -> None:
        provider = desk.provider
        self._provider, self._queue, self._tally, self._tell = provider, desk.queue, desk.tally, desk.tell
        self._ledger, self._find_buyer, self._count_replay = ledger, find_buyer, desk.count_replay
        n_at_once = max(2 * provider.max_concurrency, min(MOST_AHEAD, ROUNDS_AHEAD * provider.max_concurrency))
        self._results: InOrder[CallResult] = InOrder(max(READ_AHEAD, n_at_once), CHUNK)
        self._places = asyncio.Semaphore(n_at_once + BLOCK)
        self._tasks: set[asyncio.Task[None]] = set()
        self._buyers: set[Buyer] = set()
        self._being_bought: dict[str, asyncio.Event] = {}

    def start(self, requests: Iterator[CallRequest]) -> None:
        """Begin to read and to work."""
        self._spawn(self._read(requests))

    async def take(self) -> list[CallResult]:
        """Return the next results in the requests' order; none at the end.

        Raises:
            SynthError: what ended the stage early.
        """
        return await self._results.take()

    async def stop(self) -> None:
        """End early: send nothing more, wait a while for the answers that will be billed, so that they are kept."""
        for buyer in self._buyers:
            buyer.stopped = True
        paid = {task for buyer in self._buyers for task in buyer.paid}
        for task in self._tasks - paid:
            task.cancel()
        if paid:
            self._tally.notice = f"stopping: {len(paid)} answers that will be billed are awaited for {GRACE_S:.0f} s"
            await asyncio.wait(paid, timeout=GRACE_S)

    async def close(self) -> None:
        """Cancel what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, requests: Iterator[CallRequest]) -> None:
        """Take requests as there is room for their results, and look them up some at a time."""
        while block := list(islice(requests, BLOCK)):
            keys = [key_of(self._provider, request, 0) for request in block]
            held = await asyncio.to_thread(self._ledger.find, keys)
            for request, key in zip(block, keys, strict=True):
                number = await self._results.next_number()
                entry = held.get(key)
                if entry and (result := self._replay(request, entry)):
                    self._finish(number, result)
                else:
                    await self._places.acquire()
                    self._spawn(self._work(number, request, key))
        self._results.end()

    def _replay(self, request: CallRequest, entry: LedgerEntry) -> CallResult | None:
        """Return the result that a kept completion gives; None where a repair of it has to be looked for."""
        parsed = self._parse(request, entry)
        if parsed.state == "unparsable":
            return None
        self._count_replay(entry)
        return self._result(request, parsed, [entry])

    async def _work(self, number: int, request: CallRequest, key: str) -> None:
        try:
            result = await self._complete(request, key)
        finally:
            self._places.release()
        self._finish(number, result)

    async def _complete(self, request: CallRequest, key: str) -> CallResult:
        """Return what became of a request: the answer, or the repaired one after an answer that cannot be used."""
        buyer = self._find_buyer(request)
        self._buyers.add(buyer)
        entries: list[LedgerEntry] = []
        messages = request.messages
        for attempt in range(MAX_ASKS):
            try:
                purchase = Purchase(request, messages, key, attempt, buyer.price)
                entries.append(await self._buy_once(buyer, purchase))
            except NotBought as end:
                provenance = provenance_of(self._provider, request, entries)
                return CallResult(request.sample, end.state, end.reason, None, provenance)
            parsed = self._parse(request, entries[-1])
            if parsed.state != "unparsable":
                break
            messages = repair_messages(messages, entries[-1].content, parsed.reason)
            key = key_of(self._provider, request, attempt + 1)
        return self._result(request, parsed, entries)

    async def _buy_once(self, buyer: Buyer, purchase: Purchase) -> LedgerEntry:
        """Return the completion; where an equal request is being bought, wait for that one's."""
        while being_bought := self._being_bought.get(purchase.key):
            await being_bought.wait()
        self._being_bought[purchase.key] = over = asyncio.Event()
        try:
            return await buyer.buy(purchase)
        finally:
            del self._being_bought[purchase.key]
            over.set()

    def _parse(self, request: CallRequest, entry: LedgerEntry) -> Parsed:
        """Return what the completion holds; the ledger is told where it says otherwise so far."""
        parsed = parse_completion(entry, request.record_class)
        value = canonical_json(parsed.value) if parsed.value is not None else None
        if (entry.status, entry.reason, entry.parsed) != (parsed.state, parsed.reason, value):
            self._queue.later(Note(entry.call_key, parsed.state, parsed.reason, value))
        return parsed

    def _result(self, request: CallRequest, parsed: Parsed, entries: list[LedgerEntry]) -> CallResult:
        provenance = provenance_of(self._provider, request, entries)
        return CallResult(request.sample, parsed.state, parsed.reason, parsed.value, provenance)

    def _finish(self, number: int, result: CallResult) -> None:
        self._results.put(number, result)
        self._tally.done += 1
        self._tally.states[result.state] += 1
        self._tell()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._results.fail(error)
