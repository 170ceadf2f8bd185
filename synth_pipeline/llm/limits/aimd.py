"""How many calls may be in flight, learned from what the provider turns away."""

import math

from synth_pipeline.llm.limits.tickets import Ticket
from synth_pipeline.llm.limits.unrest import Unrest

START = 8  # chosen: few enough for a small server, and 128 is four doublings away
SOON_S = 0.02  # chosen: a full server says so within a round trip, long before the first answer
LATEST_S, LONGEST_S = 5.0, 60.0  # chosen: between two steps up that succeed; between two probes that do not
CAREFUL, ROUND_S = 2, 1.0  # chosen: after so many refusals a step must hold for a round of answers, or for a second
FALL = 0.7  # TCP CUBIC's (RFC 9438)
FADE = 0.9  # of the time that word takes, with each word
PLENTY, STEADY = 5, 0.9  # chosen: rounds of work that outlast a Retry-After; a share of the work there was
WEIGHT = 1 / 256


class Limit:
    """The most that may be in flight: doubles while nobody is turned away, then remembers where somebody was.

    A *step* lets more in than before and waits for word of it. Nobody turned away: the next step is twice as wide.
    Somebody of the step turned away: the limit is the number that were let stay, the step shrinks, and the wait before
    the next one doubles. So a server that admits a fixed number is found in one event, exactly, and afterwards asked
    for one more only now and then, and not when the work is running out.

    Args:
        most: never more than this.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.value = self._step = self._memory = min(START, most)
        self.step_at = self._stepped_at = 0.0
        self._step_to, self._is_stepping = START, True
        self.n_refused = self._n_falls = self._n_answered = 0
        self._proven = self._since = 0
        self._word_s = 0.0
        self._waiting_then: int | None = None
        self._unrest = Unrest(WEIGHT)

    @property
    def chance(self) -> float:
        """The share of calls turned away that looks like chance."""
        return self._unrest.chance

    @property
    def _soon_s(self) -> float:
        return min(LATEST_S, max(SOON_S, 2 * self._word_s))

    def next_step_at(self, n_waiting: int) -> float:
        """Return when a step up is due; infinity where none is worth its risk.

        Work must be waiting; after a refusal so much that it outlasts another, or no less than there was then.
        """
        if self.value >= self._most or not n_waiting:
            return math.inf
        if not self.n_refused:
            return self.step_at
        if self._waiting_then is None:
            self._waiting_then = n_waiting
        if n_waiting < min(PLENTY * self.value, STEADY * self._waiting_then):
            return math.inf
        held = self.n_refused < CAREFUL or self._n_answered >= self.value
        return self.step_at if held else max(self.step_at, self._stepped_at + ROUND_S)

    def press(self, now: float) -> None:
        """Somebody begins to wait for a slot."""
        self.step_at = max(self.step_at, now + self._soon_s)

    def step(self, number: int, now: float) -> None:
        """Let more in after ticket `number`: nobody was turned away since the last step."""
        if self.value < self._memory:
            self.value = min(2 * self.value, self._memory)
        else:
            if self._is_stepping:
                self.n_refused = max(0, self.n_refused - (self._step > 1))
                self._step *= 2
            self.value = self._memory = min(self.value + self._step, self._most)
            self._is_stepping, self._step_to = True, number + self._step
        self.step_at, self._stepped_at, self._n_answered = now + self._soon_s, now, 0

    def is_of_step(self, ticket: Ticket) -> bool:
        """Return whether a try was let in by a step, not in another's place."""
        return ticket.number <= self._step_to and ticket.level > self._proven

    def answered(self, ticket: Ticket) -> None:
        """An answer came: so many may be in flight."""
        self._n_answered += 1
        self._unrest.answered(quiet=not self._is_stepping)
        if ticket.number > self._since:
            self._n_falls = 0
            self._proven = max(self._proven, ticket.level)

    def heard(self, after_s: float) -> None:
        """A request was turned away after so many seconds: that long a step has to wait for word."""
        self._word_s = max(after_s, FADE * self._word_s)

    def is_too_high(self) -> bool:
        """A try was turned away that took another's place; return whether there were too many of these."""
        return self._unrest.turned_away(quiet=not self._is_stepping)

    def settle(self, in_flight: int, now: float) -> None:
        """A step was too wide: stay with those that were not turned away."""
        self._set(min(self.value, max(self._proven, in_flight)), now)
        self._step = max(1, self._step // 2)

    def ease(self, in_flight: int, now: float) -> None:
        """Some are turned away within what was proven: it was a little too much."""
        self._set(min(self.value - 1, in_flight), now)
        self._proven, self._step = self.value, 1

    def fall(self, in_flight: int, number: int, now: float) -> None:
        """Of late nearly all are turned away: the provider admits far fewer than it did before ticket `number`."""
        fallen = int(FALL * self.value) if self._n_falls else self.value - 1
        self._set(min(fallen, in_flight), now)
        self._proven, self._since, self._step = self.value, number, 1
        self._n_falls += 1

    def _set(self, value: int, now: float) -> None:
        """Let fewer in, and wait before the next step: longer where the last one was refused."""
        self.value = self._memory = max(1, value)
        self.step_at = max(self.step_at, now + self._soon_s)
        if self._is_stepping:
            self.n_refused, self._is_stepping, self._waiting_then = self.n_refused + 1, False, None
            self.step_at = now + min(LONGEST_S, self._soon_s * 2**self.n_refused)

    def hurry(self) -> None:
        """The refusals had another reason: step again soon."""
        self.n_refused = 0

    def start_again(self) -> None:
        """Begin with few, and double up to what was known."""
        self.value = min(START, self.value)
