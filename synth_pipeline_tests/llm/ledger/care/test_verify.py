import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.verify import Verification, verify
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline_tests.llm.ledger.care.purchases import keep, purchase, url_of

KEY = purchase("p0").call_key


def verified(file: Path) -> Verification:
    with closing(Database.open(url_of(file))) as database:
        return verify(database)


def spoil(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def test_a_sound_ledger_has_no_problems(database: Database) -> None:
    assert verify(database) == Verification(n_calls=3, n_without_parts=0, problems=(), n_problems=0)


def test_a_repair_is_known_by_the_prompt_that_it_repairs(database: Database) -> None:
    asked = '{"content":"Write.","role":"user"}'
    more = '{"content":"(empty)","role":"assistant"},{"content":"Answer again.","role":"user"}'
    keep(Ledger(database), purchase("p0", attempt=1, messages=f"[{asked},{more}]"))
    assert verify(database).problems == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sample = 'p9'", f"call {KEY}: its parts make the key"),
        ("messages = '[]'", f"call {KEY}: has no messages"),
        ("messages = '{no json'", f"calls {KEY}: messages is no JSON"),
        ("parsed = 'It came late.'", f"calls {KEY}: parsed is no JSON"),
        ("parameters = '[]'", f"call {KEY}: has no parameters"),
        ("schema_sha256 = 'gone'", f"call {KEY}: its schema gone is not kept"),
        ("scopes = 'recipe:parcels'", f"calls {KEY}: scopes is no JSON"),
    ],
)
def test_a_changed_call_is_named_with_what_is_wrong(file: Path, change: str, said: str) -> None:
    spoil(file, f"update calls set {change} where call_key = '{KEY}'")
    found = verified(file)
    assert found.n_problems >= 1
    assert any(problem.startswith(said) for problem in found.problems)


def test_a_changed_schema_is_named(file: Path) -> None:
    spoil(file, """update schemas set schema = '{"name":"other"}'""")
    assert "is not the text of that hash" in verified(file).problems[0]


def test_money_that_no_row_explains_is_named_with_its_scope(file: Path) -> None:
    spoil(file, "update totals set nano_usd = nano_usd + 1 where scope = 'recipe:parcels'")
    assert verified(file).problems == (
        "scope recipe:parcels: its total is $0.400000001 and 600 tokens, its rows sum to $0.400000000 and 600 tokens",
    )


def test_a_vanished_call_leaves_sums_that_do_not_add_up(file: Path) -> None:
    spoil(file, f"delete from calls where call_key = '{KEY}'")
    assert [problem.partition(":")[0] for problem in verified(file).problems] == [
        "scope partition",
        "scope recipe",
        "scope run",
    ]


def test_a_reservation_without_a_claim_is_named(file: Path) -> None:
    spoil(file, "delete from claims")
    assert "are reserved, its claims sum to $0.000000000" in verified(file).problems[0]


def test_calls_bought_before_their_parts_were_kept_are_counted_and_not_doubted(file: Path) -> None:
    spoil(file, f"update calls set parameters = null, schema_sha256 = null where call_key = '{KEY}'")
    found = verified(file)
    assert (found.n_without_parts, found.problems) == (1, ())


def test_a_file_with_a_broken_index_is_not_sound(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        query = "select rootpage from sqlite_master where name = 'ix_calls_recipe_role_provider'"
        page, size = connection.execute(query).fetchone()[0], connection.execute("PRAGMA page_size").fetchone()[0]
    whole, start = file.read_bytes(), (page - 1) * size
    file.write_bytes(whole[:start] + whole[start : start + 3] + b"\0" * (size - 3) + whole[start + size :])
    found = verified(file)
    assert found.problems[0].startswith("file: ")
    assert found.n_problems == len(found.problems)


def test_a_file_that_is_no_database_cannot_be_verified(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageError, match="file is not a database"):
        verified(file)
