"""Tries that went wrong with no answer between."""

from synth_pipeline.llm.limits.tickets import Ticket

ENOUGH = 5  # chosen: so many calls, or tries of fewer calls, that go wrong one after the other are no accident


class Streak:
    """Counts tries that went wrong since the last answer.

    A call that goes wrong again and again may itself be at fault: where there are enough calls, first tries count.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self._n_calls = self._n_tries = 0

    def add(self, ticket: Ticket, now: float) -> None:
        """One more went wrong."""
        self.since = now if self.since is None else self.since
        self._n_calls += ticket.first
        self._n_tries += 1

    def end(self) -> None:
        """An answer came."""
        self.since, self._n_calls, self._n_tries = None, 0, 0

    def is_enough(self, n_calls: int) -> bool:
        """Return whether so many went wrong, of all the calls that there were, that it is not the calls' fault."""
        return (self._n_calls if n_calls >= ENOUGH else self._n_tries) >= ENOUGH

    def lasts_s(self, now: float) -> float:
        """Return for how long nothing has been answered."""
        return 0.0 if self.since is None else now - self.since
