"""Backups of the ledger: whole copies, made while others write, looked through before they take their name."""

import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger.care.place import written_whole

KEPT, BUSY_S = 3, 60.0
AFTER_RUN, STAMP = "ledger-", "%Y%m%dT%H%M%S.%fZ"


def back_up(file: Path, target: Path) -> Path:
    """Return `target`, now a copy of the ledger as it was at one moment, in one file.

    Raises:
        StorageError: the ledger cannot be read, the copy is not sound, or the target cannot be written.
    """
    began = time.time()
    with written_whole(target) as draft:
        with closing(_connect(file)) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, with no log beside it
            faults = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
        if faults != ["ok"]:
            raise StorageError(
                f"the copy is not sound, so it is not kept: {'; '.join(faults)}",
                where=str(file),
                fix="`synth ledger verify` says more; restore an earlier backup",
            )
        _flush(draft)
        os.utime(draft, (began, began))  # what is written to the ledger from here on is newer than the backup
    return target


def back_up_after_run(file: Path, folder: Path) -> Path | None:
    """Return a new backup in `folder`, of which the last three are kept; None where nothing was written since the last.

    Raises:
        StorageError: as `back_up`.
    """
    made = _automatic(folder)
    if made and made[-1].stat().st_mtime >= _last_written(file):
        return None
    stamp = datetime.now(UTC).strftime(STAMP)
    target = back_up(file, folder / f"{AFTER_RUN}{stamp}.sqlite")
    for old in _automatic(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return target


def _connect(file: Path) -> sqlite3.Connection:
    """Return a connection to a ledger that is there and can be read."""
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=BUSY_S)
        connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        fix = "free disk space, check permissions, or restore an earlier backup"
        raise StorageError(f"the call ledger cannot be read: {error}", where=str(file), fix=fix) from error
    return connection


def _automatic(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{AFTER_RUN}[0-9]*.sqlite"))


def _last_written(file: Path) -> float:
    log = file.with_name(f"{file.name}-wal")
    return max(one.stat().st_mtime for one in (file, log) if one.exists())


def _flush(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
