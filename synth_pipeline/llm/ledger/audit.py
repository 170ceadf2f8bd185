"""What scopes have spent and reserved: as the totals have it, and as the rows add up to."""

from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, literal, select, union_all

from synth_pipeline.contracts.spending import Cost
from synth_pipeline.llm.ledger.tables import CALLS, CLAIMS, TOTALS, TRIES


@dataclass(frozen=True)
class Balance:
    """What a scope has spent and reserved.

    Args:
        scope: its name.
        spent: as `totals` has it.
        reserved: as `totals` has it.
        spent_in_rows: the sum over its calls, and its tries that may have been billed.
        reserved_in_rows: the sum over its claims.
    """

    scope: str
    spent: Cost
    reserved: Cost
    spent_in_rows: Cost
    reserved_in_rows: Cost


def read_balances(connection: Connection) -> list[Balance]:
    """Return the balance of each scope, by its name; reads all rows."""
    totals = {
        row.scope: (Cost(row.nano_usd, row.tokens), Cost(row.reserved_nano_usd, row.reserved_tokens))
        for row in connection.execute(select(TOTALS))
    }
    spent, reserved = _sums(connection, CALLS, TRIES), _sums(connection, CLAIMS)
    nothing = Cost(0, 0)
    return [
        Balance(scope, *totals.get(scope, (nothing, nothing)), spent.get(scope, nothing), reserved.get(scope, nothing))
        for scope in sorted({*totals, *spent, *reserved})
    ]


def _sums(connection: Connection, *tables: Table) -> dict[str, Cost]:
    """Return what the rows of the tables add up to for each scope."""
    each = []
    for table in tables:
        scopes = func.json_each(table.c.scopes).table_valued("value")
        each.append(
            select(scopes.c.value.label("scope"), table.c.nano_usd, table.c.tokens).join_from(
                table, scopes, literal(True)
            )
        )
    rows = union_all(*each).subquery()
    query = select(rows.c.scope, func.sum(rows.c.nano_usd), func.sum(rows.c.tokens)).group_by(rows.c.scope)
    return {scope: Cost(nano_usd, tokens) for scope, nano_usd, tokens in connection.execute(query).all()}
