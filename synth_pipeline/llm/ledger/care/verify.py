"""Whether a ledger holds together: its file, its keys, its sums."""

import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, RowMapping, func, select

from synth_pipeline.contracts.identity import call_key, sha256_text
from synth_pipeline.contracts.spending import Cost
from synth_pipeline.llm.ledger.audit import read_balances
from synth_pipeline.llm.ledger.care.prune import read_pruned
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.tables import BATCHES, CALLS, CLAIMS, SCHEMAS, TRIES

ROWS_AT_ONCE, MOST_TOLD = 500, 100
MESSAGES_A_REPAIR = 2  # a repair adds the spoilt answer and the complaint, which are no part of its key
NOTHING = Cost(0, 0)
JSON_COLUMNS = (
    *((CALLS, name) for name in ("messages", "parameters", "parsed", "scopes")),
    *((TRIES, "scopes"), (CLAIMS, "scopes"), (SCHEMAS, "schema"), (BATCHES, "call_keys")),
)
NEEDED_FOR_SUMS = ("scopes",)


@dataclass(frozen=True)
class Verification:
    """What was found.

    Args:
        n_calls: calls that were looked at.
        n_without_parts: of those, the ones bought before parameters and schema were kept: their keys cannot be checked.
        problems: what is wrong with which key or scope; at most the first hundred.
        n_problems: how many there are.
    """

    n_calls: int
    n_without_parts: int
    problems: tuple[str, ...]
    n_problems: int


def verify(database: Database) -> Verification:
    """Return what is wrong with the ledger, as it is at one moment.

    Raises:
        StorageError: it cannot be read at all.
    """
    with database.reading() as connection:
        problems = _problems(connection)
        first = tuple(islice(problems, MOST_TOLD))
        n_calls = connection.execute(select(func.count()).select_from(CALLS)).scalar_one()
        lacks = CALLS.c.parameters.is_(None) | CALLS.c.schema_sha256.is_(None)
        n_without = connection.execute(select(func.count()).select_from(CALLS).where(lacks)).scalar_one()
        return Verification(n_calls, n_without, first, len(first) + sum(1 for _ in problems))


def _problems(connection: Connection) -> Iterator[str]:
    yield from _file_problems(connection)
    unread = yield from _json_problems(connection)
    yield from _key_problems(connection)
    if unread.isdisjoint(NEEDED_FOR_SUMS):
        yield from _sum_problems(connection)


def _file_problems(connection: Connection) -> Iterator[str]:
    for (said,) in connection.exec_driver_sql(f"PRAGMA integrity_check({MOST_TOLD})"):
        if said != "ok":
            yield f"file: {said}"


def _json_problems(connection: Connection) -> Generator[str, None, set[str]]:
    """Yield what is no JSON; return the names of the columns in which that is so."""
    unread = set()
    for table, name in JSON_COLUMNS:
        key, column = next(iter(table.primary_key.columns)), table.c[name]
        for (broken,) in connection.execute(select(key).where(column.is_not(None), func.json_valid(column) == 0)):
            unread.add(name)
            yield f"{table.name} {broken}: {name} is no JSON"
    return unread


def _key_problems(connection: Connection) -> Iterator[str]:
    schemas = {row.sha256: row.schema for row in connection.execute(select(SCHEMAS))}
    for sha256, schema in schemas.items():
        if sha256_text(schema) != sha256:
            yield f"schema {sha256}: is not the text of that hash"
    query = select(CALLS).order_by(CALLS.c.call_key)
    rows = connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE}).mappings()
    for row in rows:
        fault = _fault_of(row, schemas)
        if fault:
            yield f"call {row['call_key']}: {fault}"


def _fault_of(row: RowMapping, schemas: Mapping[str, str]) -> str | None:
    """Return what is wrong with a call; None: nothing, or nothing that can be known."""
    messages = _parsed(row["messages"])
    if not isinstance(messages, list) or not messages:
        return "has no messages"
    if row["parameters"] is None or row["schema_sha256"] is None:
        return None
    if row["schema_sha256"] not in schemas:
        return f"its schema {row['schema_sha256']} is not kept"
    parameters = _parsed(row["parameters"])
    if not isinstance(parameters, dict):
        return "has no parameters"
    key = call_key(
        model=f"{row['provider']}:{row['model']}",
        messages=messages[: len(messages) - MESSAGES_A_REPAIR * row["attempt"]],
        parameters=parameters,
        schema_json=schemas[row["schema_sha256"]],
        template_version=f"{row['template']}@{row['template_version']}:{row['template_sha256']}",
        sample=row["sample"],
        attempt=row["attempt"],
    )
    return None if key == row["call_key"] else f"its parts make the key {key}: one of them was changed"


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _sum_problems(connection: Connection) -> Iterator[str]:
    pruned = read_pruned(connection)
    for balance in read_balances(connection):
        rows, gone = balance.spent_in_rows, pruned.pop(balance.scope, NOTHING)
        summed = Cost(rows.nano_usd + gone.nano_usd, rows.tokens + gone.tokens)
        if balance.spent != summed:
            yield f"scope {balance.scope}: its total is {_shown(balance.spent)}, its rows sum to {_shown(summed)}"
        if balance.reserved != balance.reserved_in_rows:
            claims = _shown(balance.reserved_in_rows)
            yield f"scope {balance.scope}: {_shown(balance.reserved)} are reserved, its claims sum to {claims}"
    for scope, cost in pruned.items():
        yield f"scope {scope}: it has no total, but {_shown(cost)} of it were pruned"


def _shown(cost: Cost) -> str:
    return f"${cost.usd:.9f} and {cost.tokens} tokens"
