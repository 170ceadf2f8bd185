import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.backup import back_up, back_up_after_run
from synth_pipeline.llm.ledger.care.verify import verify
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline_tests.llm.ledger.care.purchases import keep, purchase, url_of


def count_calls(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("select count(*) from calls").fetchone()[0])


def test_a_backup_is_one_sound_file_with_all_calls(file: Path, tmp_path: Path) -> None:
    target = back_up(file, tmp_path / "deep" / "copy.sqlite")
    assert [path.name for path in target.parent.iterdir()] == ["copy.sqlite"]
    with closing(Database.open(url_of(target))) as copy:
        assert verify(copy).problems == ()
    assert count_calls(target) == 3


def test_what_is_committed_but_still_in_the_log_is_in_the_backup(file: Path, tmp_path: Path) -> None:
    with closing(Database.open(url_of(file))) as database:
        keep(Ledger(database), purchase("p7"))
        assert file.with_name("ledger.sqlite-wal").stat().st_size > 0
        assert count_calls(back_up(file, tmp_path / "copy.sqlite")) == 4


def test_a_backup_while_others_write_is_one_moment_of_the_ledger(file: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with closing(Ledger.open(url_of(file))) as ledger:
            for number in range(5000):
                if stop.is_set():
                    return
                keep(ledger, purchase(f"more{number}"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [back_up(file, tmp_path / f"copy{number}.sqlite") for number in range(5)]
    finally:
        stop.set()
        writer.join()
    for copy in copies:
        with closing(Database.open(url_of(copy))) as database:
            assert verify(database).problems == ()


def test_a_ledger_that_is_not_sound_is_not_backed_up_over_a_good_copy(file: Path, tmp_path: Path) -> None:
    target = back_up(file, tmp_path / "copy.sqlite")
    good = target.read_bytes()
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageError, match="the call ledger cannot be read: file is not a database"):
        back_up(file, target)
    assert target.read_bytes() == good
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "ledger.sqlite"]


def test_a_target_that_cannot_be_written_is_named(file: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match="taken"):
        back_up(file, tmp_path / "taken" / "copy.sqlite")


FULL = """
import resource, sys
from pathlib import Path
from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger.care.backup import back_up

resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # no file grows past it, as on a full disk
try:
    back_up(Path(sys.argv[1]), Path(sys.argv[2]))
except StorageError as error:
    print(error)
"""


def test_a_full_disk_leaves_no_half_copy(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "copy.sqlite"
    command = [sys.executable, "-c", FULL, str(file), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"{target}: cannot be written: ")
    assert "fix: free disk space" in done.stdout
    assert list(target.parent.iterdir()) == []


def test_the_last_three_backups_of_runs_are_kept(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    by_hand = back_up(file, folder / "by-hand-1.sqlite")
    made = []
    for number in range(5):
        with closing(Ledger.open(url_of(file))) as ledger:
            keep(ledger, purchase(f"more{number}"))
        made.append(back_up_after_run(file, folder))
    assert sorted(folder.iterdir()) == sorted([by_hand, *(path for path in made[-3:] if path)])
    assert count_calls(max(folder.glob("ledger-*"))) == 8


def test_nothing_is_backed_up_twice(file: Path, tmp_path: Path) -> None:
    assert back_up_after_run(file, tmp_path / "backups") is not None
    assert back_up_after_run(file, tmp_path / "backups") is None
    later = file.stat().st_mtime + 5
    os.utime(file, (later, later))
    assert back_up_after_run(file, tmp_path / "backups") is not None
