"""Buying one completion: the right to it, a slot, the provider's answer, and the ledger's receipt, in this order."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from synth_pipeline.contracts.errors import PermanentCallError, TransientCallError
from synth_pipeline.contracts.protocols import State
from synth_pipeline.contracts.providers import Price
from synth_pipeline.contracts.spending import Cost, cost_of
from synth_pipeline.llm.keys import schema_json
from synth_pipeline.llm.ledger import (
    Admission,
    Admit,
    Admitted,
    Bought,
    Claimed,
    Fail,
    Keep,
    LedgerEntry,
    OverCap,
    Pace,
    Paced,
    describe_batch,
)
from synth_pipeline.llm.limits import Gate, outcome_of
from synth_pipeline.llm.purchases import Purchase, Route
from synth_pipeline.llm.receipts import Desk, write_failure, write_receipt
from synth_pipeline.llm.worst import likely_tokens, worst_cost

MINUTE_S = 60.0
LOOK_AGAIN_S = 0.25
AT_ONCE_S = 0.005
NOTHING = Cost(0, 0)
THE_REQUEST = (400, 413, 422)  # statuses that speak of the request, not of the key or the model
TOO_MANY_BAD = 5


class NotBought(Exception):
    """A call ended without a completion.

    Args:
        state: `failed` or `out_of_budget`.
        reason: why.
    """

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


@dataclass(frozen=True)
class Line:
    """How one model of a provider is reached: the route, the gate before it, and its price."""

    route: Route
    gate: Gate
    price: Price


class Failures:
    """The failed tries of one call: how many, how many of them were turned away, since when."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._n_turned_away = self.n = 0

    @property
    def seconds(self) -> float:
        """Seconds since the first try."""
        return time.monotonic() - self._started

    def add(self, error: TransientCallError) -> None:
        """Count one more."""
        self.n += 1
        self._n_turned_away += outcome_of(error).end == "turned_away"

    def like(self, error: TransientCallError) -> int:
        """Return how many were turned away where `error` says so, else how many failed otherwise."""
        turned_away = outcome_of(error).end == "turned_away"
        return self._n_turned_away if turned_away else self.n - self._n_turned_away


class Buyer:
    """Buys completions from one model; the ledger has each before anybody uses it."""

    def __init__(self, desk: Desk, line: Line, model: str) -> None:
        self._desk, self._line, self._model = desk, line, model
        self._over_cap = desk.over_cap
        self._n_bad = 0
        self.stopped = False  # set to send nothing more
        self.paid: set[asyncio.Task[Any]] = set()  # tasks that wait for an answer that will be billed

    @property
    def price(self) -> Price:
        """What the model's tokens cost."""
        return self._line.price

    async def close(self) -> None:
        """Let go of connections."""
        await self._line.route.close()

    async def buy(self, purchase: Purchase) -> LedgerEntry:
        """Return the completion, durable in the ledger.

        Raises:
            NotBought: the budget is spent, or the provider failed the call for good.
            PermanentCallError: the provider refuses to serve at all.
            ProviderDown: the provider has answered nothing for too long.
        """
        failures = Failures()
        while True:
            try:
                done = await self._try(purchase, failures.n + 1)
            except TransientCallError as error:
                failures.add(error)
                await self._wait_or_give_up(purchase, error, failures)
            except PermanentCallError as error:
                await self._refuse(purchase, error, failures.n + 1)
            else:
                if isinstance(done, LedgerEntry):
                    return done
                await self._wait_for_admission(purchase, done)

    async def _try(self, purchase: Purchase, n_tries: int) -> LedgerEntry | Admission:
        """Return the kept answer to one try, or why it cannot be made just now.

        The right to buy is asked for when there is a slot, so that no more is reserved than is sent. The slot is given
        back when the answer is in the ledger's queue: the right of the next call stands behind it there, so that call
        is not sent before the answer is durable, and no more can be lost than was in flight.
        """
        desk, receipt = self._desk, None
        async with self._line.gate.slot(n_tries - 1) as ticket:
            self._stop_if_spent()
            wish = Admit(purchase.key, desk.holder, desk.spender.scopes, worst_cost(purchase), self._paces(purchase))
            outcome = await desk.queue.do(wish)
            if isinstance(outcome, Admitted) and outcome.start_at <= time.time() + AT_ONCE_S:
                receipt = await self._ask(purchase, n_tries)
            else:
                ticket.skip()
        if receipt is None and isinstance(outcome, Admitted):
            await asyncio.sleep(outcome.start_at - time.time())
            async with self._line.gate.slot(n_tries - 1):
                await desk.queue.flush()
                receipt = await self._ask(purchase, n_tries)
        if receipt is not None:
            return self._count(await receipt)
        if isinstance(outcome, Bought):
            desk.count_replay(outcome.entry)
            return outcome.entry
        return outcome

    async def _ask(self, purchase: Purchase, n_tries: int) -> "asyncio.Future[LedgerEntry]":
        """Return the ledger's receipt for the answer, which is durable when it is done."""
        self._stop_if_spent()
        desk, task = self._desk, asyncio.current_task()
        if task is None:
            raise RuntimeError("completions are bought by tasks")
        self.paid.add(task)
        desk.tally.in_flight += 1
        try:
            started = time.perf_counter()
            answer = await self._line.route.ask(purchase)
        except BaseException:
            self.paid.discard(task)
            raise
        finally:
            desk.tally.in_flight -= 1
        entry = write_receipt(desk, purchase, answer, (n_tries, time.perf_counter() - started))
        cost = cost_of(purchase.price, answer.tokens_in, answer.tokens_out)
        schema = schema_json(purchase.request.schema_name, purchase.request.record_class)
        receipt = desk.queue.keep(Keep(entry, desk.spender.scopes, cost, schema, desk.holder))
        receipt.add_done_callback(lambda _: self.paid.discard(task))
        if answer.rate:
            self._line.gate.heed(answer.rate, answer.tokens_in + answer.tokens_out)
        return receipt

    async def _wait_for_admission(self, purchase: Purchase, outcome: Admission) -> None:
        """Wait a while where that may help.

        Raises:
            NotBought: a cap is reached, whatever becomes of the calls under way; or the call is in a batch, for which
                only a stage that buys by batches waits.
        """
        if isinstance(outcome, OverCap) and not outcome.may_fit_later:
            await self._spend_no_more(purchase, outcome)
        elif isinstance(outcome, Paced):
            await asyncio.sleep(outcome.ask_at - time.time())
        elif isinstance(outcome, Claimed) and (in_batch := describe_batch(outcome.by)):
            raise NotBought("failed", in_batch)
        else:  # another process buys it, or what is reserved now may cost less in the end
            await asyncio.sleep(LOOK_AGAIN_S)

    def _stop_if_spent(self) -> None:
        """Once a cap is reached nothing more is bought, not even what would fit: that would favour short prompts."""
        if self._over_cap:
            raise NotBought("out_of_budget", self._over_cap)
        if self.stopped:
            raise NotBought("failed", "the stage was stopped")

    async def _spend_no_more(self, purchase: Purchase, over: OverCap) -> None:
        desk = self._desk
        self._over_cap = desk.tally.notice = describe_cap(over)
        row = write_failure(desk, purchase, ("out_of_budget", 0), self._over_cap)
        await desk.queue.do(Fail(row, desk.spender.scopes))
        raise NotBought("out_of_budget", self._over_cap)

    def _paces(self, purchase: Purchase) -> tuple[Pace, ...]:
        row = self._desk.provider
        name = f"{row.name}:{self._model}"
        requests = [Pace(f"{name}:requests", row.rpm / MINUTE_S, 1)] if row.rpm else []
        tokens = [Pace(f"{name}:tokens", row.tpm / MINUTE_S, likely_tokens(purchase))] if row.tpm else []
        return (*requests, *tokens)

    def _count(self, entry: LedgerEntry) -> LedgerEntry:
        tally = self._desk.tally
        self._n_bad = 0
        tally.n_bought += 1
        tally.cost_usd += entry.cost_usd
        tally.tokens_in += entry.tokens_in
        tally.tokens_out += entry.tokens_out
        return entry

    async def _wait_or_give_up(self, purchase: Purchase, error: TransientCallError, failures: "Failures") -> None:
        """Record the failed try; return when the call may be tried again."""
        desk = self._desk
        pause_s = desk.patience.wait_s(failures.like(error), failures.seconds, error)
        at_risk = worst_cost(purchase) if error.may_be_billed else NOTHING
        row = write_failure(desk, purchase, ("transient_error", failures.n), error)
        release = pause_s is None or error.may_be_billed  # what was reserved is booked as spent, and reserved anew
        await desk.queue.do(Fail(row, desk.spender.scopes, at_risk, release))
        if pause_s is None:
            raise NotBought("failed", f"given up after {failures.n} tries: {error.what}") from error
        desk.tally.retries[error.fault] += 1
        desk.tell()
        await asyncio.sleep(pause_s)

    async def _refuse(self, purchase: Purchase, error: PermanentCallError, n_tries: int) -> None:
        """Record the refused try and raise: the stage ends, unless others have shown that only this request is bad."""
        desk = self._desk
        self._n_bad += 1
        serves_others = desk.tally.n_bought + desk.tally.n_replayed > 0
        only_this = error.http_status in THE_REQUEST and serves_others and self._n_bad < TOO_MANY_BAD
        self.stopped = self.stopped or not only_this
        row = write_failure(desk, purchase, ("permanent_error", n_tries), error)
        await desk.queue.do(Fail(row, desk.spender.scopes))
        if only_this:
            raise NotBought("failed", f"the provider refuses this request: {error.what}") from error
        raise error


def describe_cap(over: OverCap) -> str:
    """Return which cap is reached, in words for a person."""
    kind, _, name = over.scope.name.partition(":")
    cap, spent = over.scope.cap, over.spent
    dollars = f"${spent.usd:.4f} of ${cap.max_cost_usd:g}" if cap.max_cost_usd is not None else ""
    tokens = f"{spent.tokens} of {cap.max_tokens} tokens" if cap.max_tokens is not None else ""
    told = " and ".join(part for part in (dollars, tokens) if part)
    worst = f"the next call may cost ${over.worst.usd:.4f} and {over.worst.tokens} tokens"
    return f"the budget of {kind} {name} is spent: {told}; {worst}"
