"""Where a ledger's file is, and what its faults are called."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from synth_pipeline.contracts.errors import InputError, StorageError

IN_MEMORY = (None, "", ":memory:")


def ledger_file(url: str) -> Path | None:
    """Return the file that a ledger's URL names; None where the ledger is kept in memory, or the URL is none."""
    try:
        database = make_url(url).database
    except ArgumentError:
        return None
    return None if database in IN_MEMORY else Path(str(database))


def require_ledger_file(url: str) -> Path:
    """Return the ledger's file.

    Raises:
        InputError: there is none yet, or the URL names none.
    """
    file = ledger_file(url)
    if file is None or not file.is_file():
        raise InputError(
            "there is no call ledger yet",
            where=str(file) if file else "SYNTH_LEDGER_URL",
            fix="`synth run` makes one with its first call; SYNTH_LEDGER_URL or SYNTH_DATA_DIR names another place",
        )
    return file


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yield a file beside `target` to write to, which takes its place at the end; nothing is left after a failure.

    Raises:
        StorageError: the folder cannot be written to, or the disk is full.
    """
    draft = target.with_name(f".{target.name}.draft")
    with _in_our_words(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
    try:
        with _in_our_words(target):
            yield draft
            draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _in_our_words(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"cannot be written: {error}", where=str(target), fix="free disk space, or name another place"
        ) from error
