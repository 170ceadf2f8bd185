"""The database opens late, closes at once, waits its turn, and says what is wrong."""

import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
import pytest

from synth_pipeline.components.store import DuckDBStore, transaction
from synth_pipeline.contracts.errors import StorageError

HOLD = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
DELETE_AND_HANG = """
import duckdb, sys
db = duckdb.connect(sys.argv[1]).begin()
db.execute("delete from evidence.ontology where provider = 'anna'")
print('held', flush=True)
sys.stdin.read()
"""
SMALL_DISK_BYTES = 3_000_000
TOO_MUCH = "insert into evidence.ontology select md5(range::text), range from range(1000000)"


@pytest.fixture
def store(tmp_path: Path) -> DuckDBStore:
    return DuckDBStore(database=str(tmp_path / "folder" / "synth.duckdb"), lock_wait_s=20)


@pytest.fixture
def filled(store: DuckDBStore) -> DuckDBStore:
    """Three rows of evidence.ontology; bert's seed is null."""
    with store.connection() as db:
        db.execute("create schema evidence")
        db.execute("create table evidence.ontology (provider varchar, seed bigint)")
        db.execute("insert into evidence.ontology values ('zoe', 1), ('anna', 0), ('bert', null)")
    return store


@contextmanager
def holder(code: str, database: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the database until its input closes."""
    command = [sys.executable, "-c", code, database]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def opening(store: DuckDBStore, read_only: bool = False) -> str:
    """What the store says when it is asked for a connection that it cannot give."""
    with pytest.raises(StorageError) as caught, store.connection(read_only):
        pytest.fail("it opened")
    return str(caught.value)


def providers(store: DuckDBStore, **where: object) -> list[str]:
    return store.read("evidence", "ontology", where)["provider"].to_list()


def test_reading_before_anything_was_written_gives_a_frame_without_columns(store: DuckDBStore) -> None:
    assert store.read("evidence", "ontology", {}).shape == (0, 0)
    assert not Path(store.database).parent.exists()


def test_reading_a_table_that_does_not_exist_gives_a_frame_without_columns(filled: DuckDBStore) -> None:
    assert filled.read("evidence", "sampling_plan", {"seed": 0}).shape == (0, 0)


def test_rows_come_back_in_the_order_they_were_written(filled: DuckDBStore) -> None:
    expected = pl.DataFrame({"provider": ["zoe", "anna", "bert"], "seed": [1, 0, None]})
    assert filled.read("evidence", "ontology", {}).equals(expected)


def test_where_keeps_the_rows_whose_columns_equal_its_values(filled: DuckDBStore) -> None:
    assert providers(filled, seed=0) == ["anna"]
    assert providers(filled, seed="0", provider="anna") == ["anna"]
    assert providers(filled, seed=None) == ["bert"]
    assert providers(filled, seed=0, provider="zoe") == []


def test_a_value_is_never_read_as_sql(filled: DuckDBStore) -> None:
    assert providers(filled, provider="' or 1=1; drop table evidence.ontology; --") == []
    assert len(providers(filled)) == 3


@pytest.mark.parametrize("name", ["", "Evidence", "1a", 'a"; drop table b', "a.b", "_a", "a\n"])
def test_a_name_that_is_no_identifier_is_refused(store: DuckDBStore, name: str) -> None:
    with pytest.raises(StorageError, match="cannot name a recipe or a table"):
        store.read(name, "ontology", {})
    with pytest.raises(StorageError, match="use a small letter, then small letters, digits and underscores"):
        store.read("evidence", name, {})


def test_a_column_that_the_table_lacks_is_refused_with_those_it_has(filled: DuckDBStore) -> None:
    with pytest.raises(StorageError, match=r"no column 'nobody'\n  fix: name one of provider, seed"):
        filled.read("evidence", "ontology", {"nobody": 1})


@pytest.mark.parametrize("value", ["one", [0, 1]])
def test_a_value_of_another_type_is_refused(filled: DuckDBStore, value: object) -> None:
    with pytest.raises(StorageError, match="give single values of the columns' types"):
        filled.read("evidence", "ontology", {"seed": value})


def test_an_error_inside_a_transaction_undoes_all_of_it(filled: DuckDBStore) -> None:
    def fail() -> None:
        with filled.connection() as db, transaction(db):
            db.execute("delete from evidence.ontology")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(providers(filled)) == 3


def test_dagsters_own_name_for_a_connection_goes_through_the_store(filled: DuckDBStore) -> None:
    with filled.connection(), filled.get_connection() as db:
        db.execute("delete from evidence.ontology where seed is null")
    assert providers(filled) == ["zoe", "anna"]


def test_reading_inside_a_transaction_sees_what_was_committed_before(filled: DuckDBStore) -> None:
    with filled.connection() as db, transaction(db):
        db.execute("delete from evidence.ontology")
        assert len(providers(filled)) == 3
    assert providers(filled) == []


def test_writing_inside_a_read_only_connection_is_refused(filled: DuckDBStore) -> None:
    with filled.connection(read_only=True):
        assert "fix: leave the read-only connection first" in opening(filled)
    with filled.connection() as db:
        assert db.execute("select count(*) from evidence.ontology").fetchall() == [(3,)]


def test_threads_that_read_and_write_take_turns(filled: DuckDBStore) -> None:
    def work(seed: int) -> list[str]:
        for _ in range(5):
            with filled.connection() as db:
                db.execute("insert into evidence.ontology values ('carl', ?)", [10 + seed])
        return providers(filled, seed=10 + seed)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == [["carl"] * 5] * 4


def test_a_thread_that_holds_the_database_for_too_long_is_told_of(filled: DuckDBStore) -> None:
    hasty = DuckDBStore(database=filled.database, lock_wait_s=0.1)
    with filled.connection(), ThreadPoolExecutor(1) as other_thread:
        message = other_thread.submit(opening, hasty).result()
    assert message.startswith("another thread of this process has held the database for 0.1 s")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_database_that_stays_locked_names_the_process_that_holds_it(filled: DuckDBStore, read_only: bool) -> None:
    with holder(HOLD, filled.database) as process:
        message = opening(DuckDBStore(database=filled.database, lock_wait_s=0.2), read_only)
        assert f"PID {process.pid})" in message
        assert "fix: wait for that process or stop it" in message


def test_a_database_that_is_let_go_in_time_is_opened(filled: DuckDBStore) -> None:
    with holder(HOLD, filled.database) as process:
        timer = threading.Timer(0.4, process.kill)
        timer.start()
        assert len(providers(filled)) == 3
        timer.join()


def test_a_writer_killed_between_its_delete_and_its_insert_has_changed_nothing(filled: DuckDBStore) -> None:
    with holder(DELETE_AND_HANG, filled.database) as process:
        process.kill()
        process.wait()
    assert providers(filled) == ["zoe", "anna", "bert"]


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process may grow past a few megabytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_undoes_the_write_and_says_so(filled: DuckDBStore) -> None:
    def overfill() -> None:
        with filled.connection() as db, transaction(db):
            db.execute("delete from evidence.ontology")
            db.execute(TOO_MUCH)

    with pytest.raises(StorageError, match=r"File too large\n  fix: move it to a disk .* was rolled back"):
        overfill()
    assert providers(filled) == ["zoe", "anna", "bert"]


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database " * 1000)
    with pytest.raises(StorageError, match=r"notes\.txt[\s\S]*fix: name another file"):
        DuckDBStore(database=str(path)).read("evidence", "ontology", {})


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = DuckDBStore(database=str(tmp_path / "file" / "synth.duckdb"))
    assert "fix: make the folder writable, or name a database elsewhere" in opening(store)


def test_a_database_in_memory_is_refused() -> None:
    message = "database ':memory:' forgets everything between two steps\n  fix: name a file"
    assert opening(DuckDBStore(database=":memory:")).startswith(message)


def test_a_connection_past_the_store_is_named(filled: DuckDBStore) -> None:
    with duckdb.connect(filled.database), pytest.raises(StorageError, match="that the store did not open"):
        providers(filled)


def test_a_file_never_makes_duckdb_fetch_an_extension(store: DuckDBStore) -> None:
    with store.connection() as db:
        settings = "current_setting('autoload_known_extensions'), current_setting('autoinstall_known_extensions')"
        assert db.execute(f"select {settings}").fetchall() == [(False, False)]


def test_the_database_is_shown_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert DuckDBStore(database=".synth/synth.duckdb").shown_database == ".synth/synth.duckdb"
    assert DuckDBStore(database="/elsewhere/synth.duckdb").shown_database == "/elsewhere/synth.duckdb"


@pytest.mark.parametrize(
    ("database", "shown"),
    [
        (
            "ducklake:postgres:dbname=lake password=secret host=db",
            "ducklake:postgres:dbname=lake password=*** host=db",
        ),
        ("ducklake:postgres:password='my secret' host=db", "ducklake:postgres:password=*** host=db"),
        ("ducklake:postgres://ann:secret@db/lake", "ducklake:postgres://***@db/lake"),
    ],
)
def test_a_password_is_never_shown(database: str, shown: str) -> None:
    assert DuckDBStore(database=database).shown_database == shown
