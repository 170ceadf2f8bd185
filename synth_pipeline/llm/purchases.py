"""What is bought from a provider, what comes back, and who fetches it."""

from dataclasses import dataclass
from typing import Protocol

from synth_pipeline.contracts.protocols import CallRequest, Messages
from synth_pipeline.contracts.providers import Price


@dataclass(frozen=True, slots=True)
class Purchase:
    """One completion to be bought.

    Args:
        request: what the stage asked for.
        messages: the prompt as it stands now: the request's, or with a complaint after it.
        key: the call key.
        attempt: 0 for the first ask, 1 for the repair.
        price: what its tokens cost.
    """

    request: CallRequest
    messages: Messages
    key: str
    attempt: int
    price: Price


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What a provider says of its limits beside an answer or an error: what is left, and when it is full again."""

    requests_left: int | None = None
    requests_reset_s: float | None = None
    tokens_left: int | None = None
    tokens_reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion as the provider gave it, not yet kept or parsed.

    Args:
        content: the text; None where there is none.
        refusal: what the provider says when it declines; None where it does not.
        finish_reason: `stop`, `length`, `content_filter`, `no_choices` or the provider's own word.
        tokens_in: prompt tokens billed.
        tokens_out: completion tokens billed, reasoning included.
        provider_request_id: the provider's name for it.
        rate: what the response's headers say of limits.
    """

    content: str | None = None
    refusal: str | None = None
    finish_reason: str = "unknown"
    tokens_in: int = 0
    tokens_out: int = 0
    provider_request_id: str | None = None
    rate: RateHeaders | None = None


class Route(Protocol):
    """A way to a provider's models; it lives in one event loop."""

    async def ask(self, purchase: Purchase) -> Answer:
        """Return one fresh answer: one HTTP request, never retried here.

        Raises:
            TransientCallError: a rate limit, time-out, broken connection, server error or truncated body.
            PermanentCallError: the provider refuses the request itself; carries its own message, secrets masked.
        """

    async def close(self) -> None:
        """Let go of connections."""
