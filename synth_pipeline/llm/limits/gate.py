"""The gate before a model: who waits, and who goes next."""

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from synth_pipeline.contracts.errors import ProviderDown
from synth_pipeline.llm.limits.keeper import Keeper
from synth_pipeline.llm.limits.tickets import NEUTRAL, Outcome, Ticket, outcome_of
from synth_pipeline.llm.purchases import RateHeaders

FIX = "see the provider's status and its row in providers.yaml, and run again later: what was bought is in the ledger"
TELL_AGAIN_S = 1.0  # a wait that is so little longer than was told is not told again

Waiter = asyncio.Future[Ticket]


class Gate:
    """Lets calls to one model of a provider through; lives in one event loop.

    It learns how many may be in flight and how fast they may start from what the provider turns away, pauses where the
    provider does not answer, and gives it up in the end. Who waits goes in turn; calls that were tried before go ahead
    of those that were not.

    Args:
        max_concurrency: most calls in flight.
        give_up_after_s: seconds without an answer after which the provider counts as down.
        notice: is told what a person should know, and None when it is over.
        clock: seconds, as the event loop counts them.
        where: the provider and model, for messages.
    """

    def __init__(
        self,
        max_concurrency: int,
        *,
        give_up_after_s: float,
        notice: Callable[[str | None], None],
        clock: Callable[[], float] = time.monotonic,
        where: str = "",
    ) -> None:
        self._keeper = Keeper(max_concurrency, give_up_after_s, random.Random())
        self._clock, self._notice, self._where = clock, notice, where
        self._retried: deque[Waiter] = deque()
        self._fresh: deque[Waiter] = deque()
        self._n_waiting = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._told_until = 0.0

    @property
    def limit(self) -> int:
        """Calls that may be in flight just now."""
        return self._keeper.limit

    @property
    def in_flight(self) -> int:
        """Calls that have a slot."""
        return self._keeper.in_flight

    @property
    def n_waiting(self) -> int:
        """Calls that wait for a slot."""
        return self._n_waiting

    def slot(self, n_tries: int = 0) -> "Slot":
        """Return a context in which one request may be in flight; its call was tried so often before.

        How the try ended is read from what is raised in it: a `TransientCallError` that the provider turned it away or
        failed, nothing that it answered. Where nothing was sent after all, `skip` the ticket.

        Raises:
            ProviderDown: on entering: the provider has not answered, or has turned everything away, for too long.
        """
        return Slot(self, n_tries)

    async def enter(self, n_tries: int = 0) -> Ticket:
        """Return a ticket as soon as one more request may be in flight; give it back by `leave`.

        Raises:
            ProviderDown: the provider has not answered, or has turned everything away, for too long.
        """
        keeper, now = self._keeper, self._clock()
        if n_tries == 0:
            keeper.call_comes()
        if self._n_waiting or keeper.down or not keeper.lets_in(now):
            return await self._wait(n_tries, now)
        ticket = keeper.let_in(now, first=n_tries == 0)
        if self._told_until:
            self._tell(now)
        return ticket

    def leave(self, ticket: Ticket, outcome: Outcome) -> None:
        """Give a slot back, and say how the try ended."""
        now = self._clock()
        self._keeper.learn(ticket, outcome, now)
        if self._n_waiting or self._told_until or self._keeper.paused:
            self._look(now)

    def heed(self, rate: RateHeaders, tokens_a_call: int = 1) -> None:
        """Hold back what the provider's headers say it has no room for; a call takes so many tokens."""
        self._keeper.heed(rate, max(1, tokens_a_call), self._clock())

    async def _wait(self, n_tries: int, now: float) -> Ticket:
        waiter: Waiter = asyncio.get_running_loop().create_future()
        (self._retried if n_tries else self._fresh).append(waiter)
        if not self._n_waiting:
            self._keeper.must_wait(now)
        self._n_waiting += 1
        self._look(now)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._n_waiting -= 1
            elif not waiter.exception():
                self.leave(waiter.result(), NEUTRAL)
            raise

    def _look(self, now: float) -> None:
        """Let in who may go, and set the alarm for when time alone may let in more."""
        keeper = self._keeper
        keeper.tick(now, self._n_waiting)
        while self._n_waiting and not keeper.down and keeper.lets_in(now):
            line = self._next_line()
            if line is None:
                break  # all that wait were cancelled just now
            self._n_waiting -= 1
            line.popleft().set_result(keeper.let_in(now, first=line is self._fresh))
        if keeper.down:
            self._turn_away()
        self._set_alarm(now)
        self._tell(now)

    def _next_line(self) -> deque[Waiter] | None:
        """Return the line whose first goes next; a probe is preferably a call that did not fail before."""
        lines = (self._fresh, self._retried) if self._keeper.paused else (self._retried, self._fresh)
        for line in lines:
            while line and line[0].done():
                del line[0]
            if line:
                return line
        return None

    def _turn_away(self) -> None:
        while (line := self._next_line()) is not None:
            self._n_waiting -= 1
            line.popleft().set_exception(ProviderDown(self._keeper.down or "", where=self._where, fix=FIX))

    def _set_alarm(self, now: float) -> None:
        at = self._keeper.look_again_at(now, self._n_waiting) if self._n_waiting else math.inf
        if at >= self._alarm_at:
            return  # the one that is set comes first
        if self._alarm:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = asyncio.get_running_loop().call_later(max(0.0, at - now), self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, math.inf
        self._look(self._clock())

    def _tell(self, now: float) -> None:
        """Say that and why calls wait, once for each wait, and when it is over."""
        until = self._keeper.held_until(now)
        if until == self._told_until or (until and abs(until - self._told_until) < TELL_AGAIN_S):
            return
        self._told_until = until
        self._notice(self._keeper.describe_wait(now) if until else None)


class Slot:
    """A slot of a gate, for the time of one try."""

    __slots__ = ("_gate", "_n_tries", "_ticket")

    def __init__(self, gate: Gate, n_tries: int) -> None:
        self._gate, self._n_tries = gate, n_tries

    async def __aenter__(self) -> Ticket:
        self._ticket = await self._gate.enter(self._n_tries)
        return self._ticket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave(self._ticket, outcome_of(error))
