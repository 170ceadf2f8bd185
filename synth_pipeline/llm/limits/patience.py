"""How often a failed call is tried again, and how long it waits before."""

import random
from dataclasses import dataclass, field

from synth_pipeline.contracts.errors import TransientCallError
from synth_pipeline.llm.limits.tickets import outcome_of

STAGGER_LOW, STAGGER_HIGH = 0.02, 0.2  # share of Retry-After that is waited beyond it, so that not all come at once
MOST_DOUBLINGS = 32


@dataclass(frozen=True)
class Patience:
    """How long an answer is tried for.

    A call that is turned away has cost nothing, and may only have met a probe for more room. It is tried far more often
    and longer than one that failed, so that no storm of rejections makes failed records; a provider that turns away
    everything is the gate's business.

    Args:
        max_tries: tries of a call that fails.
        first_wait_s: seconds waited before the second try, at most; doubled each time.
        longest_wait_s: most seconds waited, unless the provider asks for more.
        max_turned_away: tries of a call that is turned away, at least.
        turned_away_for_s: seconds for which it is tried, at least.
        rng: for the jitter.
    """

    max_tries: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 30
    max_turned_away: int = 30
    turned_away_for_s: float = 600
    rng: random.Random = field(default_factory=random.Random, compare=False, repr=False)

    def wait_s(self, n_tries: int, spent_s: float, error: TransientCallError) -> float | None:
        """Return the seconds to wait before the next try; None where there is none.

        Args:
            n_tries: tries of the call so far that ended as this one: turned away, or in any other way.
            spent_s: seconds since the call's first try.
            error: how the last one ended.
        """
        if self._is_enough(n_tries, spent_s, error):
            return None
        doubled_s = self.first_wait_s * 2 ** min(n_tries - 1, MOST_DOUBLINGS)
        wait_s = self.rng.uniform(0, min(self.longest_wait_s, doubled_s))
        asked_s = (error.retry_after_s or 0.0) * self.rng.uniform(1 + STAGGER_LOW, 1 + STAGGER_HIGH)
        return max(wait_s, asked_s)

    def _is_enough(self, n_tries: int, spent_s: float, error: TransientCallError) -> bool:
        if outcome_of(error).end != "turned_away":
            return n_tries >= self.max_tries
        return n_tries >= self.max_turned_away and spent_s >= self.turned_away_for_s


PATIENCE = Patience()
