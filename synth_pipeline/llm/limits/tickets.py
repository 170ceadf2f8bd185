"""One try's place in a gate, and how it ended."""

from dataclasses import dataclass, field
from typing import Literal

from synth_pipeline.contracts.errors import TransientCallError

UNAVAILABLE, OVERLOADED = 503, 529  # 529 is Anthropic's

End = Literal["ok", "turned_away", "failed", "neutral"]


@dataclass(slots=True, eq=False)
class Ticket:
    """The right to have one request in flight.

    Args:
        number: 1 for the first that was let in.
        level: how many were in flight with it when it was let in.
        entered_at: when, by the gate's clock.
        first: whether its call was never tried before.
        skipped: whether nothing was sent after all.
    """

    number: int
    level: int
    entered_at: float
    first: bool
    skipped: bool = field(default=False, init=False)

    def skip(self) -> None:
        """Say that nothing was sent, so that leaving says nothing of the provider."""
        self.skipped = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try ended.

    Args:
        end: `ok`: answered; `turned_away`: too many requests; `failed`: no sound answer; `neutral`: says nothing of the
            provider's state (a request that it refuses, a cancelled task).
        retry_after_s: how long the provider asks to wait.
        reason: why it failed.
    """

    end: End
    retry_after_s: float | None = None
    reason: str = ""


OK, NEUTRAL = Outcome("ok"), Outcome("neutral")


def outcome_of(error: BaseException | None) -> Outcome:
    """Return how a try ended that raised `error`, or nothing.

    A provider that says it is overloaded, or unavailable until a time, turns away as one does that says 429.
    """
    if error is None:
        return OK
    if not isinstance(error, TransientCallError):
        return NEUTRAL
    full = error.http_status == OVERLOADED or (error.http_status == UNAVAILABLE and error.retry_after_s is not None)
    if error.fault == "rate_limit" or full:
        return Outcome("turned_away", error.retry_after_s, error.what)
    return Outcome("failed", error.retry_after_s, error.what)
