"""How fast calls may start, learned where a provider limits requests a second and does not say so."""

from synth_pipeline.llm.limits.unrest import Unrest

SPAN_S, SPAN_N = 1.0, 20  # the span in which answers are counted, at least
LATEST = 1 / 8  # weight of the last answer's time
LEAST_CUT, MOST_CUT, CAREFUL, FLOOR = 0.8, 0.5, 0.9, 0.7  # chosen
PROVEN_N = 20
PRIOR = 4  # calls, as if let in before each measurement
SPEED_UP, SPEED_UP_A_SECOND = 0.005, 0.04  # chosen: with each answer, but no more than by the second; both grow
EASY_N, EASY_S = 50, 1.0  # answers, seconds since it was last too fast, after which it speeds up twice as much
QUIET = 0.86  # of the pace that was too fast
WEIGHT = 1 / 64
SLOWEST = 1 / 60
SLACK_S = 0.01  # a late timer is caught up with; no burst is made
FORGET_S, FORGET_N = 5.0, 20  # so long, so many calls have not waited for it
TELL_S = 5.0  # a person is told of longer waits


class Pace:
    """The time between starts; none until the limit on calls in flight is no help.

    It slows down to what was let in of late when too many are turned away, and speeds up with each answer, so that it
    swings about the provider's rate. Nobody waits for it any more: it is forgotten.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self.next_at = self.held_until = 0.0
        self._n_let_in = self._n_sent = self._n_since = self._n_paced = self._n_free = 0
        self._cut_at = self._waited_at = self._too_fast = 0.0
        self._unrest = Unrest(WEIGHT)
        self._answers = Answers()

    @property
    def _is_quiet(self) -> bool:
        return self.rate is not None and self.rate < QUIET * self._too_fast

    @property
    def was_answered(self) -> bool:
        """Whether a call was answered since the pace was last changed."""
        return self._n_since > 0

    def start(self, now: float) -> None:
        """A call starts."""
        self._n_sent += 1
        self._n_let_in += 1
        self._answers.begin(now)
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

    def answered(self, now: float, took_s: float) -> None:
        """A call was answered: a little faster."""
        self._answers.add(now, took_s)
        if self.rate is not None:
            self._unrest.answered(quiet=self._is_quiet)
            self._n_since += 1
            self._n_paced += 1
            by_answer = SPEED_UP * (1 + self._n_since / EASY_N)
            by_time = SPEED_UP_A_SECOND * (1 + (now - self._cut_at) / EASY_S)
            self.rate *= 1 + min(by_answer, by_time / self.rate)

    def turned_away(self) -> None:
        """A call was not let in."""
        self._n_let_in -= 1

    def is_too_fast(self) -> bool:
        """A call was turned away; return whether there were too many of these."""
        return self._unrest.turned_away(quiet=self._is_quiet)

    def engage(self, now: float, in_flight: int, factor: float) -> bool:
        """From now on calls start at the pace at which they were answered lately, times `factor`.

        Return whether there is one: nothing may have been answered yet.
        """
        answered = max(self._answers.rate(now, in_flight), self._answers.one_by_one())
        if not answered:
            return False
        self._unrest, self._too_fast, self._n_paced = Unrest(WEIGHT), 0.0, 0
        self._go_at(now, factor * answered)
        self.next_at = max(self.next_at, now)
        self.held(now)
        return True

    def slow_down(self, now: float, in_flight: int) -> None:
        """Too many are turned away: as fast as they were let in since it was last changed, and slower."""
        rate = self._too_fast = self.rate or SLOWEST
        share = CAREFUL * (self._n_let_in + PRIOR) / (self._n_sent + PRIOR)
        floor = FLOOR if self._n_paced > PROVEN_N else 1.0
        slower = max(MOST_CUT * rate, share * rate, floor * self._answers.rate(now, in_flight))
        self._go_at(now, min(LEAST_CUT * rate, slower))

    def _go_at(self, now: float, rate: float) -> None:
        self.rate = max(SLOWEST, rate)
        self._cut_at, self._n_since, self._n_let_in, self._n_sent = now, 0, 0, 0


class Answers:
    """Measures how fast calls are answered."""

    def __init__(self) -> None:
        self._from = self._before_from = -1.0
        self._n = self._n_before = 0
        self._took_s: float | None = None

    def begin(self, now: float) -> None:
        """A call starts: the first begins the measurement."""
        if self._from < 0:
            self._from = self._before_from = now

    def add(self, now: float, took_s: float) -> None:
        """A call was answered in so many seconds."""
        self._took_s = took_s if self._took_s is None else self._took_s + LATEST * (took_s - self._took_s)
        if self._n >= SPAN_N and now - self._from > max(SPAN_S, self._took_s):
            self._n_before, self._before_from = self._n, self._from
            self._n, self._from = 0, now
        self._n += 1

    def rate(self, now: float, in_flight: int) -> float:
        """Return the answers a second of late; at least what those in flight will give (Little's law)."""
        of_late = (self._n_before + self._n) / max(SPAN_S / 2, now - self._before_from)
        return max(of_late, in_flight * self.one_by_one())

    def one_by_one(self) -> float:
        """Return the answers a second of one call after the other; 0 before the first."""
        return 0.0 if self._took_s is None else 1 / max(self._took_s, SLACK_S)
