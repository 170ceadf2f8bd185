"""A ledger of an older layout is brought to today's and keeps what it holds; a later one's is left alone."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.contracts.spending import Cap, Cost
from synth_pipeline.llm.ledger import Bought, Ledger, OverCap
from synth_pipeline_tests.llm.entries import entry
from synth_pipeline_tests.llm.ledger.changes import admit, keep, scopes

OLD = """
CREATE TABLE calls (
    call_key TEXT NOT NULL, recipe_role TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    template TEXT NOT NULL, template_version TEXT NOT NULL, template_sha256 TEXT NOT NULL, sample TEXT NOT NULL,
    attempt INTEGER NOT NULL, messages TEXT NOT NULL, content TEXT, refusal TEXT, finish_reason TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, cost_usd FLOAT NOT NULL, completed_at TEXT NOT NULL,
    latency_s FLOAT NOT NULL, provider_request_id TEXT, PRIMARY KEY (call_key)
);
CREATE INDEX ix_calls_provider ON calls (provider);
CREATE INDEX ix_calls_recipe_role ON calls (recipe_role);
"""
N_OLD_COLUMNS = 19
KEYS = ["k0", "k1", "k2"]
ROLES = ["my_parcels__write", "my_parcels__flaw", "parcels"]


def fill(file: Path) -> None:
    """Write a ledger as it was: three answers, in a table of their own."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(OLD)
        for key, role in zip(KEYS, ROLES, strict=True):
            old = entry(call_key=key, recipe_role=role, cost_usd=0.1)
            values = [getattr(old, name) for name in type(old).__slots__[:N_OLD_COLUMNS]]
            connection.execute(f"INSERT INTO calls VALUES ({', '.join('?' * N_OLD_COLUMNS)})", values)
        connection.commit()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "ledger.sqlite"
    fill(file)
    return file


def test_every_answer_is_found_under_its_key_and_is_not_parsed_yet(file: Path) -> None:
    unknown = {"partition": None, "run": None, "parameters": None, "schema_sha256": None, "status": "received"}
    with closing(Ledger.open(f"sqlite:///{file}")) as ledger:
        found = ledger.find(KEYS)
        assert ledger.apply([admit("k0")]) == [Bought(found["k0"])]
    expected = [
        entry(call_key=key, recipe_role=role, cost_usd=0.1, recipe=recipe, **unknown)
        for key, role, recipe in zip(KEYS, ROLES, ["my_parcels", "my_parcels", "parcels"], strict=True)
    ]
    assert list(found.values()) == expected


def test_what_they_cost_counts_for_their_recipe(file: Path) -> None:
    with closing(Ledger.open(f"sqlite:///{file}")) as ledger:
        sums = {balance.scope: (balance.spent, balance.spent_in_rows) for balance in ledger.balances()}
        assert sums == {
            "recipe:my_parcels": (Cost(200_000_000, 300), Cost(200_000_000, 300)),
            "recipe:parcels": (Cost(100_000_000, 150), Cost(100_000_000, 150)),
        }
        [refusal] = ledger.apply([admit("k9", under=scopes(recipe=Cap(max_cost_usd=0.1)))])
        assert isinstance(refusal, OverCap)
        assert refusal.spent == Cost(100_000_000, 150)


def test_it_has_the_tables_of_a_new_one_and_is_not_brought_to_them_twice(file: Path, tmp_path: Path) -> None:
    with closing(Ledger.open(f"sqlite:///{file}")) as ledger:
        ledger.apply([keep("k3")])
    with closing(Ledger.open(f"sqlite:///{file}")) as again:
        assert list(again.find([*KEYS, "k3"])) == [*KEYS, "k3"]
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'new.sqlite'}")):
        assert layout_of(file) == layout_of(tmp_path / "new.sqlite")


def layout_of(file: Path) -> dict[str, set[tuple[object, ...]]]:
    """The columns of each table and view, and the indexes, by the name of the table."""
    with closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type != 'index'")]
        columns = {name: {row[1:] for row in connection.execute(f"PRAGMA table_info({name})")} for name in names}
        indexes = connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'").fetchall()
        return columns | {"indexes": set(indexes), "layout": {*connection.execute("PRAGMA user_version")}}


def test_a_ledger_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError) as caught:
        Ledger.open(f"sqlite:///{file}")
    assert str(caught.value) == (
        f"sqlite:///{file}: the call ledger has layout 99, and this version knows 2\n"
        "  fix: use the version of synth_pipeline that wrote it, or a later one"
    )
    assert layout_of(file) == {"indexes": set(), "layout": {(99,)}}


def test_an_old_answer_is_not_mistaken_for_another_one_kept_now(file: Path) -> None:
    with closing(Ledger.open(f"sqlite:///{file}")) as ledger:
        [old] = ledger.find(["k0"]).values()
        again = replace(keep("k0"), entry=old)
        assert ledger.apply([again]) == [old]
        assert {balance.spent.tokens for balance in ledger.balances()} == {300, 150}
