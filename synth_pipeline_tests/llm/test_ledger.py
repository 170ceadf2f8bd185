"""A completion that was bought stays, whoever else writes and whoever dies."""

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synth_pipeline
from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger import Ledger, LedgerEntry
from synth_pipeline_tests.llm.entries import entry

N_PROCESSES, N_ENTRIES = 5, 20
ROOT = Path(synth_pipeline.__file__).parents[1]
APPEND_AND_DIE = """
import os, signal, sys
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.entries import entry
Ledger.open(sys.argv[1]).append(entry())
os.kill(os.getpid(), signal.SIGKILL)
"""
FILL_A_SMALL_DISK = """
import resource, sys
from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.entries import entry
ledger = Ledger.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for number in range(1000):
        ledger.append(entry(call_key=f"k{number}", content="late " * 1000))
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
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder' / 'ledger.sqlite'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = Ledger.open(url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Ledger]:
    opened = Ledger.open("sqlite://")
    yield opened
    opened.close()


def append_all(url: str, writer: int, begin: Any, kept: Any) -> None:
    """Append entries of one's own and one that all writers share; tell which of the shared ones is kept."""
    begin.wait()
    ledger = Ledger.open(url)
    for number in range(N_ENTRIES):
        ledger.append(entry(call_key=f"{writer}.{number}"))
    kept.put(ledger.append(entry(call_key="shared", content=f"by {writer}")).content)
    ledger.close()


def run(code: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, url], cwd=ROOT, capture_output=True, text=True, check=False)


@given(entries=st.lists(ENTRIES, max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_is_appended_is_found_as_it_was(in_memory: Ledger, entries: list[LedgerEntry]) -> None:
    for bought in entries:
        named = replace(bought, call_key=repr(bought))
        assert in_memory.append(named) == named
        assert in_memory.find(named.call_key) == named


def test_a_key_that_was_never_bought_is_not_found(ledger: Ledger) -> None:
    ledger.append(entry(call_key="k0"))
    assert ledger.find("k1") is None


def test_the_first_completion_under_a_key_stays_and_is_what_the_second_buyer_gets(ledger: Ledger) -> None:
    first, second = entry(content="first"), entry(content="second")
    assert ledger.append(first) == first
    assert ledger.append(second) == first
    assert ledger.find("k0") == first


def test_it_is_still_there_when_it_is_opened_again(url: str, ledger: Ledger) -> None:
    ledger.append(entry())
    again = Ledger.open(url)
    assert again.find("k0") == entry()
    again.close()


def test_a_completion_outlives_the_process_that_was_killed_after_it(url: str, ledger: Ledger) -> None:
    assert run(APPEND_AND_DIE, url).returncode == -9
    assert ledger.find("k0") == entry()


def test_processes_may_open_and_fill_one_new_ledger_at_once_and_agree_on_what_they_share(url: str) -> None:
    process = multiprocessing.get_context("forkserver")
    process.set_forkserver_preload([__name__])
    begin, kept = process.Event(), process.Queue()
    writers = [process.Process(target=append_all, args=(url, number, begin, kept)) for number in range(N_PROCESSES)]
    for writer in writers:
        writer.start()
    begin.set()
    shared = {kept.get(timeout=60) for _ in writers}
    for writer in writers:
        writer.join(timeout=60)
    kept.close()
    assert [writer.exitcode for writer in writers] == [0] * N_PROCESSES
    assert len(shared) == 1
    ledger = Ledger.open(url)
    assert [row["calls"] for row in ledger.spending()] == [N_PROCESSES * N_ENTRIES + 1]
    ledger.close()


def test_another_thread_may_use_the_ledger(ledger: Ledger) -> None:
    thread = threading.Thread(target=ledger.append, args=(entry(),))
    thread.start()
    thread.join()
    assert ledger.find("k0") == entry()


def test_spending_is_summed_for_each_role_and_provider(ledger: Ledger) -> None:
    ledger.append(entry(call_key="k0", tokens_in=10, tokens_out=1, cost_usd=0.5))
    ledger.append(entry(call_key="k1", tokens_in=20, tokens_out=2, cost_usd=0.25))
    ledger.append(entry(call_key="k2", provider="bert", tokens_in=40, tokens_out=4, cost_usd=2.0))
    ledger.append(entry(call_key="k3", recipe_role="parcels__flaw", tokens_in=80, tokens_out=8, cost_usd=0.0))
    names = ("recipe_role", "provider", "calls", "tokens_in", "tokens_out", "cost_usd")
    assert [tuple(row[name] for name in names) for row in ledger.spending()] == [
        ("parcels__flaw", "anna", 1, 80, 8, 0.0),
        ("parcels__write", "anna", 2, 30, 3, 0.75),
        ("parcels__write", "bert", 1, 40, 4, 2.0),
    ]


def test_an_empty_ledger_has_spent_nothing(ledger: Ledger) -> None:
    assert ledger.spending() == []


def test_a_full_disk_is_told_and_what_was_bought_before_stays(url: str) -> None:
    told = run(FILL_A_SMALL_DISK, url).stdout
    n_kept, _, message = told.partition(" ")
    assert message.startswith(f"{url}: the call ledger cannot be used: ")
    assert "\n  fix: free disk space, check permissions" in message
    ledger = Ledger.open(url)
    assert int(n_kept) > 0
    assert sum(row["calls"] for row in ledger.spending()) == int(n_kept)
    ledger.close()


def test_a_file_that_is_no_ledger_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database " * 1000)
    with pytest.raises(
        StorageError, match=r"notes\.txt: the call ledger cannot be used: file is not a database\n  fix:"
    ):
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
