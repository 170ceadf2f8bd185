"""The circuit breaker: a provider that answers nothing is left alone for a while, and given up in the end."""

import math
import random

from synth_pipeline.llm.limits.streak import Streak
from synth_pipeline.llm.limits.tickets import Ticket

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0  # chosen
JITTER = 0.1  # share of a pause
SHOWN = 200


class Breaker:
    """Opens when several calls fail with no answer between; then lets in one probe at a time, ever more rarely.

    Args:
        give_up_after_s: seconds without an answer, from the first failure, after which the provider counts as down.
        rng: for the jitter of pauses.
    """

    def __init__(self, give_up_after_s: float, rng: random.Random) -> None:
        self._give_up_after_s, self._rng = give_up_after_s, rng
        self._failures = Streak()
        self._pause_s, self.probe_at = 0.0, 0.0
        self._probe: Ticket | None = None
        self._reason = ""
        self.is_open = False

    def gives_up_at(self) -> float:
        """Return when the provider counts as down; infinity while the breaker is closed."""
        since = self._failures.since
        return math.inf if since is None or not self.is_open else since + self._give_up_after_s

    def lets_in(self, now: float) -> bool:
        """Return whether a call may be sent, as far as the breaker is concerned."""
        return not self.is_open or (self._probe is None and now >= self.probe_at)

    def entered(self, ticket: Ticket) -> None:
        """A call is sent: where the breaker is open, it is the probe."""
        if self.is_open:
            self._probe = ticket

    def is_probe(self, ticket: Ticket) -> bool:
        """Return whether `ticket` is the probe."""
        return ticket is self._probe

    def answered(self) -> bool:
        """Some answer came; return whether that closes the breaker."""
        closes, self.is_open, self._probe = self.is_open, False, None
        self._failures.end()
        return closes

    def forget(self, ticket: Ticket) -> None:
        """A try ended that says nothing: was it the probe, another may follow."""
        if ticket is self._probe:
            self._probe = None

    def failed(self, ticket: Ticket, now: float, reason: str, n_calls: int) -> None:
        """A try failed: it may open the breaker, or keep it open.

        Args:
            ticket: whose try it was.
            now: the time.
            reason: why it failed.
            n_calls: calls that there were so far.
        """
        self._reason = reason.partition("\n")[0][:SHOWN] or "it does not say why"
        self._failures.add(ticket, now)
        if ticket is self._probe:
            self._probe, self._pause_s = None, min(2 * self._pause_s, LONGEST_PAUSE_S)
        elif not self.is_open and self._failures.is_enough(n_calls):
            self.is_open, self._pause_s = True, FIRST_PAUSE_S
        else:
            return
        self.probe_at = now + self._pause_s * self._rng.uniform(1, 1 + JITTER)

    def describe(self, now: float) -> str:
        """Return what a person should know while the breaker is open."""
        waited_s = f"{self._failures.lasts_s(now):.0f} s of {self._give_up_after_s:.0f} s waited"
        return f"provider does not answer ({self._reason}); paused, next try in {self.probe_at - now:.0f} s, {waited_s}"

    def describe_end(self, now: float) -> str:
        """Return why the provider counts as down."""
        return f"has answered nothing for {self._failures.lasts_s(now):.0f} s ({self._reason})"
