"""The database behind the assets, and the one place that opens it."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import duckdb
import polars as pl
from dagster_duckdb import DuckDBResource
from duckdb.sqltypes import DuckDBPyType
from pydantic import Field
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from synth_pipeline.contracts.errors import StorageError

FIRST_LOCK_WAIT_S, LONGEST_LOCK_WAIT_S = 0.02, 0.5
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
NO_EXTENSIONS = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
PASSWORD = re.compile(r"(?<=password=)('[^']*'|[^\s;&]+)|(?<=://)[^/@\s]+(?=@)", re.IGNORECASE)
TROUBLES = (duckdb.OperationalError, duckdb.FatalException, duckdb.InternalException)
FIXES = (
    ("could not set lock", "wait for that process or stop it, or raise `lock_wait_s`; then run again"),
    ("different configuration", "close the connections of this process that the store did not open"),
    ("no space left", "free space on its disk, then run again; the transaction was rolled back"),
    ("file too large", "move it to a disk without that limit; the transaction was rolled back"),
    ("not a valid duckdb", "name another file; delete this one only if it is empty or a leftover"),
    ("newer version", "upgrade duckdb, or name another file"),
)
OTHERWISE = "see that its disk is local, writable and sound, then run again; the transaction was rolled back"


class DuckDBStore(DuckDBResource):
    """Where the tables live: a DuckDB file, or a catalog that DuckDB attaches by its URI.

    `database` is a path, or a URI such as `ducklake:postgres:…`. A file is opened late and closed at once,
    because DuckDB locks it for the whole process; nothing is downloaded for it.
    """

    lock_wait_s: float = Field(default=300.0, description="Seconds to wait for whoever holds the file.")

    @contextmanager
    def connection(self, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection, closed on leaving; calls may nest, and threads take turns.

        Read-only, a database that does not exist yet has no tables. Inside a read-only connection none that
        writes can be opened.

        Raises:
            StorageError: the database is locked for too long, full, unreadable or not a database.
        """
        handle = _handle_of(self._address())
        with self._explained(), handle.turn(self.lock_wait_s), handle.cursor(self._open, read_only) as db:
            yield db

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that writes: Dagster's name for `connection()`."""
        with self.connection() as db:
            yield db

    def read(self, recipe: str, table: str, where: Mapping[str, object]) -> pl.DataFrame:
        """Return the rows of `<recipe>.<table>` whose columns equal `where`, in the order they were written.

        Args:
            recipe: the table's schema.
            table: the asset's name.
            where: value by column; None means null.

        Returns:
            A frame without columns where the table does not exist.

        Raises:
            StorageError: a name is not an identifier, or `where` names no column of the table.
        """
        name = table_name(recipe, table)
        with self.connection(read_only=True) as db:
            columns = column_types(db, recipe, table)
            if not columns:
                return pl.DataFrame()
            matches = _matches(name, columns, tuple(where))
            return self._rows(db, f"select * from {name} where {matches} order by rowid", [*where.values()])

    @property
    def shown_database(self) -> str:
        """The database as people may see it: relative to the working directory if below it, no password."""
        if self._is_uri():
            return PASSWORD.sub("***", self.database)
        path = Path(self._address())
        return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

    def _is_uri(self) -> bool:
        return re.match(r"[a-z_]{2,}:", self.database) is not None

    def _address(self) -> str:
        if self.database.startswith(":memory:") or not self.database:
            what = f"database {self.database!r} forgets everything between two steps"
            raise StorageError(what, fix="name a file, such as .synth/synth.duckdb")
        return self.database if self._is_uri() else str(Path(self.database).expanduser().resolve())

    def _open(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        address = self._address()
        if self._is_uri():
            return self._patiently()(duckdb.connect, address, config=self.connection_config)
        if read_only and not Path(address).exists():
            return duckdb.connect(":memory:")
        self._make_folder(Path(address).parent)
        config = {**NO_EXTENSIONS, **self.connection_config}
        return self._patiently()(duckdb.connect, address, read_only=read_only, config=config)

    def _patiently(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception(_is_locked),
            wait=wait_random_exponential(multiplier=FIRST_LOCK_WAIT_S, max=LONGEST_LOCK_WAIT_S),
            stop=stop_after_delay(self.lock_wait_s),
            reraise=True,
        )

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fix = "make the folder writable, or name a database elsewhere"
            raise StorageError(str(error), where=self.shown_database, fix=fix) from error

    def _rows(self, db: duckdb.DuckDBPyConnection, query: str, values: list[object]) -> pl.DataFrame:
        try:
            return db.sql(query, params=values).pl()
        except (duckdb.DataError, duckdb.ProgrammingError) as error:
            fix = "give single values of the columns' types"
            raise StorageError(_first_line(error), where=self.shown_database, fix=fix) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TROUBLES as error:
            message = PASSWORD.sub("***", _first_line(error))
            fix = next((fix for sign, fix in FIXES if sign in message.lower()), OTHERWISE)
            raise StorageError(message, where=self.shown_database, fix=fix) from error


class _Handle:
    """The only handle of this process on one database: DuckDB refuses a second with other settings."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._root: duckdb.DuckDBPyConnection | None = None
        self._read_only = False
        self._n_cursors = 0

    @contextmanager
    def turn(self, wait_s: float) -> Iterator[None]:
        """Wait for the other threads of this process."""
        if not self._lock.acquire(timeout=wait_s):
            what = f"another thread of this process has held the database for {wait_s:g} s"
            raise StorageError(what, fix="close the connection as soon as its query is done")
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def cursor(
        self, opened: Callable[[bool], duckdb.DuckDBPyConnection], read_only: bool
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a cursor of its own; the first opens the database and the last closes it."""
        if self._root is None:
            self._root, self._read_only = opened(read_only), read_only
        elif self._read_only and not read_only:
            what = "a connection that writes was asked for inside a read-only one"
            raise StorageError(what, fix="leave the read-only connection first")
        self._n_cursors += 1
        try:
            with self._root.cursor() as cursor:
                yield cursor
        finally:
            self._n_cursors -= 1
            if not self._n_cursors:
                self._root.close()
                self._root = None


_HANDLES: dict[str, _Handle] = {}
_HANDLES_LOCK = threading.Lock()


def _handle_of(address: str) -> _Handle:
    with _HANDLES_LOCK:
        return _HANDLES.setdefault(address, _Handle())


@contextmanager
def transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does; any error undoes all of it."""
    with ExitStack() as undo:
        undo.callback(_roll_back, db)
        db.begin()
        yield
        db.commit()
        undo.pop_all()


def _roll_back(db: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):  # DuckDB has rolled back by itself, or closing does it
        db.rollback()


def quoted(column: str) -> str:
    """Return a column's name as SQL."""
    return '"' + column.replace('"', '""') + '"'


def table_name(recipe: str, table: str) -> str:
    """Return `<recipe>.<table>` as SQL.

    Raises:
        StorageError: either is not a small letter followed by small letters, digits and underscores.
    """
    for name in (recipe, table):
        if not IDENTIFIER.fullmatch(name):
            fix = "use a small letter, then small letters, digits and underscores"
            raise StorageError(f"{name!r} cannot name a recipe or a table", fix=fix)
    return f"{quoted(recipe)}.{quoted(table)}"


def column_types(db: duckdb.DuckDBPyConnection, recipe: str, table: str) -> dict[str, DuckDBPyType]:
    """Return the DuckDB type of each column of `<recipe>.<table>`; empty where there is no such table."""
    name = table_name(recipe, table)
    here = "database_name = current_database() and schema_name = ? and table_name = ?"
    found = db.execute(f"select 1 from duckdb_tables() where {here}", [recipe, table]).fetchall()
    if not found:
        return {}
    nothing = db.sql(f"select * from {name} limit 0")
    return dict(zip(nothing.columns, nothing.types, strict=True))


def _matches(name: str, columns: Mapping[str, object], wanted: tuple[str, ...]) -> str:
    for column in wanted:
        if column not in columns:
            fix = f"name one of {', '.join(columns)}"
            raise StorageError(f"no column {column!r}", where=f"table {name}", fix=fix)
    terms = [f"{quoted(column)} is not distinct from ${n}" for n, column in enumerate(wanted, start=1)]
    return " and ".join(terms) or "true"


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, duckdb.OperationalError) and "could not set lock" in str(error).lower()


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]
