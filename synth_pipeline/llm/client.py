"""The completer: the one structured call path to models."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain

from synth_pipeline.contracts.protocols import CallRequest, CallResult, Progress, Tally
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.contracts.spending import Spender
from synth_pipeline.llm.batches import BATCH_PATIENCE, BatchPatience, Prefetch, require_row
from synth_pipeline.llm.buying import Buyer, Line
from synth_pipeline.llm.ledger import Holder, Ledger, LedgerQueue
from synth_pipeline.llm.limits import PATIENCE, Gate, Patience
from synth_pipeline.llm.providers import price_of, require_environment
from synth_pipeline.llm.receipts import Desk
from synth_pipeline.llm.routes import choose_route, prepare_litellm
from synth_pipeline.llm.session import Session

BEAT_S = 2.0


@dataclass(frozen=True)
class Office:
    """What the completers of one stage share.

    Args:
        ledger: every completion is appended to it before it is parsed, and looked up there before it is bought.
        spender: what purchases are booked under.
        progress: is shown how far the calls have come.
        prepare: called once before the first call that is bought; imports what calls need, which a replay does not.
        patience: how long it tries to get an answer.
        batch: whether records and flawed twins are bought through the provider's batch API first: a stage then takes
            all its requests before it gives its first result.
        batch_patience: how long it waits for a batch.
    """

    ledger: Ledger
    spender: Spender
    progress: Progress
    prepare: Callable[[], object] = prepare_litellm
    patience: Patience = PATIENCE
    batch: bool = False
    batch_patience: BatchPatience = BATCH_PATIENCE


class LedgeredCompleter:
    """Completes prompts with one provider, through the call ledger.

    Args:
        provider: who answers.
        office: the ledger, who spends, who is told.

    Raises:
        MissingKey: the provider's key or address is not in the environment.
        ProviderError: batches are wanted, and the row does not say that it may be asked for them.
    """

    def __init__(self, provider: Provider, office: Office) -> None:
        require_environment(provider)
        if office.batch:
            require_row(provider)
        self._row, self._office = provider, office
        self.tally = Tally()
        self.seconds = 0.0

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._row.name

    def __call__(self, requests: Iterable[CallRequest], total: int) -> Iterator[CallResult]:
        """Yield one result a request, in the requests' order.

        Raises:
            PermanentCallError: the provider refuses to serve; what was bought before is in the ledger.
            ProviderDown: the provider has answered nothing for too long.
            ProviderError: a model's price is not known, or it cannot be asked in batches.
            StorageError: the ledger cannot be used.
        """
        left = iter(requests)
        first = next(left, None)
        if first is None:
            return
        self.tally.total += total
        progress, started = self._office.progress, time.monotonic()
        progress.start(f"{self.provider}: {first.role}", self.tally)
        try:
            with asyncio.Runner() as runner:
                yield from _run(runner, _Visit(self._row, self._office, self.tally), chain([first], left))
        finally:
            self.seconds += time.monotonic() - started
            progress.finish(self.tally)


def _run(runner: asyncio.Runner, visit: "_Visit", requests: Iterator[CallRequest]) -> Iterator[CallResult]:
    """Yield the results; where the stage ends early, answers that will be billed anyway are awaited and kept."""
    try:
        session = runner.run(visit.begin(requests))
        try:
            while results := runner.run(session.take()):
                yield from results
        except BaseException:
            runner.run(session.stop())
            raise
    finally:
        runner.run(visit.end())


@cache
def _spare_collector() -> None:
    """Take what is imported by now out of the garbage collector's sight, once: looking through it stops all calls."""
    gc.freeze()


class _Visit:
    """What lives in the event loop of one stage, from the first request to the last receipt."""

    def __init__(self, row: Provider, office: Office, tally: Tally) -> None:
        self._row, self._office, self._tally = row, office, tally
        self._holder = Holder.here()
        self._buyers: dict[str, Buyer] = {}
        self._session: Session | None = None
        self._queue: LedgerQueue | None = None
        self._beat: asyncio.Task[None] | None = None

    async def begin(self, requests: Iterator[CallRequest]) -> Session:
        """Return the session, at work; what batches can bring is in the ledger by then."""
        office, tally = self._office, self._tally
        self._queue = queue = LedgerQueue(office.ledger)
        self._desk = Desk(
            provider=self._row,
            queue=queue,
            holder=self._holder.name,
            spender=office.spender,
            tally=tally,
            patience=office.patience,
            tell=lambda: office.progress.update(tally),
        )
        if office.batch:
            wanted = list(requests)
            await Prefetch(self._desk, office.ledger, office.batch_patience, self._open_shop).fetch(wanted)
            requests = iter(wanted)
        self._session = session = Session(self._desk, office.ledger, self._find_buyer)
        session.start(requests)
        return session

    def _find_buyer(self, request: CallRequest) -> Buyer:
        """Return who buys from the request's model."""
        model = self._row.model_for(request.role)
        self._open_shop()
        if model not in self._buyers:
            self._buyers[model] = Buyer(self._desk, self._line(model), model)
        return self._buyers[model]

    def _open_shop(self) -> None:
        """Import all that buying needs and let others see that this holder lives, unless that is done."""
        if self._beat is None:
            self._office.prepare()
            _spare_collector()
            self._office.ledger.register(self._holder)
            self._beat = asyncio.create_task(self._keep_beating())

    def _line(self, model: str) -> Line:
        row = self._row
        gate = Gate(row.max_concurrency, give_up_after_s=row.give_up_after_s, notice=self._notice)
        return Line(choose_route(row, model, self._notice), gate, price_of(row, model))

    def _notice(self, text: str | None) -> None:
        self._tally.notice = text
        self._desk.tell()

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await asyncio.to_thread(self._office.ledger.beat, self._holder)
            self._desk.tell()

    async def end(self) -> None:
        """Let go of everything: tasks, connections, claims."""
        try:
            if self._session:
                await self._session.close()
            if self._queue:
                await self._queue.close()
        finally:
            if self._beat:
                self._beat.cancel()
                self._office.ledger.leave(self._holder)
            for buyer in self._buyers.values():
                await buyer.close()
