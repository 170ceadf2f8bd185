"""What a gate lets through: so many at once, and where that does not do, so many a second."""

from synth_pipeline.llm.limits.aimd import Limit
from synth_pipeline.llm.limits.pace import Pace
from synth_pipeline.llm.limits.tickets import Ticket
from synth_pipeline.llm.purchases import RateHeaders

MANY, LEAK = 8.0, 0.1  # chosen: more than one in ten
ALL = 4  # chosen: so many one after the other are no accident
FIRST_PAUSE_S, SHORTEST_S, LONGEST_S = 0.25, 1.0, 60.0  # chosen: without word, of a refill that gives no time, any


class Throttle:
    """Turns what became of tries into a limit on calls in flight and a pace.

    Args:
        most: most calls in flight.
    """

    def __init__(self, most: int) -> None:
        self.limit, self.pace = Limit(most), Pace()
        self._pressure = 0.0
        self.n_entered = self._run = self._last = self._since = self._n_in_vain = 0
        self._calls_left: int | None = None
        self._refilled_at = 0.0

    def lets_in(self, now: float, in_flight: int) -> bool:
        """Return whether one more call may be sent."""
        return in_flight < self.limit.value and now >= self.pace.next_at

    def entered(self, now: float) -> int:
        """A call is sent; return its number, 1 for the first."""
        self.n_entered += 1
        self.pace.start(now)
        if self._calls_left is not None:
            self._calls_left -= 1
            if self._calls_left <= 0:
                self.pace.hold(now, self._refilled_at - now)
                self._calls_left = None
        return self.n_entered

    def ok(self, ticket: Ticket, now: float) -> None:
        """A try was answered."""
        self.limit.prove(ticket)
        self.pace.answered(now)
        self._pressure = max(0.0, self._pressure - LEAK - 2 * self.limit._unrest._excess)
        self._n_in_vain = 0

    def turned_away(self, ticket: Ticket, in_flight: int, now: float, retry_after_s: float | None) -> None:
        """A try was turned away; so many others are in flight."""
        self.limit.heard(now - ticket.entered_at)
        self.pace.turned_away(now)
        self.failed(ticket, in_flight, now)
        self._n_in_vain += 1
        if in_flight == 0 and self._n_in_vain > 1:
            pause_s = FIRST_PAUSE_S * 2 ** min(self._n_in_vain - 2, 8) if retry_after_s is None else retry_after_s
            self.pace.hold(now, min(pause_s, LONGEST_S))

    def failed(self, ticket: Ticket, in_flight: int, now: float) -> None:
        """A try was turned away or failed, which may be for too much at once; so many others are in flight."""
        if self.limit.is_of_step(ticket):
            self.limit.settle(in_flight, now)
        elif ticket.number > self._since:
            self._strain(ticket, in_flight, now)

    def _strain(self, ticket: Ticket, in_flight: int, now: float) -> None:
        """A try failed that took another's place: too many such, and less is let through."""
        self._run = self._run + 1 if ticket.number <= self._last + 1 else 1
        self._last = max(self._last, ticket.number)
        if self._run >= ALL and ticket.level >= self.limit.value:
            self.limit.fall(in_flight, self.n_entered, now)
            self._begin_anew()
        if self.pace.rate is not None:
            if self.pace.is_too_fast():
                self.pace.slow_down(now)
                self._begin_anew()
            return
        if self.limit.is_too_high():
            self.limit.ease(in_flight, now)
            self._begin_anew()
        self._pressure += 1
        if self._pressure >= MANY or self.limit.value == 1:
            self.pace.engage(now)
            self.limit.hurry()
            self._pressure = 0.0
            self._begin_anew()

    def _begin_anew(self) -> None:
        """What was let in before a change says nothing of it."""
        self._since, self._run = self.n_entered, 0

    def heed(self, rate: RateHeaders, tokens_a_call: int, now: float) -> None:
        """The provider says what is left: once that is used up, nothing is sent until it is refilled."""
        tokens_left = None if rate.tokens_left is None else rate.tokens_left // tokens_a_call
        self._calls_left = None
        for left, reset_s in ((rate.requests_left, rate.requests_reset_s), (tokens_left, rate.tokens_reset_s)):
            if left is None or left >= min(self.limit.value, self._calls_left or self.limit.value):
                continue
            refilled_at = now + min(SHORTEST_S if reset_s is None else reset_s, LONGEST_S)
            self._calls_left, self._refilled_at = left, refilled_at
            if left <= 0:
                self.pace.hold(now, refilled_at - now)
                self._calls_left = None
