"""What the ledger keeps of a purchase: a completion as it was bought, or a try that brought none."""

from dataclasses import dataclass, fields
from typing import Literal

CallStatus = Literal["received", "ok", "refused", "cut_off", "unparsable"]
TryStatus = Literal["transient_error", "permanent_error", "out_of_budget", "lost"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One completion as it was bought.

    Args:
        call_key: the identity of the purchase.
        recipe_role: `recipe__role`.
        messages: the prompt, as canonical JSON.
        content: the completion's text; None where there is none.
        refusal: what the provider said when it declined; None where it did not.
        completed_at: when it came, ISO 8601 in UTC.
        latency_s: seconds that the try took which brought it; 0: it came in a batch.
        recipe: the recipe that it was bought for.
        partition: the partition; None: bought before that was kept.
        run: the run's id; None: bought before that was kept.
        parameters: what shaped the answer, as canonical JSON; None: bought before that was kept.
        schema_sha256: the hash of the schema that was asked for; None: bought before that was kept.
        tries: HTTP requests that it took.
        status: what parsing made of it; `received`: not parsed yet.
        reason: why it is not ok; None where it is.
        parsed: the validated value, as canonical JSON; None where there is none.
    """

    call_key: str
    recipe_role: str
    provider: str
    model: str
    template: str
    template_version: str
    template_sha256: str
    sample: str
    attempt: int
    messages: str
    content: str | None
    refusal: str | None
    finish_reason: str
    tokens_in: int
    tokens_out: int
    cost_usd: float
    completed_at: str
    latency_s: float
    provider_request_id: str | None
    recipe: str
    partition: str | None
    run: str | None
    parameters: str | None
    schema_sha256: str | None
    tries: int = 1
    status: CallStatus = "received"
    reason: str | None = None
    parsed: str | None = None


@dataclass(frozen=True, slots=True)
class FailedTry:
    """One try that brought no completion: it failed, was lost, or was not made for lack of budget.

    Args:
        call_key: what it would have bought.
        holder: who tried.
        status: how it ended.
        reason: why, in the provider's words or ours.
        failed_at: when, ISO 8601 in UTC.
        tries: HTTP requests made for the call so far, with this one.
        fault: the kind of transient failure.
        latency_s: seconds that it took.
    """

    call_key: str
    holder: str
    status: TryStatus
    reason: str
    failed_at: str
    recipe_role: str | None = None
    provider: str | None = None
    model: str | None = None
    sample: str | None = None
    attempt: int | None = None
    tries: int | None = None
    recipe: str | None = None
    partition: str | None = None
    run: str | None = None
    fault: str | None = None
    http_status: int | None = None
    latency_s: float | None = None


ENTRY_FIELDS = tuple(field.name for field in fields(LedgerEntry))
TRY_FIELDS = tuple(field.name for field in fields(FailedTry))
