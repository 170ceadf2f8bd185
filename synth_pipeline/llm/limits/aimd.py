"""How many calls may be in flight, learned from what the provider turns away."""

from synth_pipeline.llm.limits.tickets import Ticket
from synth_pipeline.llm.limits.unrest import Unrest

START = 8  # chosen: few enough for a small server, and 128 is four doublings away
SOON_S = 0.02  # chosen: a full server says so within a round trip, long before the first answer
LATEST_S, LONGEST_S = 5.0, 60.0  # chosen: between two steps up that succeed; between two probes that do not
FALL = 0.7  # TCP CUBIC's (RFC 9438)
FADE = 0.9
PLENTY, STEADY = 5, 0.9


class Limit:
    """The most that may be in flight: doubles while nobody is turned away, then remembers where somebody was.

    A *step* lets more in than before and waits for word of it. Nobody turned away: the next step is twice as wide.
    Somebody turned away above what is proven: the limit is the number that were let stay, the step shrinks, and the
    wait before the next one doubles. So a server that admits a fixed number is found in one event, exactly, and
    afterwards asked for one more only now and then.

    Args:
        most: never more than this.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.value = self._step = self._memory = min(START, most)
        self.step_at, self._step_to = 0.0, START
        self._proven = self._since = 0
        self._n_refused, self._n_falls, self.stepping = 0, 0, True
        self._word_s = 0.0
        self._waiting_then: int | None = None
        self._unrest = Unrest()

    def may_step(self, n_waiting: int) -> bool:
        """Return whether a step up is worth its risk: work is waiting, and after a refusal enough to outlast another."""
        if self.value >= self._most or not n_waiting:
            return False
        if self._waiting_then is None:
            self._waiting_then = n_waiting
        return not self._n_refused or n_waiting >= min(PLENTY * self.value, STEADY * self._waiting_then)

    def press(self, now: float) -> None:
        """Somebody has begun to wait for a slot."""
        self.step_at = max(self.step_at, now + self._soon_s)

    def step(self, number: int, now: float) -> None:
        """Let more in after ticket `number`: nobody was turned away since the last step."""
        if self.value < self._memory:
            self.value = min(2 * self.value, self._memory)
        else:
            if self.stepping:
                self._n_refused = max(0, self._n_refused - (self._step > 1))
                self._step *= 2
            self.value = self._memory = min(self.value + self._step, self._most)
            self.stepping = True
            self._step_to = number + self._step
        self.step_at = now + self._soon_s

    def prove(self, ticket: Ticket) -> None:
        """An answer came: so many may be in flight."""
        self._unrest.ok(quiet=not self.stepping)
        if ticket.number > self._since:
            self._n_falls = 0
            self._proven = max(self._proven, ticket.level)

    def heard(self, after_s: float) -> None:
        """A request was turned away after so many seconds: that long a step has to wait for word."""
        self._word_s = max(after_s, FADE * self._word_s)

    def is_of_step(self, ticket: Ticket) -> bool:
        """Return whether a try was let in by a step, not in another's place."""
        return ticket.number <= self._step_to and ticket.level > self._proven

    def settle(self, in_flight: int, now: float) -> None:
        """A step was too wide: stay with those that were not turned away."""
        self.value = self._memory = max(1, min(self.value, max(self._proven, in_flight)))
        self._step = max(1, self._step // 2)
        self._put_off(now)

    def is_too_high(self) -> bool:
        """A call was turned away that took another's place; return whether there were too many of these."""
        return self._unrest.turned_away(quiet=not self.stepping)

    def hurry(self) -> None:
        """Refusals had another reason: step again soon."""
        self._n_refused = 0

    def ease(self, in_flight: int, now: float) -> None:
        """Some are turned away within what was proven: it was a little too much."""
        self.value = self._memory = max(1, min(self.value - 1, in_flight))
        self._proven = self.value
        self._step = 1
        self._put_off(now)

    def fall(self, in_flight: int, number: int, now: float) -> None:
        """Of those let in after ticket `number`, nearly all are turned away: the provider admits far fewer than before."""
        fallen = int(FALL * self.value) if self._n_falls else self.value - 1
        self.value = self._memory = max(1, min(fallen, in_flight))
        self._n_falls += 1
        self._proven, self._since, self._step = self.value, number, 1
        self._put_off(now)

    def start_again(self) -> None:
        """Begin with few, and double up to what was known."""
        self.value = min(START, self.value)

    def _put_off(self, now: float) -> None:
        """Wait before the next step: longer where the last one was refused."""
        self.step_at = max(self.step_at, now + self._soon_s)
        if self.stepping:
            self._n_refused, self.stepping = self._n_refused + 1, False
            self._waiting_then = None
            self.step_at = now + min(LONGEST_S, self._soon_s * 2**self._n_refused)

    @property
    def _soon_s(self) -> float:
        return min(LATEST_S, max(SOON_S, 2 * self._word_s))
