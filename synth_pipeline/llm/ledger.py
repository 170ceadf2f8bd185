"""The call ledger: every completion bought, by `call_key`, appended before it is parsed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from synth_pipeline.contracts.errors import StorageError

METADATA = MetaData()
CALLS = Table(
    "calls",
    METADATA,
    Column("call_key", Text, primary_key=True),
    Column("recipe_role", Text, nullable=False, index=True),
    Column("provider", Text, nullable=False, index=True),
    Column("model", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("template_version", Text, nullable=False),
    Column("template_sha256", Text, nullable=False),
    Column("sample", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("messages", Text, nullable=False),
    Column("content", Text),
    Column("refusal", Text),
    Column("finish_reason", Text, nullable=False),
    Column("tokens_in", Integer, nullable=False),
    Column("tokens_out", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("completed_at", Text, nullable=False),
    Column("latency_s", Float, nullable=False),
    Column("provider_request_id", Text),
)
BUSY_TIMEOUT_MS = 60_000


@dataclass(frozen=True)
class LedgerEntry:
    """One completion as it was bought; `messages` is the prompt as canonical JSON."""

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


class Ledger:
    """A call ledger in SQLite (WAL) through SQLAlchemy.

    Raises:
        StorageError: from every method, where the ledger cannot be opened, read or written.
    """

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine, self._place = engine, place

    @classmethod
    def open(cls, url: str) -> Self:
        """Return the ledger at an SQLAlchemy URL, made where there is none; `sqlite://` keeps it in memory."""
        place, database = _read_url(url)
        try:
            if database and database != ":memory:":
                Path(database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(url)
            event.listen(engine, "connect", _use_wal)
            with engine.begin() as connection:  # several processes may do this at once
                connection.execute(CreateTable(CALLS, if_not_exists=True))
                for index in CALLS.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
        except (SQLAlchemyError, OSError) as error:
            raise _unusable(place, error) from error
        return cls(engine, place)

    def find(self, key: str) -> LedgerEntry | None:
        """Return the completion with this key, or None where it was never bought."""
        try:
            with self._engine.connect() as connection:
                row = connection.execute(select(CALLS).where(CALLS.c.call_key == key)).mappings().first()
        except SQLAlchemyError as error:
            raise _unusable(self._place, error) from error
        return LedgerEntry(**row) if row else None

    def append(self, entry: LedgerEntry) -> LedgerEntry:
        """Return the completion that is now kept, durable against a killed process.

        That is `entry`, or the one that another process bought under its key in the meantime, so that all use the same.
        """
        try:
            with self._engine.begin() as connection:
                done = connection.execute(insert(CALLS).values(asdict(entry)).on_conflict_do_nothing())
        except SQLAlchemyError as error:
            raise _unusable(self._place, error) from error
        return entry if done.rowcount else self.find(entry.call_key) or entry

    def spending(self) -> list[Mapping[str, Any]]:
        """Return calls, tokens and dollars for each recipe's role and provider, in their order."""
        query = (
            select(
                CALLS.c.recipe_role,
                CALLS.c.provider,
                func.count().label("calls"),
                func.sum(CALLS.c.tokens_in).label("tokens_in"),
                func.sum(CALLS.c.tokens_out).label("tokens_out"),
                func.sum(CALLS.c.cost_usd).label("cost_usd"),
            )
            .group_by(CALLS.c.recipe_role, CALLS.c.provider)
            .order_by(CALLS.c.recipe_role, CALLS.c.provider)
        )
        try:
            with self._engine.connect() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise _unusable(self._place, error) from error

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def _read_url(url: str) -> tuple[str, str | None]:
    fix = "set SYNTH_LEDGER_URL to sqlite:/// and the path of a file, or unset it"
    try:
        read = make_url(url)
    except ArgumentError as error:
        raise StorageError("the call ledger's address is no URL", fix=fix) from error
    place = read.render_as_string(hide_password=True)
    if read.get_backend_name() != "sqlite":
        raise StorageError("the call ledger can be kept in SQLite only", where=place, fix=fix)
    return place, read.database


def _use_wal(connection: Any, _record: object) -> None:
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _unusable(place: str, error: Exception) -> StorageError:
    reason = str(getattr(error, "orig", None) or error).splitlines()[0]
    return StorageError(
        f"the call ledger cannot be used: {reason}",
        where=place,
        fix="free disk space, check permissions, or restore the file; completions already in it are kept",
    )
