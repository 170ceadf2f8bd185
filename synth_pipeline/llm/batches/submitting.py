"""Handing a batch to its provider: written down before each step, so that no step is taken twice."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from synth_pipeline.contracts.errors import PermanentCallError, TransientCallError
from synth_pipeline.contracts.providers import Price
from synth_pipeline.llm.batches.carrier import Carrier, aside, seconds_since, utc_now
from synth_pipeline.llm.batches.patience import Trial, keep_asking
from synth_pipeline.llm.batches.remote import RemoteBatch
from synth_pipeline.llm.buying import describe_cap
from synth_pipeline.llm.keys import schema_json, schema_sha256
from synth_pipeline.llm.ledger import Admit, Admitted, Batch, Fail, OverCap, Release
from synth_pipeline.llm.ledger.batches import SUBMITTED, SUBMITTING, make_batch_key
from synth_pipeline.llm.purchases import Answer, Purchase
from synth_pipeline.llm.receipts import write_failure, write_receipt
from synth_pipeline.llm.worst import worst_cost

# OpenAI, Batch API guide: at most 50,000 requests, and 200 MB (100 MB until 2025) a file.
MOST_CALLS, MOST_BYTES = 50_000, 100_000_000
ADMITTED_AT_ONCE = 512  # calls in one transaction, so that other processes get their turn
REFUSED, EMPTY = "refused", "empty"


@dataclass(frozen=True, slots=True)
class Draft:
    """One call of a batch to be: what is bought, and its line."""

    purchase: Purchase
    line: bytes


async def submit(carrier: Carrier, price: Price, drafts: Sequence[Draft]) -> Batch | None:
    """Return a batch of those calls that nobody else buys and that the budget has room for; None where there is none.

    Where the budget has not room for all, the desk is told so: nothing more is bought then.

    Raises:
        PermanentCallError: the provider refuses it; nothing of it is held any more.
        ProviderDown: the provider is out of reach; the next run goes on where this one stopped.
    """
    desk, spender = carrier.desk, carrier.desk.spender
    batch = Batch(
        key=make_batch_key(),
        provider=desk.provider.name,
        model=carrier.lines.place.model,
        recipe=spender.recipe,
        run=spender.run,
        partition=spender.partition,
        scopes=tuple(scope.name for scope in spender.scopes),
        price=price,
    )
    await aside(carrier.batches.begin, batch, desk.holder)
    carrier.say(batch, "preparing")
    lines = await _reserve(carrier, batch, drafts)
    if not lines:
        await aside(carrier.batches.finish, batch, EMPTY)
        carrier.board.say(batch.key, None)
        return None
    batch = replace(batch, n_calls=len(lines))
    await aside(carrier.batches.seal, batch)
    return await _send(carrier, batch, b"".join(lines))


async def _reserve(carrier: Carrier, batch: Batch, drafts: Sequence[Draft]) -> list[bytes]:
    """Return the lines of the calls that are the batch's to buy, the worst that they may cost being held."""
    lines: list[bytes] = []
    for start in range(0, len(drafts), ADMITTED_AT_ONCE):
        chunk = drafts[start : start + ADMITTED_AT_ONCE]
        taken, over = await _admit(carrier, batch, chunk)
        if taken:
            entries = [write_receipt(carrier.desk, one.purchase, Answer(), (1, 0.0)) for one in taken]
            await aside(carrier.batches.add, batch, entries, dict(_schemas(taken)))
        lines += [one.line for one in taken]
        if over:
            await _spend_no_more(carrier, *over)
            break
    return lines


async def _admit(
    carrier: Carrier, batch: Batch, chunk: Sequence[Draft]
) -> tuple[list[Draft], tuple[Purchase, OverCap] | None]:
    """Return what the batch may buy of some calls, up to the first that the budget has no room for; and that one."""
    scopes = carrier.desk.spender.scopes
    wishes = [Admit(one.purchase.key, batch.holder, scopes, worst_cost(one.purchase)) for one in chunk]
    taken: list[Draft] = []
    too_much: list[Release] = []
    over: tuple[Purchase, OverCap] | None = None
    for draft, outcome in zip(chunk, await aside(carrier.ledger.apply, wishes), strict=True):
        if isinstance(outcome, OverCap):
            over = over or (draft.purchase, outcome)
        elif isinstance(outcome, Admitted) and over:  # it would fit, but that would favour short prompts
            too_much.append(Release(draft.purchase.key, batch.holder))
        elif isinstance(outcome, Admitted):
            taken.append(draft)
    await aside(carrier.ledger.apply, too_much)
    return taken, over


def _schemas(drafts: Sequence[Draft]) -> Iterator[tuple[str, str]]:
    for request in {one.purchase.request.schema_name: one.purchase.request for one in drafts}.values():
        text = schema_json(request.schema_name, request.record_class)
        yield schema_sha256(text), text


async def _spend_no_more(carrier: Carrier, purchase: Purchase, over: OverCap) -> None:
    desk = carrier.desk
    held = f"; ${over.reserved.usd:.4f} are held for calls in batches: once these have come, run again to go on"
    desk.over_cap = describe_cap(over) + (held if over.may_fit_later else "")
    carrier.board.say("cap", desk.over_cap)
    row = write_failure(desk, purchase, ("out_of_budget", 0), desk.over_cap)
    await aside(carrier.ledger.apply, [Fail(row, desk.spender.scopes)])


async def _send(carrier: Carrier, batch: Batch, content: bytes) -> Batch:
    carrier.say(batch, f"uploading {batch.n_calls} calls")
    try:
        name = await keep_asking(lambda: carrier.remote.upload(f"{batch.key}.jsonl", content), carrier.patience)
    except PermanentCallError:
        await aside(carrier.batches.finish, batch, REFUSED)
        raise
    return await _create(carrier, replace(batch, input_file_id=name, status=SUBMITTING), is_new=True)


async def go_on_submitting(carrier: Carrier, batch: Batch) -> Batch:
    """Return a batch, submitted, of which it is not known whether it was: made only where the provider lists none.

    Raises:
        PermanentCallError: the provider refuses it; nothing of it is held any more.
        ProviderDown: the provider is out of reach.
    """
    return await _create(carrier, batch, is_new=False)


async def find_submitted(carrier: Carrier, batch: Batch) -> RemoteBatch | None:
    """Return what the provider made of a batch of which it is not known whether it got it; None: nothing.

    Raises:
        TransientCallError: it cannot be asked just now.
        PermanentCallError: it refuses to say.
    """
    settled_in_s = carrier.patience.settle_s - seconds_since(batch.submitted_at or batch.begun_at.isoformat())
    if settled_in_s > 0:
        await asyncio.sleep(settled_in_s)
    return await carrier.remote.find(batch)


async def write_submitted(carrier: Carrier, batch: Batch, made: RemoteBatch) -> Batch:
    """Return a batch of which it is known now what the provider calls it."""
    batch = replace(batch, status=SUBMITTED, remote_id=made.id)
    await aside(carrier.batches.write, batch)
    carrier.say(batch, "submitted")
    return batch


async def _create(carrier: Carrier, batch: Batch, *, is_new: bool) -> Batch:
    trial = Trial(carrier.patience)
    while True:
        try:
            made = None if is_new else await find_submitted(carrier, batch)
            is_new = False
            if made is None:
                batch = await _stamp(carrier, batch)
                carrier.say(batch, "uploaded, submitting")
                made = await _create_once(carrier, batch)
        except TransientCallError as error:
            batch = await _stamp(carrier, batch)  # whatever was made, was made before now
            carrier.say(batch, f"it is not known whether it was submitted: {error.what}")
            await trial.wait(error)
        else:
            return await write_submitted(carrier, batch, made)


async def _stamp(carrier: Carrier, batch: Batch) -> Batch:
    """Return a batch that may be made from now on, which is written down."""
    batch = replace(batch, submitted_at=utc_now())
    await aside(carrier.batches.write, batch)
    return batch


async def _create_once(carrier: Carrier, batch: Batch) -> RemoteBatch:
    try:
        return await carrier.remote.create(batch)
    except PermanentCallError:
        await aside(carrier.batches.finish, batch, REFUSED)
        raise
