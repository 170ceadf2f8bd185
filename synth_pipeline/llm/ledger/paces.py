"""When a call may start: rates that all processes share, spread evenly, as they stand within one transaction."""

from collections.abc import Iterable, Mapping

from synth_pipeline.llm.ledger.changes import Pace

CREDIT_S = 0.1  # chosen: the grain of commits and of a busy event loop; in no second is a pace passed by more than that
AHEAD_S = 2.0  # chosen: starts are given out so far ahead; a killed process takes no more of a pace with it
LONGEST_GAP_S = 120.0  # chosen: more than one call takes of a pace; a start beyond it means that the clock was set back


class Paces:
    """The next start of each pace (a virtual-scheduling leaky bucket, GCRA).

    Args:
        found: when the next call of each pace may start, as it was found.
        now: wall clock.
    """

    def __init__(self, found: Mapping[str, float], now: float) -> None:
        latest = now + AHEAD_S + LONGEST_GAP_S
        self._next = {name: next_at if next_at < latest else now for name, next_at in found.items()}
        self._now = now
        self._changed: set[str] = set()

    def start_of(self, paces: Iterable[Pace]) -> float:
        """Return when a call may start at the earliest: when all its paces let it."""
        return max([self._now, *(self._next.get(pace.name, self._now) for pace in paces)])

    def take(self, paces: Iterable[Pace], start_at: float) -> None:
        """Take a call's share of each pace; what an idle pace has not used is lost but for `CREDIT_S`."""
        for pace in paces:
            begun = max(self._next.get(pace.name, start_at), start_at - CREDIT_S)
            self._next[pace.name] = begun + pace.amount / pace.per_s
            self._changed.add(pace.name)

    def written(self) -> Iterable[tuple[str, float]]:
        """Return the next start of each pace that was taken of."""
        return [(name, self._next[name]) for name in self._changed]
