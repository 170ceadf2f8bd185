"""What a gate lets through: so many at once, and where that does not do, so many a second."""

from synth_pipeline.llm.limits.aimd import Limit
from synth_pipeline.llm.limits.pace import Pace
from synth_pipeline.llm.limits.tickets import Ticket
from synth_pipeline.llm.purchases import RateHeaders

ALL = 4  # chosen: so many turned away one after the other are no accident
MANY, FEW_AT_ONCE, MANY_OF_FEW, LAST = 12, 8, 8, 2  # chosen: so many, where the limit is high, low, or one
LEAK, LEAK_GAIN, MOST_LEAK = 0.1, 2, 0.16  # chosen: by an answer; more than one in six is never chance
STREAK = 10  # answers one after the other that show that the limit does help, at least
TRIAL_AT, TRIAL_LATER, TRIAL = 8, 3, 2.0  # chosen: refusals after which a pace is tried, twice that of the answers
FIRST_PAUSE_S, LONGEST_PAUSE_S, MOST_DOUBLINGS = 0.25, 15.0, 10  # chosen: where the provider does not say
LONGEST_S = 60.0  # chosen: where it does


class Throttle:
    """Turns what became of tries into a limit on calls in flight and a pace.

    Args:
        most: most calls in flight.
    """

    def __init__(self, most: int) -> None:
        self.limit, self.pace = Limit(most), Pace()
        self.n_entered = self._run = self._last = self._since = self._streak = 0
        self._n_alone = self._n_pauses = 0
        self._asked_s: float | None = None
        self._pressure, self._trial_at = 0.0, TRIAL_AT
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
            self._hold_if_used_up(now)
        return self.n_entered

    def answered(self, ticket: Ticket, now: float) -> None:
        """A try was answered."""
        self.limit.answered(ticket)
        self.pace.answered(now, now - ticket.entered_at)
        self._n_alone = self._n_pauses = 0
        self._asked_s = None
        self._streak += 1
        if self._pressure:
            leak = min(MOST_LEAK, LEAK + LEAK_GAIN * self.limit.chance)
            helped = self._streak > max(STREAK, self.limit.value)
            self._pressure = 0.0 if helped else max(0.0, self._pressure - leak)

    def turned_away(self, ticket: Ticket, in_flight: int, now: float, retry_after_s: float | None) -> None:
        """A try was turned away; so many others are in flight."""
        self.limit.heard(now - ticket.entered_at)
        self.pace.turned_away()
        self._asked_s = retry_after_s
        if self.limit.is_of_step(ticket):
            self.limit.settle(in_flight, now)
            if self.limit.n_refused >= self._trial_at and self.pace.rate is None:
                self._trial_at += TRIAL_LATER
                self._engage_pace(now, in_flight, TRIAL)
        elif ticket.number > self._since:
            self._strain(ticket, in_flight, now)
        self._n_alone += in_flight == 0
        if in_flight == 0 and self._n_alone > 1:  # nobody else is in flight, and again this one was too many
            self._pause(now)

    def failed(self, ticket: Ticket, in_flight: int, now: float) -> None:
        """A try failed, which may be for too much at once; so many others are in flight."""
        if self.limit.is_of_step(ticket):
            self.limit.settle(in_flight, now)
        elif ticket.number > self._since and (self._falls(ticket, in_flight, now) or self._eases(in_flight, now)):
            self._begin_anew()

    def _strain(self, ticket: Ticket, in_flight: int, now: float) -> None:
        """A try was turned away that took another's place: too many such, and less is let through."""
        if self._falls(ticket, in_flight, now):
            self._begin_anew()
        elif self.pace.rate is not None:
            if self.pace.is_too_fast():
                self._slow_down(in_flight, now)
                self._begin_anew()
        elif self._is_limit_no_help():
            self._engage_pace(now, in_flight, 1.0)
            self._begin_anew()
        elif self._eases(in_flight, now):
            self._begin_anew()

    def _falls(self, ticket: Ticket, in_flight: int, now: float) -> bool:
        self._run = self._run + 1 if ticket.number <= self._last + 1 else 1
        self._last = max(self._last, ticket.number)
        falls = self._run >= ALL and ticket.level >= self.limit.value
        if falls:
            self.limit.fall(in_flight, self.n_entered, now)
        return falls

    def _eases(self, in_flight: int, now: float) -> bool:
        eases = self.limit.is_too_high()
        if eases:
            self.limit.ease(in_flight, now)
        return eases

    def _begin_anew(self) -> None:
        """What was let in before a change says nothing of it."""
        self._since, self._run = self.n_entered, 0

    def _slow_down(self, in_flight: int, now: float) -> None:
        if self.pace.was_answered:
            self.pace.slow_down(now, in_flight)
        else:
            self._pause(now)

    def _pause(self, now: float) -> None:
        """Nothing is let in at all: send nothing for a while, longer each time where the provider does not say."""
        doubled_s = min(FIRST_PAUSE_S * 2 ** min(self._n_pauses, MOST_DOUBLINGS), LONGEST_PAUSE_S)
        self._n_pauses += 1
        self.pace.hold(now, doubled_s if self._asked_s is None else min(self._asked_s, LONGEST_S))

    def _is_limit_no_help(self) -> bool:
        """Return whether too many are turned away although fewer and fewer are let in."""
        self._pressure, self._streak = self._pressure + 1, 0
        at_once = self.limit.value
        return self._pressure >= (LAST if at_once == 1 else MANY_OF_FEW if at_once <= FEW_AT_ONCE else MANY)

    def _engage_pace(self, now: float, in_flight: int, factor: float) -> None:
        self._pressure = 0.0
        if self.pace.engage(now, in_flight, factor):
            self.limit.hurry()
        else:
            self._pause(now)

    def heed(self, rate: RateHeaders, tokens_a_call: int, now: float) -> None:
        """The provider says what is left: once that is used up, nothing is sent until it is refilled."""
        tokens_left = None if rate.tokens_left is None else rate.tokens_left // tokens_a_call
        said = ((rate.requests_left, rate.requests_reset_s), (tokens_left, rate.tokens_reset_s))
        known = [(left, reset_s) for left, reset_s in said if left is not None and reset_s is not None]
        left, reset_s = min(known, key=lambda one: (one[0], -one[1]), default=(self.limit.value, 0.0))
        self._calls_left = left if left < self.limit.value else None
        self._refilled_at = now + min(reset_s, LONGEST_S)
        self._hold_if_used_up(now)

    def _hold_if_used_up(self, now: float) -> None:
        if self._calls_left is not None and self._calls_left <= 0:
            self.pace.hold(now, self._refilled_at - now)
            self._calls_left = None
