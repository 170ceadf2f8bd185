"""A batch holds its calls until it is finished, whatever becomes of the process that began it."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from synth_pipeline.contracts.providers import Price
from synth_pipeline.contracts.spending import Cap, Cost
from synth_pipeline.llm.ledger import Admitted, Batch, Bought, Claimed, Holder, Ledger, describe_batch
from synth_pipeline.llm.ledger.batches import SUBMITTED, make_batch_key
from synth_pipeline_tests.llm.entries import entry
from synth_pipeline_tests.llm.ledger.changes import ANN, NOTHING, WORST, admit, keep, scopes

KEYS = ["k0", "k1", "k2"]
BATCH = Batch(
    key="20261121T054321Z-00c0ffee",
    provider="anna",
    model="openai/small",
    recipe="parcels",
    run="r1",
    partition="anna|0",
    scopes=tuple(scope.name for scope in scopes()),
    price=Price(usd_per_mtok_in=1, usd_per_mtok_out=4),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    with closing(Ledger.open(f"sqlite:///{file}")) as opened:
        yield opened


def gone() -> Holder:
    """A holder whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return replace(Holder.here(), name="gone", pid=process.pid)


def begin(ledger: Ledger, attendant: Holder, status: str = SUBMITTED) -> Batch:
    """Return a batch that holds the keys."""
    ledger.register(attendant)
    ledger.batches.begin(BATCH, attendant.name)
    assert all(isinstance(one, Admitted) for one in ledger.apply([admit(key, BATCH.holder) for key in KEYS]))
    ledger.batches.add(BATCH, [entry(call_key=key) for key in KEYS], {"abc": "{}"})
    batch = replace(BATCH, status=status, n_calls=len(KEYS), remote_id="batch_7")
    ledger.batches.seal(batch)
    return batch


def make_old(file: Path) -> None:
    """Have all claims and beats be years old."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE claims SET claimed_at = 0")
        connection.execute("UPDATE holders SET beat_at = 0")
        connection.commit()


def test_it_is_found_by_provider_and_model_and_by_its_calls(ledger: Ledger, file: Path) -> None:
    batch = begin(ledger, Holder.here())
    assert ledger.batches.under_way() == ledger.batches.under_way("anna", "openai/small") == [batch]
    assert ledger.batches.under_way("anna", "openai/large") == ledger.batches.under_way("bob", "openai/small") == []
    ledger.apply([admit("other", ANN)])
    assert ledger.batches.holding([*KEYS, "other", "k9"]) == dict.fromkeys(KEYS, BATCH.key)
    with closing(sqlite3.connect(file)) as connection:
        [(keys,)] = connection.execute("SELECT call_keys FROM batches")
    assert sorted(json.loads(keys)) == KEYS


def test_its_claims_outlive_its_process_and_all_silence(ledger: Ledger, file: Path) -> None:
    batch = begin(ledger, gone())
    make_old(file)
    with closing(Ledger.open(f"sqlite:///{file}")) as other:
        assert other.apply([admit("k0", ANN)]) == [Claimed(batch.holder)]
        assert other.batches.count_waiting(batch) == len(KEYS)


def test_claims_in_the_name_of_a_batch_that_was_never_begun_are_given_up(ledger: Ledger, file: Path) -> None:
    ledger.apply([admit("k0", BATCH.holder)])
    make_old(file)
    assert isinstance(ledger.apply([admit("k0", ANN)])[0], Admitted)


def test_who_attends_to_it_is_not_disturbed_while_alive(ledger: Ledger) -> None:
    batch, other = begin(ledger, replace(Holder.here(), name="first")), replace(Holder.here(), name="other")
    ledger.register(other)
    assert ledger.batches.attend(batch.key, "other") is None
    assert ledger.batches.attend(batch.key, "first") == batch
    ledger.leave(replace(Holder.here(), name="first"))
    assert ledger.batches.attend(batch.key, "other") == batch
    assert ledger.batches.attend(batch.key, "first") is None
    assert ledger.batches.count_waiting(batch) == len(KEYS)


def test_a_dead_attendant_is_followed_by_the_next(ledger: Ledger) -> None:
    batch = begin(ledger, gone())
    assert ledger.batches.attend(batch.key, "next") == batch


def test_a_call_waits_with_its_entry_and_what_is_held_for_it_until_its_answer_is_kept(ledger: Ledger) -> None:
    batch = begin(ledger, Holder.here())
    waiting = ledger.batches.waiting(batch)
    assert {key: (call.entry, call.reserved) for key, call in waiting.items()} == {
        key: (entry(call_key=key), WORST) for key in KEYS
    }
    assert list(ledger.batches.waiting(batch, ["k1", "k9"])) == ["k1"]
    ledger.apply([keep("k1", batch.holder, batch.booked_under)])
    assert sorted(ledger.batches.waiting(batch)) == ["k0", "k2"]
    assert ledger.batches.waiting(batch, ["k1"]) == {}


def test_finished_it_gives_back_what_it_has_not_brought(ledger: Ledger) -> None:
    batch = begin(ledger, Holder.here())
    ledger.apply([keep("k1", batch.holder, batch.booked_under)])
    assert not ledger.batches.is_finished(batch.key)
    ledger.batches.finish(batch, "expired")
    assert ledger.batches.is_finished(batch.key)
    assert ledger.batches.under_way("anna", "openai/small") == []
    assert ledger.batches.attend(batch.key, ANN) is None
    assert {balance.reserved for balance in ledger.balances()} == {NOTHING}
    first, second, third = ledger.apply([admit(key, ANN) for key in KEYS])
    assert isinstance(second, Bought)
    assert isinstance(first, Admitted)
    assert isinstance(third, Admitted)


def test_of_what_was_never_sent_nothing_is_left_when_the_ledger_is_opened_again(ledger: Ledger, file: Path) -> None:
    begin(ledger, gone(), status="preparing")
    with closing(Ledger.open(f"sqlite:///{file}")) as again:
        assert again.batches.under_way("anna", "openai/small") == []
        assert isinstance(again.apply([admit("k0", ANN, under=scopes(recipe=Cap(max_cost_usd=1)))])[0], Admitted)
        assert {balance.spent for balance in again.balances()} == {Cost(0, 0)}


def test_what_a_process_at_work_has_not_sent_yet_is_left_alone(ledger: Ledger, file: Path) -> None:
    batch = begin(ledger, Holder.here(), status="preparing")
    with closing(Ledger.open(f"sqlite:///{file}")) as again:
        assert again.batches.under_way("anna", "openai/small") == [batch]


def test_a_ledger_from_before_batches_were_kept_so_keeps_all_that_it_holds(ledger: Ledger, file: Path) -> None:
    ledger.apply([keep("k7")])
    ledger.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "DROP TABLE batch_calls; DROP TABLE batches; CREATE TABLE batches (batch_key TEXT NOT NULL PRIMARY KEY);"
            "PRAGMA user_version=1"
        )
    with closing(Ledger.open(f"sqlite:///{file}")) as again:
        assert list(again.find(["k7"])) == ["k7"]
        assert all(balance.spent == balance.spent_in_rows != NOTHING for balance in again.balances())
        begin(again, Holder.here())
        assert again.batches.holding(KEYS) == dict.fromkeys(KEYS, BATCH.key)


def test_its_name_says_since_when_it_is_under_way() -> None:
    assert describe_batch(BATCH.holder) == (
        "in batch 20261121T054321Z-00c0ffee since 2026-11-21 05:43 UTC; run again with --batch to collect it"
    )
    assert describe_batch(ANN) is None
    assert make_batch_key() != make_batch_key()
