"""A stage's missing calls, bought through batches before the stage asks: a prefetch into the ledger."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from synth_pipeline.contracts.errors import CallError, ProviderDown
from synth_pipeline.contracts.protocols import CallRequest
from synth_pipeline.contracts.providers import Role
from synth_pipeline.llm.batches.carrier import Board, Carrier, aside
from synth_pipeline.llm.batches.collecting import collect, watch
from synth_pipeline.llm.batches.lines import Lines
from synth_pipeline.llm.batches.patience import BatchPatience
from synth_pipeline.llm.batches.prices import batch_price_of, find_batch_price
from synth_pipeline.llm.batches.remote import Remote
from synth_pipeline.llm.batches.submitting import (
    MOST_BYTES,
    MOST_CALLS,
    Draft,
    find_submitted,
    go_on_submitting,
    submit,
    write_submitted,
)
from synth_pipeline.llm.keys import key_of
from synth_pipeline.llm.ledger import Batch, Ledger
from synth_pipeline.llm.ledger.batches import PREPARING, SUBMITTING
from synth_pipeline.llm.purchases import Purchase
from synth_pipeline.llm.receipts import Desk

BATCH_ROLES: tuple[Role, ...] = ("write", "flaw")  # a panel's few questions are asked one by one
LEAST = 2  # calls that make a batch
BLOCK = 512  # requests that are looked up, or written as lines, before other tasks get their turn
ABANDONED = "abandoned"


@dataclass(frozen=True)
class Prefetch:
    """Buys what a stage will ask for through the provider's batch API, and keeps it in the ledger.

    Args:
        desk: what the stage's purchases share.
        ledger: where completions are looked up and kept.
        patience: how long batches are waited for.
        open_shop: imports what buying needs and makes the holder known; called before the first look at a provider.
    """

    desk: Desk
    ledger: Ledger
    patience: BatchPatience
    open_shop: Callable[[], None]

    async def fetch(self, requests: Sequence[CallRequest]) -> None:
        """Return when the ledger holds what batches can bring of these requests.

        What they have not brought is for the stage to buy call by call: error lines, calls of an expired batch.

        Raises:
            ProviderError: the model cannot be asked in batches, or has no price; nothing was sent.
            PermanentCallError: the provider refuses a batch.
            ProviderDown: it is out of reach, or its queue is full; the next run goes on where this one stopped.
        """
        by_model: dict[str, list[CallRequest]] = {}
        for request in requests:
            if request.role in BATCH_ROLES:
                by_model.setdefault(self.desk.provider.model_for(request.role), []).append(request)
        board = Board(self.desk.tally, self.desk.tell)
        for model, mine in by_model.items():
            wanted = await self._keys(mine)
            n_missing = len(wanted) - len(await find_held(self.ledger, list(wanted)))
            under_way = await aside(self.ledger.batches.under_way, self.desk.provider.name, model)
            if n_missing >= LEAST or under_way:
                async with self._carrier(model, board) as carrier:
                    await Fetch(carrier, wanted).run()

    async def _keys(self, requests: Sequence[CallRequest]) -> dict[str, CallRequest]:
        wanted: dict[str, CallRequest] = {}
        for start in range(0, len(requests), BLOCK):
            block = requests[start : start + BLOCK]
            wanted |= {key_of(self.desk.provider, request, 0): request for request in block}
            await asyncio.sleep(0)
        return wanted

    @asynccontextmanager
    async def _carrier(self, model: str, board: Board) -> AsyncIterator[Carrier]:
        self.open_shop()
        lines = Lines(self.desk.provider, model, lambda what: board.say("shape", what))
        remote = Remote(lines)
        try:
            yield Carrier(self.desk, self.ledger, lines, remote, self.patience, board)
        except asyncio.CancelledError:
            board.stop("a batch that was submitted goes on at the provider; run again with --batch to collect it")
            raise
        finally:
            await remote.close()


class Fetch:
    """One model's calls on their way through batches.

    Args:
        carrier: takes them there.
        wanted: the requests by their call keys.
    """

    def __init__(self, carrier: Carrier, wanted: Mapping[str, CallRequest]) -> None:
        self._carrier, self._desk, self._batches = carrier, carrier.desk, carrier.batches
        self._provider, self._model = carrier.desk.provider, carrier.lines.place.model
        self._wanted = wanted
        self._price = batch_price_of(self._provider, self._model)
        self._most, self._together = MOST_CALLS, True

    async def run(self) -> None:
        """Submit what nobody buys yet, see it and what was submitted before to its end, until nothing is left to do."""
        await self._look_after_others()
        while True:
            missing = await self._missing()
            held = await aside(self._batches.holding, missing)
            begun = await self._submit([key for key in missing if key not in held])
            names = dict.fromkeys([*held.values(), *(batch.key for batch in begun)])
            if not names:
                return
            too_large = await self._see_all_through(names)
            if too_large:
                self._ask_for_less(min(too_large))

    async def _missing(self) -> list[str]:
        held = await find_held(self._carrier.ledger, list(self._wanted))
        return [key for key in self._wanted if key not in held and key not in self._carrier.failed]

    # ------------------------------------------------------------------------------------------ submitting

    async def _submit(self, keys: Sequence[str]) -> list[Batch]:
        """Return the batches that now hold these calls: as many as their sizes need, or the first where one must do."""
        if len(keys) < LEAST or not self._may_submit(0):
            return []
        if find_batch_price(self._provider, self._model) is None:
            said = f"the price of {self._model} in batches is not known: its calls are booked at the ordinary one"
            self._carrier.board.say("price", said)
        begun: list[Batch] = []
        async for part in self._parts(keys):
            batch = await submit(self._carrier, self._price, part)
            begun += [batch] if batch else []
            if not self._may_submit(len(begun)):
                break
        return begun

    def _may_submit(self, n_begun: int) -> bool:
        return self._desk.over_cap is None and (self._together or not n_begun)

    async def _parts(self, keys: Sequence[str]) -> AsyncIterator[list[Draft]]:
        part: list[Draft] = []
        n_bytes = 0
        for number, key in enumerate(keys):
            request = self._wanted[key]
            purchase = Purchase(request, request.messages, key, 0, self._price)
            line = self._carrier.lines.write(purchase)
            if line is None:
                self._carrier.failed.add(key)
                continue
            if part and (len(part) >= self._most or n_bytes + len(line) > MOST_BYTES):
                yield part
                part, n_bytes = [], 0
            part.append(Draft(purchase, line))
            n_bytes += len(line)
            if number % BLOCK == 0:
                await asyncio.sleep(0)
        if part:
            yield part

    def _ask_for_less(self, n_calls: int) -> None:
        """Submit smaller batches from now on, one after the other: the provider's queue had no room for `n_calls`."""
        self._most, self._together = n_calls // 2, False
        if self._most < LEAST:
            raise ProviderDown(
                f"its queue of batches has no room for {n_calls} calls",
                where=str(self._carrier.lines.place),
                fix="run again once other batches of the account have ended, or run without --batch",
            )

    # ------------------------------------------------------------------------------------------ seeing through

    async def _see_all_through(self, names: Iterable[str]) -> list[int]:
        """Return, once these batches have ended, how many calls each held that the provider's queue had no room for."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._see_through(name)) for name in names]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [n_calls for task in tasks if (n_calls := task.result())]

    async def _see_through(self, name: str) -> int | None:
        carrier, tally = self._carrier, self._desk.tally
        batch = await self._attend(name)
        if batch is None:
            return None
        if batch.status == PREPARING:
            await aside(self._batches.finish, batch, ABANDONED)
            return None
        if batch.status == SUBMITTING:
            batch = await go_on_submitting(carrier, batch)
        n_waiting = await aside(self._batches.count_waiting, batch)
        tally.in_flight += n_waiting
        try:
            remote = await watch(carrier, batch)
            await collect(carrier, batch, remote)
        finally:
            tally.in_flight -= n_waiting
        return batch.n_calls if remote.queue_was_full else None

    async def _attend(self, name: str) -> Batch | None:
        """Return a batch, which is ours to see through; None once another process has seen to it."""
        waits = self._carrier.patience.waits()
        while (batch := await aside(self._batches.attend, name, self._desk.holder)) is None:
            ended = await aside(self._batches.is_finished, name)
            told = f"batch {name}: another process sees to it, which is waited for"
            self._carrier.board.say(name, None if ended else told)
            if ended:
                return None
            await asyncio.sleep(next(waits))
        return batch

    async def _look_after_others(self) -> None:
        """Collect batches to the model that have ended and hold nothing that is wanted: what was paid is kept."""
        held = set((await aside(self._batches.holding, await self._missing())).values())
        for batch in await aside(self._batches.under_way, self._provider.name, self._model):
            if batch.key not in held:
                try:
                    await self._glance(batch.key)
                except CallError as error:  # it is not what was asked for; the next run looks after it again
                    self._carrier.board.say(batch.key, f"batch {batch.key}: {error.what}")

    async def _glance(self, name: str) -> None:
        carrier = self._carrier
        batch = await aside(self._batches.attend, name, self._desk.holder)
        if batch is None:
            return
        made = await find_submitted(carrier, batch) if batch.status == SUBMITTING else None
        if batch.status == PREPARING or (batch.status == SUBMITTING and made is None):
            await aside(self._batches.finish, batch, ABANDONED)
            return
        if made:
            batch = await write_submitted(carrier, batch, made)
        remote = await carrier.remote.show(batch.remote_id or "")
        if remote.has_ended:
            await collect(carrier, batch, remote)
        carrier.board.say(name, None)


async def find_held(ledger: Ledger, keys: Sequence[str]) -> set[str]:
    """Return those of the keys whose completions the ledger holds."""
    held: set[str] = set()
    for start in range(0, len(keys), BLOCK):
        held.update(await aside(ledger.find, keys[start : start + BLOCK]))
    return held
