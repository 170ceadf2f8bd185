"""Batches handed to providers: what each holds and how far it has come, so that any process can see one to its end."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Update, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from synth_pipeline.contracts.providers import Price
from synth_pipeline.contracts.spending import Cap, Cost, Scope
from synth_pipeline.llm.ledger.changes import Change, Outcome, Release
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.entries import LedgerEntry
from synth_pipeline.llm.ledger.holders import BATCH, Holder, is_dead
from synth_pipeline.llm.ledger.tables import BATCH_CALLS, BATCHES, CLAIMS, HOLDERS

STAMP = "%Y%m%dT%H%M%SZ"
AT_ONCE = 1024  # claims given back in one transaction, so that other processes get their turn
COLUMNS = tuple(column for column in BATCHES.c if column is not BATCHES.c.call_keys)  # the keys are for people

PREPARING, SUBMITTING, SUBMITTED = "preparing", "submitting", "submitted"  # nothing is sent; it may be; it is
Apply = Callable[[Sequence[Change]], list[Outcome]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls to one model that are handed to a provider together.

    Args:
        key: its name here and, as metadata, at the provider; begins with the time at which it was begun.
        provider: who answers.
        model: the LiteLLM model.
        recipe: what it is bought for.
        run: the run that began it.
        partition: its partition.
        scopes: the names that its calls are booked under.
        price: what its calls' tokens cost.
        status: how far it has come, or how it ended.
        n_calls: how many it holds.
        input_file_id: the provider's name for what was uploaded.
        remote_id: the provider's name for the batch.
        submitted_at: when it was last handed over, ISO 8601 in UTC.
    """

    key: str
    provider: str
    model: str
    recipe: str
    run: str | None
    partition: str | None
    scopes: tuple[str, ...]
    price: Price
    status: str = PREPARING
    n_calls: int = 0
    input_file_id: str | None = None
    remote_id: str | None = None
    submitted_at: str | None = None

    @property
    def holder(self) -> str:
        """The name under which it holds claims."""
        return BATCH + self.key

    @property
    def booked_under(self) -> tuple[Scope, ...]:
        """What its calls are booked under; the caps have done their work when it was begun."""
        return tuple(Scope(name, Cap()) for name in self.scopes)

    @property
    def begun_at(self) -> datetime:
        """When it was begun."""
        return _time_in(self.key)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that waits for its line: the entry without the answer, and what is reserved for it."""

    entry: LedgerEntry
    reserved: Cost


def make_batch_key() -> str:
    """Return the name of a new batch."""
    return f"{datetime.now(UTC).strftime(STAMP)}-{secrets.token_hex(4)}"


def describe_batch(holder: str) -> str | None:
    """Return why a call cannot be bought that a batch holds, in words for a person; None: the holder is no batch."""
    if not holder.startswith(BATCH):
        return None
    key = holder.removeprefix(BATCH)
    return f"in batch {key} since {_time_in(key):%Y-%m-%d %H:%M} UTC; run again with --batch to collect it"


class Batches:
    """The batches in a ledger.

    Args:
        database: the ledger's.
        apply: takes changes of the ledger.

    Raises:
        StorageError: from every method, where the ledger cannot be read or written.
    """

    def __init__(self, database: Database, apply: Apply) -> None:
        self._database, self._apply = database, apply

    # ------------------------------------------------------------------------------------------ reading

    def under_way(self, provider: str | None = None, model: str | None = None) -> list[Batch]:
        """Return the batches that are not finished, the oldest first: all, or a provider's, or a model's of it."""
        wanted = {BATCHES.c.provider: provider, BATCHES.c.model: model}
        mine = [column == value for column, value in wanted.items() if value is not None]
        query = select(*COLUMNS).where(BATCHES.c.finished_at.is_(None), *mine).order_by(BATCHES.c.batch_key)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [_batch(row) for row in rows]

    def holding(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the batch that holds each of these calls, by the call; a call that none holds is not there."""
        with self._database.reading_rows() as rows:
            claims = rows.claims(keys)
        return {
            key: claim.holder.removeprefix(BATCH) for key, claim in claims.items() if claim.holder.startswith(BATCH)
        }

    def count_waiting(self, batch: Batch) -> int:
        """Return how many calls of a batch wait for their lines."""
        with self._database.reading() as connection:
            query = select(func.count()).select_from(CLAIMS).where(CLAIMS.c.holder == batch.holder)
            return int(connection.execute(query).scalar_one())

    def waiting(self, batch: Batch, keys: Sequence[str] | None = None) -> dict[str, Waiting]:
        """Return those of a batch's calls that wait for their lines; None: the first some of all."""
        held = (BATCH_CALLS.c.batch_key == batch.key, CLAIMS.c.holder == batch.holder)
        query = select(BATCH_CALLS.c.call_key, BATCH_CALLS.c.entry, CLAIMS.c.nano_usd, CLAIMS.c.tokens).join_from(
            BATCH_CALLS, CLAIMS, BATCH_CALLS.c.call_key == CLAIMS.c.call_key
        )
        among = func.json_each(json.dumps(keys)).table_valued("value")
        chosen = (
            query.where(*held).limit(AT_ONCE)
            if keys is None
            else query.where(*held, BATCH_CALLS.c.call_key.in_(select(among.c.value)))
        )
        with self._database.reading() as connection:
            return {
                key: Waiting(LedgerEntry(**json.loads(entry)), Cost(nano_usd, tokens))
                for key, entry, nano_usd, tokens in connection.execute(chosen)
            }

    # ------------------------------------------------------------------------------------------ writing

    def begin(self, batch: Batch, attendant: str) -> None:
        """Write down a new batch; from now on its claims live, whatever becomes of this process."""
        with self._database.writing() as connection:
            connection.execute(insert(BATCHES), _row(batch) | {"holder": attendant, "call_keys": "[]"})

    def add(self, batch: Batch, entries: Sequence[LedgerEntry], schemas: Mapping[str, str]) -> None:
        """Write down calls of a batch: all that has to be known to keep their answers, without the recipe.

        Args:
            batch: whose.
            entries: the calls, as they will be kept but for the answers.
            schemas: the schemas that they ask for, by their hashes.
        """
        calls = [
            {"call_key": one.call_key, "batch_key": batch.key, "entry": json.dumps(asdict(one))} for one in entries
        ]
        with self._database.writing() as connection:
            connection.execute(insert(BATCH_CALLS).prefix_with("OR REPLACE"), calls)
        with self._database.writing_rows() as rows:
            rows.add_schemas(schemas.items())

    def write(self, batch: Batch) -> None:
        """Write how far a batch has come."""
        with self._database.writing() as connection:
            connection.execute(_this(batch.key).values(**_row(batch)))

    def seal(self, batch: Batch) -> None:
        """Write down which calls a batch holds."""
        keys = select(func.json_group_array(BATCH_CALLS.c.call_key)).where(BATCH_CALLS.c.batch_key == batch.key)
        with self._database.writing() as connection:
            connection.execute(_this(batch.key).values(**_row(batch), call_keys=keys.scalar_subquery()))

    def attend(self, key: str, attendant: str) -> Batch | None:
        """Return a batch as it is now, which is this holder's to attend to; None: another that lives does, or it ended.

        Args:
            key: the batch's.
            attendant: the holder, which has made itself known.
        """
        with self._database.writing() as connection:
            row = _find(connection, key)
            if row is None or row.finished_at or _lives(connection, row.holder, attendant):
                return None
            connection.execute(_this(key).values(holder=attendant))
            return _batch(row)

    def is_finished(self, key: str) -> bool:
        """Return whether a batch is finished."""
        with self._database.reading() as connection:
            row = _find(connection, key)
            return row is None or row.finished_at is not None

    def finish(self, batch: Batch, status: str) -> None:
        """Write how a batch ended; the right to what it has not brought is given back."""
        with self._database.reading_rows() as rows:
            left = list(rows.claims_of([batch.holder], unknown_before=0))
        for start in range(0, len(left), AT_ONCE):
            self._apply([Release(key, batch.holder) for key in left[start : start + AT_ONCE]])
        with self._database.writing() as connection:
            ended = {"status": status, "finished_at": datetime.now(UTC).isoformat(timespec="seconds")}
            connection.execute(_this(batch.key).values(**ended))
            connection.execute(delete(BATCH_CALLS).where(BATCH_CALLS.c.batch_key == batch.key))

    def drop_unsent(self) -> None:
        """Finish the batches of which nothing was sent and whose attendants are gone."""
        with self._database.reading() as connection:
            unsent = select(*COLUMNS).where(BATCHES.c.status == PREPARING, BATCHES.c.finished_at.is_(None))
            orphans = [row for row in connection.execute(unsent) if not _lives(connection, row.holder)]
        for row in orphans:
            self.finish(_batch(row), "abandoned")


def _find(connection: Connection, key: str) -> Row[Any] | None:
    return connection.execute(select(*COLUMNS).where(BATCHES.c.batch_key == key)).one_or_none()


def _lives(connection: Connection, attendant: str | None, but: str | None = None) -> bool:
    """Return whether an attendant lives; `but` does not count as one."""
    if attendant is None or attendant == but:
        return False
    row = connection.execute(select(HOLDERS).where(HOLDERS.c.name == attendant)).one_or_none()
    return row is not None and not is_dead(Holder(*row[:-1]), time.time() - row.beat_at)


def _time_in(key: str) -> datetime:
    return datetime.strptime(key.partition("-")[0], STAMP).replace(tzinfo=UTC)


def _this(key: str) -> Update:
    return update(BATCHES).where(BATCHES.c.batch_key == key)


def _row(batch: Batch) -> dict[str, Any]:
    return {
        "batch_key": batch.key,
        "provider": batch.provider,
        "model": batch.model,
        "recipe": batch.recipe,
        "run": batch.run,
        "partition": batch.partition,
        "scopes": json.dumps(batch.scopes),
        "usd_per_mtok_in": batch.price.usd_per_mtok_in,
        "usd_per_mtok_out": batch.price.usd_per_mtok_out,
        "status": batch.status,
        "n_calls": batch.n_calls,
        "input_file_id": batch.input_file_id,
        "remote_id": batch.remote_id,
        "submitted_at": batch.submitted_at,
    }


def _batch(row: Row[Any]) -> Batch:
    return Batch(
        key=row.batch_key,
        provider=row.provider,
        model=row.model,
        recipe=row.recipe,
        run=row.run,
        partition=row.partition,
        scopes=tuple(json.loads(row.scopes)),
        price=Price(usd_per_mtok_in=row.usd_per_mtok_in, usd_per_mtok_out=row.usd_per_mtok_out),
        status=row.status,
        n_calls=row.n_calls,
        input_file_id=row.input_file_id,
        remote_id=row.remote_id,
        submitted_at=row.submitted_at,
    )
