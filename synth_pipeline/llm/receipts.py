"""What the ledger is told of a purchase: the completion as it was bought, or the try that brought none."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from synth_pipeline.contracts.errors import CallError, PermanentCallError, TransientCallError
from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.protocols import Tally
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.contracts.spending import Spender, cost_of
from synth_pipeline.llm.keys import parameters_of, schema_json, schema_sha256
from synth_pipeline.llm.ledger import FailedTry, LedgerEntry, LedgerQueue, TryStatus
from synth_pipeline.llm.limits import Patience
from synth_pipeline.llm.purchases import Answer, Purchase


@dataclass
class Desk:
    """What all purchases of one stage share.

    Args:
        provider: who answers.
        queue: the ledger's, in this event loop.
        holder: the name under which claims are held.
        spender: what purchases are booked under.
        tally: counts what happens.
        patience: how long a failing call is tried.
        tell: is called when the tally has changed.
        over_cap: the cap that was reached before the stage began to ask; None: none.
        fresh: the calls that batches have just brought, which are counted as bought already.
    """

    provider: Provider
    queue: LedgerQueue
    holder: str
    spender: Spender
    tally: Tally
    patience: Patience
    tell: Callable[[], None]
    over_cap: str | None = None
    fresh: set[str] = field(default_factory=set)

    def count_replay(self, entry: LedgerEntry) -> None:
        """Count a completion that the ledger held before this stage."""
        self.tally.n_replayed += entry.call_key not in self.fresh


def write_receipt(desk: Desk, purchase: Purchase, answer: Answer, took: tuple[int, float]) -> LedgerEntry:
    """Return the ledger's entry of a completion that has just come; it took so many tries, the last so many seconds."""
    request, (n_tries, latency_s) = purchase.request, took
    return LedgerEntry(
        call_key=purchase.key,
        recipe_role=request.schema_name,
        provider=desk.provider.name,
        model=desk.provider.model_for(request.role),
        template=request.template.path,
        template_version=request.template.version,
        template_sha256=request.template.sha256,
        sample=request.sample,
        attempt=purchase.attempt,
        messages=canonical_json([dict(message) for message in purchase.messages]),
        content=answer.content,
        refusal=answer.refusal,
        finish_reason=answer.finish_reason,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        cost_usd=cost_of(purchase.price, answer.tokens_in, answer.tokens_out).usd,
        completed_at=_now(),
        latency_s=round(latency_s, 4),
        provider_request_id=answer.provider_request_id,
        recipe=desk.spender.recipe,
        partition=desk.spender.partition,
        run=desk.spender.run,
        parameters=canonical_json(parameters_of(desk.provider, request)),
        schema_sha256=schema_sha256(schema_json(request.schema_name, request.record_class)),
        tries=n_tries,
    )


def write_failure(desk: Desk, purchase: Purchase, ended: tuple[TryStatus, int], why: CallError | str) -> FailedTry:
    """Return the ledger's row of a try that brought nothing: how the call's n-th try ended, and why."""
    request, (status, n_tries) = purchase.request, ended
    return FailedTry(
        call_key=purchase.key,
        holder=desk.holder,
        status=status,
        reason=why if isinstance(why, str) else why.what,
        failed_at=_now(),
        recipe_role=request.schema_name,
        provider=desk.provider.name,
        model=desk.provider.model_for(request.role),
        sample=request.sample,
        attempt=purchase.attempt,
        tries=n_tries,
        recipe=desk.spender.recipe,
        partition=desk.spender.partition,
        run=desk.spender.run,
        fault=why.fault if isinstance(why, TransientCallError) else None,
        http_status=why.http_status if isinstance(why, TransientCallError | PermanentCallError) else None,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
