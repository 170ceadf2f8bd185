"""The call ledger: every completion bought, by its call key, kept before it is parsed; and who may buy what."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from sqlalchemy import func, select

from synth_pipeline.contracts.spending import NANO
from synth_pipeline.llm.ledger.audit import Balance, read_balances
from synth_pipeline.llm.ledger.batches import Batches
from synth_pipeline.llm.ledger.books import Books
from synth_pipeline.llm.ledger.changes import Change, Outcome, Release
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.entries import LedgerEntry
from synth_pipeline.llm.ledger.holders import Holder, is_dead
from synth_pipeline.llm.ledger.tables import CALLS


class Ledger:
    """A call ledger in a SQLite file, for all threads of this process and all processes of this machine.

    Raises:
        StorageError: from every method, where the ledger cannot be opened, read or written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._schemas: set[str] = set()  # hashes of schemas that are known to be in the ledger
        self.batches = Batches(database, self.apply)

    @classmethod
    def open(cls, url: str) -> Self:
        """Return the ledger at an SQLAlchemy URL, made where there is none; `sqlite://` keeps it in memory.

        A ledger of an older layout is brought to today's; what holders had claimed that are dead by now is given up.
        """
        ledger = cls(Database.open(url))
        ledger._bury_the_dead()
        ledger.batches.drop_unsent()
        return ledger

    def find(self, keys: Sequence[str]) -> dict[str, LedgerEntry]:
        """Return the completions with these keys; a key that was never bought is not there."""
        with self._database.reading_rows() as rows:
            return rows.entries(keys)

    def apply(self, changes: Sequence[Change]) -> list[Outcome]:
        """Return what came of each change: taken in their order, in one transaction, durable against a killed process.

        Where it fails, no change was made.
        """
        if not changes:
            return []
        with self._database.writing_rows() as rows:
            books = Books(rows, changes)
            outcomes = [books.take(change) for change in changes]
            books.write()
            new = {sha256: text for sha256, text in books.schemas.items() if sha256 not in self._schemas}
            rows.add_schemas(new.items())
        self._schemas.update(new)
        return outcomes

    def register(self, holder: Holder) -> None:
        """Make a holder known, so that others can see whether it lives."""
        self.beat(holder)

    def beat(self, holder: Holder) -> None:
        """Record that a holder lives; due every 2 seconds, as another machine takes 30 seconds' silence for death."""
        with self._database.writing_rows() as rows:
            rows.set_holder(holder, time.time())

    def leave(self, holder: Holder) -> None:
        """Give back all that a holder has claimed, and forget it: it has nothing under way."""
        with self._database.writing_rows() as rows:
            releases = [Release(key, holder.name) for key in rows.claims_of([holder.name])]
            books = Books(rows, releases)
            for release in releases:
                books.take(release)
            books.write()
            rows.drop_holders([holder.name])

    def spending(self) -> list[Mapping[str, Any]]:
        """Return calls, tokens and dollars for each recipe's role and provider, in their order."""
        query = (
            select(
                CALLS.c.recipe_role,
                CALLS.c.provider,
                func.count().label("calls"),
                func.sum(CALLS.c.tokens_in).label("tokens_in"),
                func.sum(CALLS.c.tokens_out).label("tokens_out"),
                (func.sum(CALLS.c.nano_usd) / float(NANO)).label("cost_usd"),
            )
            .group_by(CALLS.c.recipe_role, CALLS.c.provider)
            .order_by(CALLS.c.recipe_role, CALLS.c.provider)
        )
        with self._database.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def balances(self) -> list[Balance]:
        """Return what each scope has spent and reserved, as it is kept and as it is summed from the rows."""
        with self._database.reading() as connection:
            return read_balances(connection)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _bury_the_dead(self) -> None:
        with self._database.reading_rows() as rows:
            now = time.time()
            all_live = not any(is_dead(holder, now - beat_at) for holder, beat_at in rows.holders())
        if all_live:
            return
        with self._database.writing_rows() as rows:
            books = Books(rows)
            books.bury_the_dead()
            books.write()
