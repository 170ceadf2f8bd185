"""The ledger's file: SQLite in WAL mode through SQLAlchemy, one connection that writes and one that reads."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger.layout import NewerLayout, is_laid_out, lay_out
from synth_pipeline.llm.ledger.rows import Rows

# WAL with synchronous=NORMAL: what is committed outlives a killed process, not always a power cut.
PRAGMAS = ("busy_timeout=60000", "journal_mode=WAL", "synchronous=NORMAL", "cache_size=-2048")
IN_MEMORY = (None, "", ":memory:")
FAULTS = (SQLAlchemyError, sqlite3.Error, OSError, UnicodeError, OverflowError)  # the last two: a value it cannot hold


class Database:
    """An open ledger file; threads take turns."""

    def __init__(self, engine: Engine, place: str, *, alone: bool) -> None:
        self._engine, self._place = engine, place
        self._writer = engine.connect().execution_options(immediate=True)
        self._reader = self._writer if alone else engine.connect()
        self._own_writer, self._own_reader = _own(self._writer), _own(self._reader)
        self._writing = threading.Lock()
        self._reading = self._writing if alone else threading.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        """Return the file at an SQLAlchemy URL, made or brought to today's layout; `sqlite://` is kept in memory.

        Raises:
            StorageError: it cannot be opened, or a newer version wrote it.
        """
        place, database = _read_url(url)
        alone = database in IN_MEMORY
        with _in_our_words(place):
            if database and not alone:
                Path(database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(
                url, poolclass=StaticPool if alone else None, connect_args={"check_same_thread": False}
            )
            event.listen(engine, "connect", _prepare)
            event.listen(engine, "begin", _begin)
            try:
                opened = cls(engine, place, alone=alone)
            except FAULTS:
                engine.dispose()
                raise
        try:
            opened._lay_out()
        except StorageError:
            opened.close()
            raise
        return opened

    def _lay_out(self) -> None:
        try:
            with self.reading() as connection:
                if is_laid_out(connection):
                    return
            with self.writing() as connection:
                if not is_laid_out(connection):  # another process may have been faster
                    lay_out(connection)
        except NewerLayout as newer:
            raise StorageError(
                f"the call ledger has layout {newer.layout}, and this version knows {newer.known}",
                where=self._place,
                fix="use the version of synth_pipeline that wrote it, or a later one",
            ) from None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction of its own: nobody else writes; committed at the end.

        Raises:
            StorageError: the file cannot be written; nothing of the transaction is kept.
        """
        with self._writing, _in_our_words(self._place), self._writer.begin():
            yield self._writer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the file.

        Raises:
            StorageError: the file cannot be read.
        """
        with self._reading, _in_our_words(self._place), self._reader.begin():
            yield self._reader

    @contextmanager
    def writing_rows(self) -> Iterator[Rows]:
        """Yield the rows in a transaction like that of `writing`, past SQLAlchemy's layers: twice as fast.

        Raises:
            StorageError: the file cannot be written; nothing of the transaction is kept.
        """
        connection = self._own_writer
        with self._writing, _in_our_words(self._place):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Rows(connection)
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    @contextmanager
    def reading_rows(self) -> Iterator[Rows]:
        """Yield the rows to be read, each time as they are then.

        Raises:
            StorageError: the file cannot be read.
        """
        with self._reading, _in_our_words(self._place):
            yield Rows(self._own_reader)

    def close(self) -> None:
        """Let go of the file."""
        with self._writing:
            self._writer.close()
        with self._reading:
            self._reader.close()
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


def _own(connection: Connection) -> sqlite3.Connection:
    """Return SQLite's own connection below SQLAlchemy's."""
    own = connection.connection.driver_connection
    if not isinstance(own, sqlite3.Connection):
        raise TypeError(f"{own!r} is no connection to SQLite")
    return own


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction by itself: `_begin` does
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Begin; a writer takes the write lock at once, for one that reads first may find that it cannot get it later."""
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def _in_our_words(place: str) -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StorageError(
            f"the call ledger cannot be used: {reason}",
            where=place,
            fix="free disk space, check permissions, or restore the file; completions already in it are kept",
        ) from error
