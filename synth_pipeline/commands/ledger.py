"""`synth ledger`: what the call ledger holds, and care for its file."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from synth_pipeline.components.backups import BACKUPS
from synth_pipeline.components.places import find_places, find_project_folder
from synth_pipeline.contracts.errors import InputError
from synth_pipeline.llm.batches.collecting import give_up
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.accounts import Accounts, CallReport, read_accounts, read_call
from synth_pipeline.llm.ledger.care.backup import back_up
from synth_pipeline.llm.ledger.care.export import Filter, export_calls
from synth_pipeline.llm.ledger.care.place import ledger_file, require_ledger_file
from synth_pipeline.llm.ledger.care.prune import Choice, PruneReport, count_prunable, list_templates, prune
from synth_pipeline.llm.ledger.care.verify import Verification, verify
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.prompts import find_prompts_folder

STAMP = "%Y%m%dT%H%M%S.%fZ"
AGE, UNITS = re.compile(r"^(\d{1,4})([hdw])$"), {"h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class PruneRequest:
    """What `synth ledger prune` was asked.

    Args:
        superseded: calls by a text of a template that is not its text now.
        recipe: rows of this recipe.
        older_than: rows older than this: a number with h, d or w.
        failed_tries: tries that brought nothing, in place of calls.
        really: prune, do not only count.
    """

    superseded: bool = False
    recipe: str | None = None
    older_than: str | None = None
    failed_tries: bool = False
    really: bool = False


@dataclass(frozen=True)
class Pruning:
    """What `synth ledger prune` did, or would do.

    Args:
        what: `calls` or `failed tries`.
        report: how many, and what they had cost.
        done: whether they are gone.
        backup: the backup that was made before; None: none was, as nothing is gone.
        unknown: templates that calls were made by and that are no longer there.
        bytes: the ledger's size now.
    """

    what: str
    report: PruneReport
    done: bool
    backup: Path | None
    unknown: tuple[str, ...]
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        named = {name: value for name, value in asdict(self).items() if name != "report"}
        return {**named, **asdict(self.report)}


@contextmanager
def open_database(*, missing_ok: bool = False) -> Iterator[Database | None]:
    """Yield the ledger's database; None, and no file made, where there is none yet and that is right.

    Raises:
        InputError: there is none yet.
        StorageError: it cannot be opened.
    """
    url = find_places().ledger_url
    file = ledger_file(url)
    if missing_ok and (file is None or not file.is_file()):
        yield None
        return
    require_ledger_file(url)
    with closing(Database.open(url)) as database:
        yield database


def read_spending() -> list[Mapping[str, Any]]:
    """Return what was spent by recipe's role and provider; nothing, and no file made, where there is no ledger yet."""
    with open_database(missing_ok=True) as database:
        return Ledger(database).spending() if database else []


@contextmanager
def _opened() -> Iterator[tuple[Database, Path]]:
    os.chdir(find_project_folder())
    url = find_places().ledger_url
    file = require_ledger_file(url)
    with closing(Database.open(url)) as database:
        yield database, file


def show_ledger(recipe: str | None) -> Accounts:
    """Return what the ledger holds and what was spent, of one recipe or of all.

    Raises:
        InputError: there is no ledger yet.
        StorageError: it cannot be read.
    """
    with _opened() as (database, file):
        return read_accounts(database, file, recipe)


def show_call(key: str) -> CallReport:
    """Return one call in full.

    Raises:
        InputError: there is no ledger yet, or no one call of that key.
        StorageError: it cannot be read.
    """
    with _opened() as (database, _):
        return read_call(database, key)


def export_ledger(target: str, chosen: Filter, *, overwrite: bool) -> tuple[Path, int]:
    """Return the file that calls were written to, and how many.

    Raises:
        InputError: there is no ledger yet, or the target or the filter is wrong.
        StorageError: the ledger cannot be read, or the target not written.
    """
    file = Path(target).expanduser().resolve()
    with _opened() as (database, _):
        return file, export_calls(database, file, chosen, overwrite=overwrite)


def prune_ledger(request: PruneRequest) -> Pruning:
    """Return what was pruned, after a backup; or what would be.

    Raises:
        InputError: there is no ledger yet, nothing was chosen, or an age is none.
        StorageError: the ledger or its backup cannot be written.
    """
    with _opened() as (database, file):
        choice, unknown = _choose(request, database)
        report, backup = count_prunable(database, choice), None
        if request.really and report.n:
            stamp = datetime.now(UTC).strftime(STAMP)
            backup = back_up(file, find_places().data / BACKUPS / f"before-prune-{stamp}.sqlite")
            report = prune(database, file, choice)
        what = "failed tries" if request.failed_tries else "calls"
        return Pruning(what, report, backup is not None, backup, unknown, file.stat().st_size)


def verify_ledger() -> Verification:
    """Return what is wrong with the ledger.

    Raises:
        InputError: there is no ledger yet.
        StorageError: it cannot be read at all.
    """
    with _opened() as (database, _):
        return verify(database)


def back_up_ledger(target: str | None) -> Path:
    """Return the backup that was made.

    Raises:
        InputError: there is no ledger yet, or the file is there already.
        StorageError: the ledger cannot be read, or the target not written.
    """
    named = Path(target).expanduser().resolve() if target else None
    os.chdir(find_project_folder())
    file = require_ledger_file(find_places().ledger_url)
    if named and named.exists():
        raise InputError("the file is there already", where=str(named), fix="name another")
    stamp = datetime.now(UTC).strftime(STAMP)
    return back_up(file, named or find_places().data / BACKUPS / f"by-hand-{stamp}.sqlite")


def _choose(request: PruneRequest, database: Database) -> tuple[Choice, tuple[str, ...]]:
    """Return which rows are meant, and the templates of which nobody can say whether they are superseded."""
    if not any((request.superseded, request.recipe, request.older_than, request.failed_tries)):
        fix = "add --superseded, --recipe NAME, --older-than 90d or --failed-tries; several narrow it"
        raise InputError("nothing was chosen", where="synth ledger prune", fix=fix)
    if request.superseded and request.failed_tries:
        raise InputError("--superseded is for calls", where="--failed-tries", fix="prune the two one after the other")
    current, unknown = _current_templates(list_templates(database)) if request.superseded else (None, ())
    before = _cutoff(request.older_than) if request.older_than else None
    return Choice(request.failed_tries, request.recipe, before, current), unknown


def _current_templates(paths: Sequence[str]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the hash of each template as it is now, and the paths at which there is none any more."""
    folder = find_prompts_folder()
    there = {path: folder / path for path in paths if (folder / path).is_file()}
    current = {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in there.items()}
    return current, tuple(path for path in paths if path not in there)


def _cutoff(age: str) -> str:
    read = AGE.match(age)
    if read is None:
        raise InputError(f"{age!r} is no age", where="--older-than", fix="write a number with h, d or w, such as 90d")
    moment = datetime.now(UTC) - timedelta(**{UNITS[read[2]]: int(read[1])})
    return moment.isoformat(timespec="milliseconds")


def list_batches() -> list[dict[str, Any]]:
    """Return the batches that are not finished: what they hold, since when, and how many of their calls still wait.

    Raises:
        InputError: there is no ledger yet.
        StorageError: it cannot be read.
    """
    with _opened() as (database, _):
        batches = Ledger(database).batches
        return [
            {
                "batch": one.key,
                "provider": one.provider,
                "model": one.model,
                "recipe": one.recipe,
                "partition": one.partition,
                "status": one.status,
                "calls": one.n_calls,
                "waiting": batches.count_waiting(one),
                "submitted": one.submitted_at,
                "remote_id": one.remote_id,
            }
            for one in batches.under_way()
        ]


def give_up_batch(key: str) -> float:
    """Return the US dollars that a batch may have cost which its provider has lost; its calls may be bought anew.

    Raises:
        InputError: no such batch is under way, or a process sees to it.
        StorageError: the ledger cannot be written.
    """
    with _opened() as (database, _):
        return give_up(Ledger(database), key).usd
