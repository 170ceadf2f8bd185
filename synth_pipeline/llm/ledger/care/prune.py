"""Taking out of the ledger what is not wanted any more; what it cost stays counted."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    delete,
    false,
    func,
    inspect,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.schema import CreateTable

from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.contracts.spending import Cost
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.tables import CALLS, TRIES

PRUNED = Table(  # one row per scope: what pruned rows had cost it, so that its total still adds up
    "pruned",
    MetaData(),
    Column("scope", Text, primary_key=True),
    Column("nano_usd", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
)
BUSY_S = 60.0


@dataclass(frozen=True)
class Choice:
    """Which rows; all that is given must hold. Without anything given it means no call, or every try.

    Args:
        failed_tries: the tries that brought nothing, in place of calls.
        recipe: bought for this recipe; None: for any.
        before: ended before this time, ISO 8601 in UTC; None: at any.
        current: SHA-256 of each template as it is now, by its path: calls by another text of it; None: by any.
    """

    failed_tries: bool = False
    recipe: str | None = None
    before: str | None = None
    current: Mapping[str, str] | None = None

    @property
    def table(self) -> Table:
        """Where the rows are."""
        return TRIES if self.failed_tries else CALLS

    def condition(self) -> ColumnElement[bool]:
        """Return it as an SQL condition."""
        table, ended = self.table, TRIES.c.failed_at if self.failed_tries else CALLS.c.completed_at
        conditions = [
            *([] if self.recipe is None else [table.c.recipe == self.recipe]),
            *([] if self.before is None else [ended < self.before]),
            *([] if self.current is None or self.failed_tries else [_superseded(self.current)]),
        ]
        return and_(true(), *conditions) if conditions or self.failed_tries else false()


@dataclass(frozen=True)
class PruneReport:
    """What was pruned, or would be.

    Args:
        rows: one row per recipe's role and provider: how many, and what they had cost.
        n: how many in all.
        cost_usd: what buying the calls again would cost; for tries: what they may have cost.
    """

    rows: Sequence[Mapping[str, Any]]
    n: int
    cost_usd: float


def list_templates(database: Database) -> list[str]:
    """Return the path of every template that a call was made by."""
    with database.reading() as connection:
        return list(connection.scalars(select(CALLS.c.template).distinct().order_by(CALLS.c.template)))


def count_prunable(database: Database, choice: Choice) -> PruneReport:
    """Return what would be pruned.

    Raises:
        StorageError: the ledger cannot be read.
    """
    with database.reading() as connection:
        return _count(connection, choice)


def prune(database: Database, file: Path, choice: Choice) -> PruneReport:
    """Return what was pruned; the file is made smaller.

    What the rows had cost stays in the totals of their scopes: a cap still knows what was spent.

    Raises:
        StorageError: the ledger cannot be written; nothing is pruned then.
    """
    with database.writing() as connection:
        report = _count(connection, choice)
        _remember(connection, _costs(connection, choice))
        connection.execute(delete(choice.table).where(choice.condition()))
    _shrink(file)
    return report


def read_pruned(connection: Connection) -> dict[str, Cost]:
    """Return what pruned rows had cost each scope."""
    if not inspect(connection).has_table(PRUNED.name):
        return {}
    return {row.scope: Cost(row.nano_usd, row.tokens) for row in connection.execute(select(PRUNED))}


def _superseded(current: Mapping[str, str]) -> ColumnElement[bool]:
    by_path = [and_(CALLS.c.template == path, CALLS.c.template_sha256 != sha) for path, sha in sorted(current.items())]
    return or_(false(), *by_path)


def _count(connection: Connection, choice: Choice) -> PruneReport:
    table = choice.table
    by = (table.c.recipe_role, table.c.provider)
    sums = (func.count().label("n"), func.sum(table.c.nano_usd).label("nano_usd"))
    query = select(*by, *sums).where(choice.condition()).group_by(*by).order_by(*by)
    found = connection.execute(query).all()
    rows = [
        {"recipe_role": role, "provider": provider, "n": n, "cost_usd": Cost(nano, 0).usd}
        for role, provider, n, nano in found
    ]
    return PruneReport(rows, sum(row.n for row in found), Cost(sum(row.nano_usd for row in found), 0).usd)


def _costs(connection: Connection, choice: Choice) -> dict[str, Cost]:
    """Return what the rows had cost each scope that they are booked under."""
    table, nano_usd, tokens = choice.table, Counter[str](), Counter[str]()
    sums = (func.sum(table.c.nano_usd), func.sum(table.c.tokens))
    for scopes, nano, n in connection.execute(
        select(table.c.scopes, *sums).where(choice.condition()).group_by(table.c.scopes)
    ):
        for scope in json.loads(scopes):
            nano_usd[scope] += nano
            tokens[scope] += n
    return {scope: Cost(nano_usd[scope], tokens[scope]) for scope in nano_usd}


def _remember(connection: Connection, costs: Mapping[str, Cost]) -> None:
    connection.execute(CreateTable(PRUNED, if_not_exists=True))
    for scope, cost in costs.items():
        row = insert(PRUNED).values(scope=scope, nano_usd=cost.nano_usd, tokens=cost.tokens)
        more = {
            "nano_usd": PRUNED.c.nano_usd + row.excluded.nano_usd,
            "tokens": PRUNED.c.tokens + row.excluded.tokens,
        }
        connection.execute(row.on_conflict_do_update(index_elements=["scope"], set_=more))


def _shrink(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StorageError(
            f"pruned, but the file could not be made smaller: {error}",
            where=str(file),
            fix="let other programs end, free disk space of the file's size, and prune again",
        ) from error
