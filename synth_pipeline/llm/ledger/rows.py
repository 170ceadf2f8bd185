"""The ledger's rows: statements compiled once, each of which reads or writes all rows of a transaction at a time.

SQLAlchemy writes the statements; they go to SQLite's own driver, which takes half the time that its layers take.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, Text, bindparam, delete, func, literal_column, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql.dml import UpdateBase

from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.spending import Cost, Scope
from synth_pipeline.llm.ledger.changes import Note
from synth_pipeline.llm.ledger.entries import ENTRY_FIELDS, TRY_FIELDS, FailedTry, LedgerEntry
from synth_pipeline.llm.ledger.holders import BATCH, Holder
from synth_pipeline.llm.ledger.tables import BATCHES, CALLS, CLAIMS, HOLDERS, PACES, SCHEMAS, TOTALS, TRIES

Names = tuple[str, ...]
HOLDER_DIED = "holder_died"  # the fault of a try that is lost because nobody heard of its end
Sums = tuple[int, int, int, int]  # nano-dollars and tokens spent, nano-dollars and tokens reserved


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of a holder to buy a call, and what is reserved for it under each of its scopes."""

    holder: str
    scopes: Names
    cost: Cost
    claimed_at: float


def names_of(scopes: Iterable[Scope]) -> Names:
    """Return the scopes' names."""
    return tuple(scope.name for scope in scopes)


# ---------------------------------------------------------------------------------------------- statements


def _among(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Return that the column is one of `names`, a JSON list: one statement for however many there are."""
    listed = func.json_each(bindparam("names")).table_valued("value")
    return column.in_(select(listed.c.value))


def _compiled(statement: Select[Any] | UpdateBase, columns: Sequence[str]) -> str:
    """Return the statement as text that takes `columns` in their order."""
    compiled = statement.compile(dialect=sqlite.dialect(), column_keys=list(columns))
    if (compiled.positiontup or []) != list(columns):
        raise ValueError(f"{compiled} takes {compiled.positiontup}, not {columns}")
    return str(compiled)


def _insert(table: Table, *columns: str) -> str:
    return _compiled(insert(table), columns)


FIND_ENTRIES = _compiled(select(*(CALLS.c[name] for name in ENTRY_FIELDS)).where(_among(CALLS.c.call_key)), ("names",))
FIND_CLAIMS = _compiled(select(CLAIMS).where(_among(CLAIMS.c.call_key)), ("names",))
FIND_TOTALS = _compiled(select(TOTALS).where(_among(TOTALS.c.scope)), ("names",))
FIND_PACES = _compiled(select(PACES).where(_among(PACES.c.name)), ("names",))
FIND_HOLDERS = _compiled(select(HOLDERS), ())
_batch_holder = literal_column(f"'{BATCH}'", Text) + BATCHES.c.batch_key
_open_batches = select(_batch_holder).where(BATCHES.c.finished_at.is_(None))
_of_unknown = (
    CLAIMS.c.holder.not_in(select(HOLDERS.c.name))
    & CLAIMS.c.holder.not_in(_open_batches)
    & (CLAIMS.c.claimed_at < bindparam("unknown_before"))
)
FIND_CLAIMS_OF = _compiled(select(CLAIMS).where(_among(CLAIMS.c.holder) | _of_unknown), ("names", "unknown_before"))
FIND_LOST = _compiled(
    select(TRIES.c.id, TRIES.c.scopes, TRIES.c.nano_usd, TRIES.c.tokens).where(
        TRIES.c.call_key == bindparam("key"), TRIES.c.holder == bindparam("by"), TRIES.c.fault == bindparam("died")
    ),
    ("key", "by", "died"),
)
SETTLE_LOST = _compiled(
    update(TRIES)
    .where(TRIES.c.id == bindparam("row"))
    .values(nano_usd=literal_column("0"), tokens=literal_column("0")),
    ("row",),
)
DROP_HOLDERS = _compiled(delete(HOLDERS).where(_among(HOLDERS.c.name)), ("names",))

_entry_values, _try_values = attrgetter(*ENTRY_FIELDS), attrgetter(*TRY_FIELDS)
_COST = ("nano_usd", "tokens", "scopes")
ADD_CALLS = _insert(CALLS, *ENTRY_FIELDS, *_COST)
ADD_TRIES = _insert(TRIES, *TRY_FIELDS, *_COST)
ADD_SCHEMAS = _compiled(insert(SCHEMAS).on_conflict_do_nothing(), ("sha256", "schema"))
SET_CLAIMS = _compiled(insert(CLAIMS).prefix_with("OR REPLACE"), tuple(CLAIMS.c.keys()))
DROP_CLAIMS = _compiled(delete(CLAIMS).where(CLAIMS.c.call_key == bindparam("key")), ("key",))
SET_PACES = _compiled(insert(PACES).prefix_with("OR REPLACE"), ("name", "next_at"))
SET_HOLDER = _compiled(insert(HOLDERS).prefix_with("OR REPLACE"), tuple(HOLDERS.c.keys()))
_new_total = insert(TOTALS)
_SUMS = ("nano_usd", "tokens", "reserved_nano_usd", "reserved_tokens")
MOVE_TOTALS = _compiled(
    _new_total.on_conflict_do_update(set_={name: TOTALS.c[name] + _new_total.excluded[name] for name in _SUMS}),
    ("scope", *_SUMS),
)
NOTE_CALLS = _compiled(
    update(CALLS)
    .where(CALLS.c.call_key == bindparam("key"))
    .values(status=bindparam("is"), reason=bindparam("why"), parsed=bindparam("value")),
    ("is", "why", "value", "key"),
)


class Rows:
    """The rows of one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    # ------------------------------------------------------------------------------------------ reading

    def entries(self, keys: Collection[str]) -> dict[str, LedgerEntry]:
        """Return the completions under these keys."""
        return {row[0]: LedgerEntry(*row) for row in self._find(FIND_ENTRIES, keys)}

    def claims(self, keys: Collection[str]) -> dict[str, Claim]:
        """Return the claims on these keys."""
        return {row[0]: _claim(row) for row in self._find(FIND_CLAIMS, keys)}

    def totals(self, scopes: Collection[str]) -> dict[str, Sums]:
        """Return what these scopes have spent and reserved."""
        return {row[0]: tuple(row[1:]) for row in self._find(FIND_TOTALS, scopes)}

    def paces(self, names: Collection[str]) -> dict[str, float]:
        """Return when the next call of each pace may start."""
        return {row[0]: row[1] for row in self._find(FIND_PACES, names)}

    def holders(self) -> list[tuple[Holder, float]]:
        """Return the holders, each with its last beat."""
        return [(Holder(*row[:-1]), row[-1]) for row in self._connection.execute(FIND_HOLDERS)]

    def claims_of(self, holders: Collection[str], unknown_before: float = 0) -> dict[str, Claim]:
        """Return the claims of these holders, and of holders that are not known if made before a moment."""
        given = (json.dumps(list(holders)), unknown_before)
        return {row[0]: _claim(row) for row in self._connection.execute(FIND_CLAIMS_OF, given)}

    def lost(self, key: str, holder: str) -> list[tuple[int, Names, Cost]]:
        """Return the tries of a call that were given up as lost with their holder, and what each may have cost."""
        rows = self._connection.execute(FIND_LOST, (key, holder, HOLDER_DIED)).fetchall()
        return [(row[0], _unlisted(row[1]), Cost(row[2], row[3])) for row in rows]

    # ------------------------------------------------------------------------------------------ writing

    def add_calls(self, calls: Iterable[tuple[LedgerEntry, Cost, Names]]) -> None:
        """Append completions, with what each cost and is booked under."""
        self._write(
            ADD_CALLS,
            [(*_entry_values(entry), cost.nano_usd, cost.tokens, _listed(names)) for entry, cost, names in calls],
        )

    def note(self, notes: Iterable[Note]) -> None:
        """Write what parsing made of completions."""
        self._write(NOTE_CALLS, [(note.status, note.reason, note.parsed, note.key) for note in notes])

    def add_tries(self, tries: Iterable[tuple[FailedTry, Cost, Names]]) -> None:
        """Append failed tries, with what each may have cost and is booked under."""
        self._write(
            ADD_TRIES, [(*_try_values(row), cost.nano_usd, cost.tokens, _listed(names)) for row, cost, names in tries]
        )

    def settle_lost(self, row: int) -> None:
        """Write that a lost try cost nothing: its holder was not dead, and its end is booked as it came."""
        self._connection.execute(SETTLE_LOST, (row,))

    def add_schemas(self, schemas: Iterable[tuple[str, str]]) -> None:
        """Write the schemas that are not there yet."""
        self._write(ADD_SCHEMAS, list(schemas))

    def set_claims(self, claims: Iterable[tuple[str, Claim]]) -> None:
        """Write claims, new or changed."""
        rows = [
            (key, one.holder, _listed(one.scopes), one.cost.nano_usd, one.cost.tokens, one.claimed_at)
            for key, one in claims
        ]
        self._write(SET_CLAIMS, rows)

    def drop_claims(self, keys: Iterable[str]) -> None:
        """Remove claims."""
        self._write(DROP_CLAIMS, [(key,) for key in keys])

    def move_totals(self, moves: Iterable[tuple[str, Sequence[int]]]) -> None:
        """Add to what scopes have spent and reserved."""
        self._write(MOVE_TOTALS, [(scope, *sums) for scope, sums in moves])

    def set_paces(self, paces: Iterable[tuple[str, float]]) -> None:
        """Write when the next call of each pace may start."""
        self._write(SET_PACES, list(paces))

    def set_holder(self, holder: Holder, beat_at: float) -> None:
        """Write that a holder lives."""
        self._write(SET_HOLDER, [(holder.name, holder.host, holder.pid, holder.started, beat_at)])

    def drop_holders(self, names: Collection[str]) -> None:
        """Remove holders."""
        self._connection.execute(DROP_HOLDERS, (json.dumps(list(names)),))

    def _find(self, statement: str, names: Collection[str]) -> Sequence[Any]:
        if not names:
            return ()
        return self._connection.execute(statement, (json.dumps(list(names)),)).fetchall()

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._connection.executemany(statement, rows)


def _claim(row: Sequence[Any]) -> Claim:
    _, holder, scopes, nano_usd, tokens, claimed_at = row
    return Claim(holder, _unlisted(scopes), Cost(nano_usd, tokens), claimed_at)


@lru_cache(maxsize=1024)  # a stage books all its calls under the same names
def _listed(names: Names) -> str:
    return canonical_json(names)


@lru_cache(maxsize=1024)
def _unlisted(text: str) -> Names:
    return tuple(json.loads(text))
