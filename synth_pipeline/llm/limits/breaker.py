"""The circuit breaker: a provider that answers nothing is left alone for a while, and given up in the end."""

import random

from synth_pipeline.llm.limits.tickets import Ticket

ENOUGH = 5  # chosen: so many calls that fail one after the other are no accident
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0  # chosen
JITTER = 0.1  # share of a pause
SHOWN = 200


class Breaker:
    """Opens when several calls fail at their first try with no answer between; then lets in one probe at a time.

    A call that fails again and again may itself be at fault: only first tries open the breaker.

    Args:
        give_up_after_s: seconds without an answer, from the first failure, after which the provider counts as down.
        rng: for the jitter of pauses.
    """

    def __init__(self, give_up_after_s: float, rng: random.Random) -> None:
        self._give_up_after_s, self._rng = give_up_after_s, rng
        self._n_failed = self._n_tries = 0  # since the last answer: calls that failed at once, tries that failed
        self._failing_since = 0.0
        self._pause_s, self.probe_at = 0.0, 0.0
        self._probe: Ticket | None = None
        self._reason = ""
        self.is_open = False

    @property
    def gives_up_at(self) -> float:
        """When the provider of an open breaker counts as down."""
        return self._failing_since + self._give_up_after_s

    def lets_in(self, now: float) -> bool:
        """Return whether a call may be sent, as far as the breaker is concerned."""
        return not self.is_open or (self._probe is None and now >= self.probe_at)

    def entered(self, ticket: Ticket) -> None:
        """A call is sent: where the breaker is open, it is the probe."""
        if self.is_open:
            self._probe = ticket

    def answered(self) -> bool:
        """Some answer came; return whether that closes the breaker."""
        closes, self.is_open, self._probe = self.is_open, False, None
        self._n_failed = self._n_tries = 0
        return closes

    def forget(self, ticket: Ticket) -> None:
        """A try ended that says nothing: was it the probe, another may follow."""
        if ticket is self._probe:
            self._probe = None

    def is_probe(self, ticket: Ticket) -> bool:
        """Return whether `ticket` is the probe."""
        return ticket is self._probe

    def failed(self, ticket: Ticket, now: float, reason: str, n_calls: int) -> bool:
        """A try failed; return whether a pause begins.

        Args:
            ticket: whose try it was.
            now: the time.
            reason: why it failed.
            n_calls: calls that there were so far; where they are fewer than a breaker needs, their tries count.
        """
        self._reason = reason.partition("\n")[0][:SHOWN] or "it does not say why"
        if not self._n_tries and not self.is_open:
            self._failing_since = now
        self._n_failed += ticket.first
        self._n_tries += 1
        if ticket is self._probe:
            self._probe, self._pause_s = None, min(2 * self._pause_s, LONGEST_PAUSE_S)
        elif not self.is_open and (self._n_failed if n_calls >= ENOUGH else self._n_tries) >= ENOUGH:
            self.is_open, self._pause_s = True, FIRST_PAUSE_S
        else:
            return False
        self.probe_at = now + self._pause_s * self._rng.uniform(1, 1 + JITTER)
        return True

    def describe(self, now: float) -> str:
        """Return what a person should know while the breaker is open."""
        waited_s = f"{now - self._failing_since:.0f} s of {self._give_up_after_s:.0f} s waited"
        return f"provider does not answer ({self._reason}); paused, next try in {self.probe_at - now:.0f} s, {waited_s}"

    def describe_end(self, now: float) -> str:
        """Return why the provider counts as down."""
        return f"has answered nothing for {now - self._failing_since:.0f} s ({self._reason})"
