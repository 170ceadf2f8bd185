"""What calls of a role and model have come to so far: the base of an estimate."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, literal_column, select

from synth_pipeline.contracts.providers import Role
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.tables import CALLS

LEAST, MOST = 5, 500  # completions that make a history, and of which the last are enough; chosen
READ = ("attempt", "status", "messages", "content", "tokens_in", "tokens_out", "latency_s")


@dataclass(frozen=True)
class History:
    """The last completions of a role and model, summed.

    Args:
        n_completions: how many.
        n_calls: first asks among them.
        n_ok: of all, the ones that are a record.
        n_parsed: of all, the ones whose end is known.
        tokens_in: prompt tokens.
        tokens_out: completion tokens.
        characters_in: of the first asks' prompts.
        characters_out: of the completions.
        seconds: that they took, those of a batch as long as the others; None where all came in batches.
        elsewhere: whether they were bought for other recipes.
    """

    n_completions: int
    n_calls: int
    n_ok: int
    n_parsed: int
    tokens_in: int
    tokens_out: int
    characters_in: int
    characters_out: int
    seconds: float | None
    elsewhere: bool

    @property
    def ok_share(self) -> float:
        """The share of calls that end with a record; 1 where nothing was parsed yet."""
        return min(1.0, self.n_ok / self.n_calls) if self.n_parsed else 1.0


def read_history(database: Database, recipe: str, role: Role, who: tuple[str, str]) -> History | None:
    """Return what calls of a recipe's role, or else of the role in other recipes, have come to; None: too few.

    Args:
        database: the ledger's.
        recipe: the recipe's name.
        role: the role.
        who: the provider and its model.

    Raises:
        StorageError: the ledger cannot be read.
    """
    own = CALLS.c.recipe_role == f"{recipe}__{role}"
    others = CALLS.c.recipe_role.endswith(f"__{role}", autoescape=True)
    for where, elsewhere in ((own, False), (others, True)):
        rows = _last(database, where, who)
        if len(rows) >= LEAST:
            return _summed(rows, elsewhere)
    return None


def _last(database: Database, where: ColumnElement[bool], who: tuple[str, str]) -> Sequence[Mapping[str, Any]]:
    provider, model = who
    mine = (where, CALLS.c.provider == provider, CALLS.c.model == model)
    last_first = literal_column("calls.rowid", Integer).desc()
    query = select(*(CALLS.c[name] for name in READ)).where(*mine).order_by(last_first).limit(MOST)
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _summed(rows: Sequence[Mapping[str, Any]], elsewhere: bool) -> History | None:
    first = [row for row in rows if row["attempt"] == 0]
    if not first:
        return None
    latencies = [row["latency_s"] for row in rows if row["latency_s"]]
    return History(
        n_completions=len(rows),
        n_calls=len(first),
        n_ok=sum(row["status"] == "ok" for row in rows),
        n_parsed=sum(row["status"] != "received" for row in rows),
        tokens_in=sum(row["tokens_in"] for row in rows),
        tokens_out=sum(row["tokens_out"] for row in rows),
        characters_in=sum(_length(row["messages"]) for row in first),
        characters_out=sum(len(row["content"] or "") for row in rows),
        seconds=sum(latencies) * len(rows) / len(latencies) if latencies else None,
        elsewhere=elsewhere,
    )


def _length(messages: str) -> int:
    return sum(len(message["content"]) for message in json.loads(messages))
