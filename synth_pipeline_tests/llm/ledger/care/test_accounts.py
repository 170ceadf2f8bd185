from pathlib import Path

import pytest

from synth_pipeline.contracts.errors import InputError
from synth_pipeline.contracts.spending import Cost
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.accounts import read_accounts, read_call, read_totals
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline_tests.llm.ledger.care.purchases import SCHEMA, keep, purchase

KEY = purchase("p0").call_key


def test_calls_are_summed_by_role_provider_model_and_status(database: Database, file: Path) -> None:
    rows = read_accounts(database, file).calls
    assert [(row["recipe_role"], row["model"], row["status"], row["calls"], row["tokens_out"]) for row in rows] == [
        ("parcels__write", "anna/large", "ok", 2, 100),
        ("parcels__write", "anna/large", "refused", 1, 50),
    ]
    assert rows[0]["cost_usd"] == pytest.approx(0.2)


def test_tries_are_summed_by_fault_with_what_they_may_have_cost(database: Database, file: Path) -> None:
    assert read_accounts(database, file).tries == [
        {"status": "transient_error", "fault": "rate_limit", "tries": 1, "at_risk_usd": 0.0},
        {"status": "transient_error", "fault": "timeout", "tries": 1, "at_risk_usd": 0.1},
    ]


def test_scopes_say_what_is_spent_and_reserved(database: Database, file: Path) -> None:
    accounts = read_accounts(database, file)
    spent = {row["scope"]: (row["nano_usd"], row["tokens"], row["reserved_nano_usd"]) for row in accounts.scopes}
    assert spent == dict.fromkeys(
        ("run:r1", "partition:parcels|anna|7", "recipe:parcels"), (400_000_000, 600, 100_000_000)
    )
    assert accounts.n_under_way == 1
    assert accounts.bytes > 0


def test_one_recipe_is_shown_alone(database: Database, file: Path) -> None:
    accounts = read_accounts(database, file, "parcels_too")
    assert (accounts.calls, accounts.tries, accounts.scopes) == ([], [], [])
    assert len(read_accounts(database, file, "parcels").scopes) == 2


def test_totals_of_scopes_that_spent_nothing_are_left_out(database: Database) -> None:
    assert read_totals(database, ["recipe:parcels", "recipe:others"]) == {"recipe:parcels": Cost(400_000_000, 600)}


def test_a_call_is_found_by_the_beginning_of_its_key_with_tries_and_its_repair(database: Database) -> None:
    keep(Ledger(database), purchase("p0", attempt=1))
    report = read_call(database, KEY[:10])
    assert report.call["call_key"] == KEY
    assert report.schema == SCHEMA
    assert [row["fault"] for row in report.tries] == ["timeout"]
    assert [row["attempt"] for row in report.other_attempts] == [1]


@pytest.mark.parametrize("key", ["f" * 24, KEY[:3], ""])
def test_a_key_that_names_no_call_is_refused(database: Database, key: str) -> None:
    with pytest.raises(InputError, match="no call has the key"):
        read_call(database, key)


def test_a_beginning_that_several_keys_share_is_refused_with_their_names(database: Database) -> None:
    keep(Ledger(database), purchase("a", call_key="samesame1"), purchase("b", call_key="samesame2"))
    with pytest.raises(InputError, match="samesame1, samesame2"):
        read_call(database, "samesame")
