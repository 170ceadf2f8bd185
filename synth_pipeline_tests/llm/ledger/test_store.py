"""A completion that was bought stays, whoever else writes; what the ledger cannot do it says."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synth_pipeline
from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.contracts.spending import Cost
from synth_pipeline.llm.ledger import Ledger, LedgerEntry, Note
from synth_pipeline_tests.llm.entries import entry
from synth_pipeline_tests.llm.ledger.changes import ANN, BOB, COST, FREE, SCHEMA, admit, failed, keep

ROOT = Path(synth_pipeline.__file__).parents[1]
FILL_A_SMALL_DISK = """
import resource, sys
from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.ledger.changes import keep
ledger = Ledger.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    for number in range(1000):
        ledger.apply([keep(f"k{number}", content="late " * 1000)])
except StorageError as error:
    print(number, error)
"""

TEXTS = st.text(st.characters(codec="utf-8"))
ENTRIES = st.builds(
    entry,
    content=st.none() | TEXTS,
    refusal=st.none() | TEXTS,
    messages=TEXTS,
    tokens_in=st.integers(0, 2**53),
    cost_usd=st.floats(0, 1e9),
    latency_s=st.floats(0, 1e9),
    provider_request_id=st.none() | TEXTS,
    partition=st.none() | TEXTS,
    tries=st.integers(1, 9),
    status=st.sampled_from(["received", "ok", "unparsable"]),
    reason=st.none() | TEXTS,
    parsed=st.none() | TEXTS,
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder' / 'ledger.sqlite'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with closing(Ledger.open(url)) as opened:
        yield opened


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Ledger]:
    with closing(Ledger.open("sqlite://")) as opened:
        yield opened


def query(url: str, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(sql).fetchall()


# ------------------------------------------------------------------------------------------ completions


@given(entries=st.lists(ENTRIES, max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_is_kept_is_found_as_it_was(in_memory: Ledger, entries: list[LedgerEntry]) -> None:
    named = {repr(bought): replace(bought, call_key=repr(bought)) for bought in entries}
    changes = [replace(keep(), entry=bought) for bought in named.values()]
    assert in_memory.apply(changes) == list(named.values())
    assert in_memory.find(list(named)) == named


def test_a_key_that_was_never_bought_is_not_found(ledger: Ledger) -> None:
    ledger.apply([keep("k0")])
    assert list(ledger.find(["k1", "k0"])) == ["k0"]
    assert ledger.find([]) == {}


def test_the_first_completion_under_a_key_stays_and_is_what_the_second_buyer_gets(ledger: Ledger) -> None:
    first, second = keep(content="first"), keep(holder=BOB, content="second")
    assert ledger.apply([first]) == [first.entry]
    assert ledger.apply([second]) == [first.entry]
    assert ledger.find(["k0"]) == {"k0": first.entry}


def test_an_answer_that_was_bought_twice_is_paid_twice_and_an_answer_kept_twice_once(url: str, ledger: Ledger) -> None:
    ledger.apply([keep(content="first"), keep(content="first")])
    assert query(url, "SELECT status, nano_usd FROM attempts") == [("received", 600)]
    ledger.apply([keep(holder=BOB, content="second")])
    assert query(url, "SELECT status, nano_usd FROM attempts") == [("received", 600), ("lost", 600)]
    assert {balance.spent for balance in ledger.balances()} == {Cost(1200, 120)}


def test_what_parsing_made_of_it_is_noted(ledger: Ledger) -> None:
    parsed = Note("k0", "ok", None, '{"note":"late"}')
    unparsable = Note("k1", "unparsable", "not JSON", None)
    ledger.apply([keep("k0"), keep("k1"), parsed])
    ledger.apply([unparsable, Note("k2", "ok")])
    assert ledger.find(["k0", "k1"]) == {
        "k0": entry(call_key="k0", status="ok", parsed='{"note":"late"}'),
        "k1": entry(call_key="k1", status="unparsable", reason="not JSON"),
    }


def test_a_schema_is_kept_once(url: str, ledger: Ledger) -> None:
    ledger.apply([keep("k0"), keep("k1")])
    with closing(Ledger.open(url)) as other:
        other.apply([keep("k2"), keep("k3", schema_sha256="2" * 64)])
    assert query(url, "SELECT * FROM schemas") == [("1" * 64, SCHEMA), ("2" * 64, SCHEMA)]


def test_every_attempt_is_a_row_with_its_status(url: str, ledger: Ledger) -> None:
    ledger.apply([admit(), failed(at_risk=Cost(1_000, 100), release=False), admit(), keep(), Note("k0", "ok")])
    rows = query(url, "SELECT call_key, status, nano_usd, tokens FROM attempts ORDER BY status")
    assert rows == [("k0", "ok", 600, 60), ("k0", "transient_error", 1_000, 100)]


def test_it_is_still_there_when_it_is_opened_again(url: str, ledger: Ledger) -> None:
    ledger.apply([keep()])
    with closing(Ledger.open(url)) as again:
        assert again.find(["k0"]) == {"k0": entry()}


def test_other_threads_may_use_the_ledger_at_once(in_memory: Ledger, ledger: Ledger) -> None:
    for one in (in_memory, ledger):
        keys = [f"thread {number}" for number in range(8)]
        threads = [threading.Thread(target=one.apply, args=([keep(key)],)) for key in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(one.find(keys)) == keys


def test_spending_is_summed_for_each_role_and_provider(ledger: Ledger) -> None:
    half, quarter = Cost(500_000_000, 0), Cost(250_000_000, 0)
    ledger.apply(
        [
            keep("k0", cost=half, tokens_in=10, tokens_out=1),
            keep("k1", cost=quarter, tokens_in=20, tokens_out=2),
            keep("k2", cost=half, provider="bert", tokens_in=40, tokens_out=4),
            keep("k3", cost=Cost(0, 0), recipe_role="parcels__flaw", tokens_in=80, tokens_out=8),
        ]
    )
    names = ("recipe_role", "provider", "calls", "tokens_in", "tokens_out", "cost_usd")
    assert [tuple(row[name] for name in names) for row in ledger.spending()] == [
        ("parcels__flaw", "anna", 1, 80, 8, 0.0),
        ("parcels__write", "anna", 2, 30, 3, 0.75),
        ("parcels__write", "bert", 1, 40, 4, 0.5),
    ]


def test_an_empty_ledger_has_spent_nothing(ledger: Ledger) -> None:
    assert ledger.spending() == []
    assert ledger.balances() == []
    assert ledger.apply([]) == []


# ------------------------------------------------------------------------------------------ faults


def test_a_full_disk_is_told_and_what_was_bought_before_stays(url: str) -> None:
    command = [sys.executable, "-c", FILL_A_SMALL_DISK, url]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout
    n_kept, _, message = told.partition(" ")
    assert message.startswith(f"{url}: the call ledger cannot be used: ")
    assert "\n  fix: free disk space, check permissions" in message
    with closing(Ledger.open(url)) as ledger:
        assert int(n_kept) > 0
        assert sum(row["calls"] for row in ledger.spending()) == int(n_kept)


def test_a_transaction_that_fails_changes_nothing(ledger: Ledger) -> None:
    with pytest.raises(StorageError, match=r"cannot be used: .*surrogates not allowed"):
        ledger.apply([admit("k1"), keep("k0"), keep("k2", content="half a character: \ud800")])
    assert ledger.find(["k0", "k2"]) == {}
    assert ledger.balances() == []
    ledger.apply([keep("k0")])
    assert [balance.spent for balance in ledger.balances()] == [COST] * len(FREE)


def test_a_schema_of_a_transaction_that_failed_is_written_with_the_next(url: str, ledger: Ledger) -> None:
    with pytest.raises(StorageError):
        ledger.apply([keep("k0", content="\ud800")])
    ledger.apply([keep("k0")])
    assert query(url, "SELECT schema FROM schemas") == [(SCHEMA,)]


def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    ledger.close()
    with pytest.raises(StorageError, match=r"cannot be used: .*closed"):
        ledger.apply([admit(holder=ANN)])
    with pytest.raises(StorageError, match=r"cannot be used: .*closed"):
        ledger.find(["k0"])


def test_a_file_that_is_no_ledger_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database " * 1000)
    told = r"notes\.txt: the call ledger cannot be used: file is not a database\n  fix:"
    with pytest.raises(StorageError, match=told):
        Ledger.open(f"sqlite:///{file}")
    assert file.read_text() == "no database " * 1000


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be used: .*(Not a directory|File exists)"):
        Ledger.open(f"sqlite:///{tmp_path / 'file' / 'ledger.sqlite'}")


def test_an_address_that_is_no_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(StorageError) as caught:
        Ledger.open("ann:secret@db")
    expected = "the call ledger's address is no URL\n  fix: set SYNTH_LEDGER_URL to sqlite:/// and the path of a file"
    assert str(caught.value).startswith(expected)
    assert "secret" not in str(caught.value)


def test_another_database_than_sqlite_is_refused_without_its_password() -> None:
    with pytest.raises(StorageError) as caught:
        Ledger.open("postgresql://ann:secret@db/ledger")
    assert str(caught.value).startswith("postgresql://ann:***@db/ledger: the call ledger can be kept in SQLite only\n")
