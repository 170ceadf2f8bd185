"""Watching a batch at its provider, and bringing what comes of it into the ledger."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from synth_pipeline.contracts.errors import CallError, InputError, PermanentCallError, TransientCallError
from synth_pipeline.contracts.spending import Cost, cost_of
from synth_pipeline.llm.batches.carrier import Carrier, ago, aside, utc_now
from synth_pipeline.llm.batches.lines import WITHOUT, Json, read_lines
from synth_pipeline.llm.batches.patience import keep_asking
from synth_pipeline.llm.batches.remote import RemoteBatch
from synth_pipeline.llm.ledger import Batch, Fail, FailedTry, Keep, Ledger, LedgerEntry, TryStatus
from synth_pipeline.llm.ledger.batches import Waiting
from synth_pipeline.llm.purchases import Answer

LINES_AT_ONCE = 256  # answers in one transaction
NOTHING = Cost(0, 0)
GONE = 404
NO_LINE = "the batch ended without a word on it; it may be billed"


async def watch(carrier: Carrier, batch: Batch) -> RemoteBatch:
    """Return what the provider says of a batch once it has ended.

    Raises:
        PermanentCallError: the provider does not know it, or refuses to say.
        ProviderDown: the provider has been out of reach for too long.
    """
    waits, ended_at = carrier.patience.waits(), None
    while True:
        remote = await keep_asking(lambda: _show(carrier, batch), carrier.patience)
        submitted = ago(batch.submitted_at) if batch.submitted_at else "before"
        carrier.say(batch, f"{remote.n_done} of {batch.n_calls} done at the provider, submitted {submitted}")
        if remote.has_ended:
            ended_at = ended_at or time.monotonic()
            named = remote.has_files or not remote.n_done  # files may be named a moment after the end
            if named or time.monotonic() - ended_at > carrier.patience.settle_s:
                return remote
        await asyncio.sleep(next(waits))


async def _show(carrier: Carrier, batch: Batch) -> RemoteBatch:
    try:
        return await carrier.remote.show(batch.remote_id or "")
    except PermanentCallError as error:
        if error.http_status != GONE:
            raise
        fix = "check whose key it is; if the batch is gone for good, `synth ledger` can give it up"
        raise PermanentCallError(
            f"the provider knows no batch {batch.remote_id} ({batch.key})",
            where=error.where,
            fix=fix,
            http_status=GONE,
        ) from None


async def collect(carrier: Carrier, batch: Batch, remote: RemoteBatch) -> None:
    """Bring a batch that has ended into the ledger: its answers, its errors, and what has no line.

    What an earlier attempt has brought is left alone. The batch is finished then.

    Raises:
        PermanentCallError: the provider has refused the whole batch; nothing was bought.
        ProviderDown: the provider has been out of reach for too long.
    """
    if remote.status == "failed" and not remote.has_files:
        await aside(carrier.batches.finish, batch, remote.status)
        carrier.board.say(batch.key, None)
        if not remote.queue_was_full:
            raise _refusal(carrier, batch, remote)
        return
    for file_id in (remote.output_file_id, remote.error_file_id):
        if file_id:
            await _collect_file(carrier, batch, file_id)
    await _give_up_missing(carrier, batch, remote.status)
    await aside(carrier.batches.finish, batch, remote.status)
    carrier.board.say(batch.key, None)


def _refusal(carrier: Carrier, batch: Batch, remote: RemoteBatch) -> PermanentCallError:
    said = "; ".join(words for _, words in remote.faults) or "the provider does not say why"
    return PermanentCallError(
        f"batch {batch.key} ({batch.remote_id}) was refused: {carrier.lines.place.masked(said)}",
        where=str(carrier.lines.place),
        fix=f"nothing of it was bought; mend what it names, or {WITHOUT}",
    )


async def _collect_file(carrier: Carrier, batch: Batch, file_id: str) -> None:
    """Keep what a file brings; where it breaks off it is read again, and only what is new is kept."""
    try:
        await keep_asking(lambda: _read_file(carrier, batch, file_id), carrier.patience)
    except PermanentCallError as error:
        if error.http_status != GONE:
            raise
        carrier.say(batch, f"the provider has not kept its file {file_id}")


async def _read_file(carrier: Carrier, batch: Batch, file_id: str) -> None:
    n = 0
    async with aclosing(carrier.remote.read(file_id)) as lines:
        async for texts in _some_at_a_time(lines):
            await _settle(carrier, batch, read_lines(texts))
            n += len(texts)
            carrier.say(batch, f"{n} of {batch.n_calls} lines collected")


async def _some_at_a_time(lines: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    some: list[bytes] = []
    async for line in lines:
        some.append(line)
        if len(some) >= LINES_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


async def _settle(carrier: Carrier, batch: Batch, lines: Sequence[tuple[str, Json]]) -> None:
    """Keep what lines bring, in one transaction; a line that nobody waits for is not ours, or was kept before."""
    waiting = await aside(carrier.batches.waiting, batch, [key for key, _ in lines])
    changes = [_change(carrier, batch, line, waiting.pop(key)) for key, line in lines if key in waiting]
    await _apply(carrier, changes)


def _change(carrier: Carrier, batch: Batch, line: Json, call: Waiting) -> Keep | Fail:
    brought = carrier.lines.read(line, json.loads(call.entry.messages))
    if isinstance(brought, Answer):
        cost = cost_of(batch.price, brought.tokens_in, brought.tokens_out)
        return Keep(_receipt(call.entry, brought, cost), batch.booked_under, cost, "", batch.holder)
    billed = isinstance(brought, TransientCallError) and brought.may_be_billed
    status: TryStatus = "permanent_error" if isinstance(brought, PermanentCallError) else "transient_error"
    return Fail(_failure(batch, call, status, brought), batch.booked_under, call.reserved if billed else NOTHING)


def _receipt(entry: LedgerEntry, answer: Answer, cost: Cost) -> LedgerEntry:
    """Return the entry with its answer; a call of a batch has no latency of its own, which is kept as 0."""
    return replace(
        entry,
        content=answer.content,
        refusal=answer.refusal,
        finish_reason=answer.finish_reason,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        cost_usd=cost.usd,
        completed_at=utc_now(),
        provider_request_id=answer.provider_request_id,
    )


def _failure(batch: Batch, call: Waiting, status: TryStatus, why: CallError | str) -> FailedTry:
    entry = call.entry
    return FailedTry(
        call_key=entry.call_key,
        holder=batch.holder,
        status=status,
        reason=why if isinstance(why, str) else why.what,
        failed_at=utc_now(),
        recipe_role=entry.recipe_role,
        provider=entry.provider,
        model=entry.model,
        sample=entry.sample,
        attempt=entry.attempt,
        tries=1,
        recipe=entry.recipe,
        partition=entry.partition,
        run=entry.run,
        fault=why.fault if isinstance(why, TransientCallError) else None,
        http_status=why.http_status if isinstance(why, TransientCallError | PermanentCallError) else None,
    )


async def _give_up_missing(carrier: Carrier, batch: Batch, ended: str) -> None:
    """Give up the calls that have no line: where the batch was done they may be billed, else they were not made."""
    while waiting := await aside(carrier.batches.waiting, batch):
        changes = [
            lost(batch, call, NO_LINE)
            if ended == "completed"
            else Fail(_failure(batch, call, "transient_error", f"the batch was {ended} before"), batch.booked_under)
            for call in waiting.values()
        ]
        await _apply(carrier, changes)


def lost(batch: Batch, call: Waiting, reason: str) -> Fail:
    """Return that a call is given up which the provider may have billed."""
    return Fail(_failure(batch, call, "lost", reason), batch.booked_under, call.reserved)


async def _apply(carrier: Carrier, changes: Sequence[Keep | Fail]) -> None:
    await aside(carrier.ledger.apply, changes)
    desk = carrier.desk
    for change in changes:
        if isinstance(change, Fail):
            carrier.failed.add(change.row.call_key)
            desk.tally.retries[change.row.fault or change.row.status] += 1
            continue
        desk.fresh.add(change.entry.call_key)
        desk.tally.n_bought += 1
        desk.tally.cost_usd += change.entry.cost_usd
        desk.tally.tokens_in += change.entry.tokens_in
        desk.tally.tokens_out += change.entry.tokens_out


def give_up(ledger: Ledger, name: str) -> Cost:
    """Return what the calls of a batch may have cost that its provider has lost: it counts as spent, they are free.

    Raises:
        InputError: no such batch is under way, or a process sees to it.
        StorageError: the ledger cannot be written.
    """
    batch = ledger.batches.attend(name, "given up")
    if batch is None:
        raise InputError(
            f"no batch {name!r} is under way that nobody sees to", where="batch", fix="`synth ledger` lists them"
        )
    reserved = []
    while waiting := ledger.batches.waiting(batch):
        ledger.apply([lost(batch, call, "the batch was given up; it may be billed") for call in waiting.values()])
        reserved += [call.reserved for call in waiting.values()]
    ledger.batches.finish(batch, "given up")
    return Cost(sum(one.nano_usd for one in reserved), sum(one.tokens for one in reserved))
