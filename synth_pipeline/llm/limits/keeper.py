"""The gate's judgement: when the next call may go, and whether any may ever."""

import math
import random

from synth_pipeline.llm.limits.breaker import Breaker
from synth_pipeline.llm.limits.streak import Streak
from synth_pipeline.llm.limits.throttle import Throttle
from synth_pipeline.llm.limits.tickets import Outcome, Ticket
from synth_pipeline.llm.purchases import RateHeaders

TOO_LONG_S = 600.0  # chosen: a provider that asks to come back so late has no quota left


class Keeper:
    """Learns from what became of tries; holds no waiters and no timers.

    Args:
        max_concurrency: most calls in flight.
        give_up_after_s: seconds without an answer after which the provider counts as down.
        rng: for jitter.
    """

    def __init__(self, max_concurrency: int, give_up_after_s: float, rng: random.Random) -> None:
        self._throttle, self._breaker = Throttle(max_concurrency), Breaker(give_up_after_s, rng)
        self._limit, self._pace = self._throttle.limit, self._throttle.pace
        self._give_up_after_s = give_up_after_s
        self._rejections = Streak()
        self._n_calls = 0
        self.in_flight = 0
        self.down: str | None = None

    @property
    def limit(self) -> int:
        """Calls that may be in flight just now."""
        return self._limit.value

    @property
    def paused(self) -> bool:
        """Whether the provider does not answer."""
        return self._breaker.is_open

    def call_comes(self) -> None:
        """A call comes that was not tried before."""
        self._n_calls += 1

    def must_wait(self, now: float) -> None:
        """A call comes that has to wait, the only one that does."""
        self._limit.press(now)

    def lets_in(self, now: float) -> bool:
        """Return whether one more call may be sent."""
        return self._throttle.lets_in(now, self.in_flight) and self._breaker.lets_in(now)

    def let_in(self, now: float, *, first: bool) -> Ticket:
        """Return the ticket of a call that is sent now; `first` where it was not tried before."""
        self.in_flight += 1
        ticket = Ticket(self._throttle.entered(now), self.in_flight, now, first)
        self._breaker.entered(ticket)
        return ticket

    def learn(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """A try has ended."""
        self.in_flight -= 1
        if outcome.end == "ok" and not ticket.skipped:
            self._rejections.end()
            self._throttle.answered(ticket, now)
            self._close()
        elif outcome.end == "turned_away":
            self._turned_away(ticket, outcome, now)
        elif outcome.end == "failed":
            self._failed(ticket, outcome, now)
        else:
            self._breaker.forget(ticket)

    def _close(self) -> None:
        if self._breaker.answered():
            self._limit.start_again()

    def _turned_away(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        if self._breaker.is_probe(ticket):
            self._close()
        self._throttle.turned_away(ticket, self.in_flight, now, outcome.retry_after_s)
        self._rejections.add(ticket, now)
        asked_s, waited_s = outcome.retry_after_s or 0.0, self._rejections.lasts_s(now)
        too_long = waited_s >= self._give_up_after_s and self._rejections.is_enough(self._n_calls)
        if asked_s >= TOO_LONG_S and asked_s > self._give_up_after_s:
            self.down = f"turns requests away and asks to come back in {asked_s:.0f} s ({outcome.reason})"
        elif too_long and self.in_flight == 0:  # what is in flight may yet be answered
            self.down = f"has turned every request away for {waited_s:.0f} s ({outcome.reason})"

    def _failed(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        if not self._breaker.is_open:
            self._throttle.failed(ticket, self.in_flight, now)
        self._breaker.failed(ticket, now, outcome.reason, self._n_calls)
        self._give_up_if_due(now)

    def _give_up_if_due(self, now: float) -> None:
        if now >= self._breaker.gives_up_at():
            self.down = self._breaker.describe_end(now)

    def tick(self, now: float, n_waiting: int) -> None:
        """Time has passed: let more in, or give the provider up, where it is due."""
        self._give_up_if_due(now)
        if self._limit.next_step_at(n_waiting) <= now and self.in_flight >= self.limit:
            self._limit.step(self._throttle.n_entered, now)

    def look_again_at(self, now: float, n_waiting: int) -> float:
        """Return when time alone may let a waiting call in; infinity where somebody has to leave first."""
        if self._breaker.is_open:
            times = (self._breaker.gives_up_at(), self._breaker.probe_at, self._pace.next_at)
            return min(at for at in (*times, math.inf) if at > now)
        if self.in_flight < self.limit:
            self._pace.held(now)
            return self._pace.next_at
        return self._limit.next_step_at(n_waiting)

    def heed(self, rate: RateHeaders, tokens_a_call: int, now: float) -> None:
        """The provider says what is left."""
        self._throttle.heed(rate, tokens_a_call, now)

    def held_until(self, now: float) -> float:
        """Return until when nobody may go, where a person should know of it; else 0."""
        if self.down:
            return 0.0
        if self._breaker.is_open:
            return self._breaker.probe_at
        return self._pace.held_until if self._pace.held_until > now else 0.0

    def describe_wait(self, now: float) -> str:
        """Return why nobody may go."""
        if self._breaker.is_open:
            return self._breaker.describe(now)
        return f"the provider's limit is used up; next call in {self._pace.held_until - now:.0f} s"
