"""How fast calls may start, learned where a provider limits requests a second and does not say so."""

from synth_pipeline.llm.limits.unrest import Unrest

SPAN_S = 1.0  # over which the pace is measured
SPAN_N = 20
PRIOR = 4
CAREFUL, LEAST_CUT, MOST_CUT = 0.95, 0.95, 0.5
SPEED_UP, MOST_SPEED_UP_S = 0.005, 0.04  # by a call that is answered, and by the second at most
FRESH = 0.95
SLOWEST = 1 / 60
SLACK_S = 0.01  # a late timer is caught up with, no burst is made
FORGET_S, FORGET_N = 5.0, 100
TELL_S = 5.0  # chosen: a person is told of longer waits


class Pace:
    """The time between starts; none until so many are turned away that the limit on calls in flight is no help."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self.next_at = self.held_until = 0.0
        self._unrest = Unrest()
        self._too_fast = 0.0
        self._counted_from, self._measured_from, self._n, self._n_before = 0.0, 0.0, 0, 0
        self._n_sent, self._cut_at = 0, 0.0
        self._waited_at, self._n_free = 0.0, 0

    def start(self, now: float) -> None:
        """A call starts."""
        if not self._counted_from:
            self._begin(now)
        self._count(now, 1)
        if self.rate is None:
            return
        self.next_at = max(self.next_at, now - SLACK_S) + 1 / self.rate
        self._n_free += 1
        if self._n_free > FORGET_N and now - self._waited_at > FORGET_S:
            self.rate = None

    def held(self, now: float) -> None:
        """A call waits for its start."""
        self._waited_at, self._n_free = now, 0

    def hold(self, now: float, seconds: float) -> None:
        """Nothing starts for so many seconds."""
        self.next_at = max(self.next_at, now + seconds)
        if seconds >= TELL_S:
            self.held_until = self.next_at

    def answered(self, now: float) -> None:
        """A call was answered: a little faster."""
        if self.rate is not None:
            self._unrest.ok(quiet=self._quiet)
            self.rate *= 1 + min(SPEED_UP, MOST_SPEED_UP_S * (1 + (now - self._cut_at) / 10) / self.rate)

    def turned_away(self, now: float) -> None:
        """A call was not let in: it does not count as started."""
        self._count(now, -1)

    def is_too_fast(self) -> bool:
        """A call was turned away; return whether there were too many of these."""
        return self._unrest.turned_away(quiet=self._quiet)

    @property
    def _quiet(self) -> bool:
        return self.rate is not None and self.rate < FRESH * self._too_fast

    def engage(self, now: float) -> None:
        """From now on calls start at the pace at which they were let in lately."""
        self.rate = max(SLOWEST, self._measure(now))
        self.next_at = max(self.next_at, now)
        self._unrest, self._too_fast = Unrest(), 0.0
        self._begin(now)
        self._cut_at = now
        self.held(now)

    def slow_down(self, now: float) -> None:
        """Too many are turned away: as fast as they were let in lately."""
        if self.rate is not None:
            self._too_fast = self.rate
            share = (self._n + PRIOR) / (self._n_sent + PRIOR)
            self.rate = max(SLOWEST, self.rate * min(LEAST_CUT, max(MOST_CUT, CAREFUL * share)))
            self._cut_at = now
            self._begin(now)

    def _measure(self, now: float) -> float:
        """Return the calls a second that were let in lately: in the span that runs and the one before."""
        return (self._n_before + self._n) / max(SPAN_S / 2, now - self._measured_from)

    def _begin(self, now: float) -> None:
        """Measure anew."""
        self._n_before, self._n, self._n_sent, self._measured_from, self._counted_from = 0, 0, 0, now, now

    def _count(self, now: float, n: int) -> None:
        if now - self._counted_from > SPAN_S and self._n >= SPAN_N:
            self._n_before, self._measured_from = self._n, self._counted_from
            self._counted_from, self._n, self._n_sent = now, 0, 0
        self._n += n
        self._n_sent += n > 0
