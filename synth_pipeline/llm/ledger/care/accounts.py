"""What the ledger holds and what was spent, summed; and one call in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, func, select

from synth_pipeline.contracts.errors import InputError
from synth_pipeline.contracts.spending import NANO, Cost
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.tables import CALLS, CLAIMS, SCHEMAS, TOTALS, TRIES

Rows = Sequence[Mapping[str, Any]]
LEAST_OF_A_KEY, MOST_NAMED = 6, 5
SIBLINGS = ("recipe_role", "provider", "model", "template_sha256", "sample")  # what a first ask and its repair share


@dataclass(frozen=True)
class Accounts:
    """What a ledger holds.

    Args:
        file: where it is.
        bytes: its size on disk, its log included.
        calls: one row per recipe's role, provider, model and status: calls, tokens, dollars.
        tries: one row per status and fault of tries that brought nothing: how many, and what they may have cost.
        scopes: one row per run, partition and recipe: what is spent and what is reserved, the most first.
        n_under_way: calls that are being bought now.
    """

    file: Path
    bytes: int
    calls: Rows
    tries: Rows
    scopes: Rows
    n_under_way: int


@dataclass(frozen=True)
class CallReport:
    """One call in full.

    Args:
        call: its row.
        schema: the JSON schema that was asked for; None where that was not kept.
        tries: its tries that brought nothing, in order.
        other_attempts: the rows of the same sample's first ask and repair.
    """

    call: Mapping[str, Any]
    schema: str | None
    tries: Rows
    other_attempts: Rows


def read_accounts(database: Database, file: Path, recipe: str | None = None) -> Accounts:
    """Return what the ledger holds, of one recipe or of all.

    Raises:
        StorageError: it cannot be read.
    """
    with database.reading() as connection:
        return Accounts(
            file=file,
            bytes=sum(one.stat().st_size for one in (file, file.with_name(f"{file.name}-wal")) if one.exists()),
            calls=_rows(connection, _calls_query(recipe)),
            tries=_rows(connection, _tries_query(recipe)),
            scopes=_rows(connection, _scopes_query(recipe)),
            n_under_way=connection.execute(select(func.count()).select_from(CLAIMS)).scalar_one(),
        )


def read_totals(database: Database, scopes: Sequence[str]) -> dict[str, Cost]:
    """Return what each of the scopes has spent, where anything was."""
    query = select(TOTALS.c.scope, TOTALS.c.nano_usd, TOTALS.c.tokens).where(TOTALS.c.scope.in_(scopes))
    with database.reading() as connection:
        return {scope: Cost(nano_usd, tokens) for scope, nano_usd, tokens in connection.execute(query)}


def read_call(database: Database, key: str) -> CallReport:
    """Return the call of a key, or of the first characters of one that no other call has.

    Raises:
        InputError: no call has the key, or several begin so.
        StorageError: the ledger cannot be read.
    """
    with database.reading() as connection:
        call = _find(connection, key)
        of_the_key = select(TRIES).where(TRIES.c.call_key == call["call_key"]).order_by(TRIES.c.id)
        same = and_(CALLS.c.call_key != call["call_key"], *(CALLS.c[name] == call[name] for name in SIBLINGS))
        schema = select(SCHEMAS.c.schema).where(SCHEMAS.c.sha256 == call["schema_sha256"])
        return CallReport(
            call=call,
            schema=connection.execute(schema).scalar_one_or_none(),
            tries=_rows(connection, of_the_key),
            other_attempts=_rows(connection, select(CALLS).where(same).order_by(CALLS.c.attempt)),
        )


def _find(connection: Connection, key: str) -> Mapping[str, Any]:
    begins = and_(CALLS.c.call_key >= key, CALLS.c.call_key < f"{key}\U0010ffff")
    found = _rows(connection, select(CALLS).where(begins).limit(MOST_NAMED + 1)) if len(key) >= LEAST_OF_A_KEY else []
    if len(found) == 1:
        return found[0]
    if not found:
        fix = f"take one from a table's column `call_key`, or its first {LEAST_OF_A_KEY} characters or more"
        raise InputError(f"no call has the key {key!r}", where="--key", fix=fix)
    named = ", ".join(row["call_key"] for row in found[:MOST_NAMED])
    raise InputError(f"several calls begin with {key!r}: {named}", where="--key", fix="give more of the key")


def _calls_query(recipe: str | None) -> Select[Any]:
    by = (CALLS.c.recipe_role, CALLS.c.provider, CALLS.c.model, CALLS.c.status)
    sums = (
        func.count().label("calls"),
        func.sum(CALLS.c.tokens_in).label("tokens_in"),
        func.sum(CALLS.c.tokens_out).label("tokens_out"),
        func.sum(CALLS.c.cost_usd).label("cost_usd"),
    )
    return _of(select(*by, *sums).group_by(*by).order_by(*by), CALLS, recipe)


def _tries_query(recipe: str | None) -> Select[Any]:
    by = (TRIES.c.status, TRIES.c.fault)
    sums = (func.count().label("tries"), (func.sum(TRIES.c.nano_usd) / float(NANO)).label("at_risk_usd"))
    return _of(select(*by, *sums).group_by(*by).order_by(*by), TRIES, recipe)


def _scopes_query(recipe: str | None) -> Select[Any]:
    names = ("scope", "nano_usd", "tokens", "reserved_nano_usd", "reserved_tokens")
    query = select(*(TOTALS.c[name] for name in names)).order_by(TOTALS.c.nano_usd.desc(), TOTALS.c.scope)
    if recipe is None:
        return query
    partition = f"partition:{recipe}|"
    mine = (TOTALS.c.scope == f"recipe:{recipe}") | TOTALS.c.scope.startswith(partition, autoescape=True)
    return query.where(mine)


def _of(query: Select[Any], table: Table, recipe: str | None) -> Select[Any]:
    return query if recipe is None else query.where(table.c.recipe == recipe)


def _rows(connection: Connection, query: Select[Any]) -> Rows:
    return [dict(row) for row in connection.execute(query).mappings()]
