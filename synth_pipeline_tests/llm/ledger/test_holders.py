"""What a holder had claimed that died is free for others, and counts as spent: it may be billed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from synth_pipeline.contracts.spending import Cap, Cost
from synth_pipeline.llm.ledger import Admitted, Claimed, Holder, Ledger, Release
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.holders import SILENT_S, is_dead
from synth_pipeline_tests.llm.entries import entry
from synth_pipeline_tests.llm.ledger.changes import ANN, BOB, COST, NOTHING, WORST, admit, failed, keep, scopes

EVEN_SO = Cap(max_cost_usd=2_000e-9)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with closing(Ledger.open(url)) as opened:
        yield opened


def gone(name: str = ANN) -> Holder:
    """A holder whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return replace(Holder.here(), name=name, pid=process.pid)


def write_beat(url: str, holder: Holder, silent_s: float) -> None:
    """Have a holder's last beat lie in the past."""
    with closing(Database.open(url)) as database, database.writing_rows() as rows:
        rows.set_holder(holder, time.time() - silent_s)


def sums(ledger: Ledger) -> tuple[Cost, Cost]:
    """What each scope has spent and reserved; the totals agree with the rows."""
    [(spent, reserved)] = {(balance.spent, balance.reserved) for balance in ledger.balances()}
    [in_rows] = {(balance.spent_in_rows, balance.reserved_in_rows) for balance in ledger.balances()}
    assert (spent, reserved) == in_rows
    return spent, reserved


# ------------------------------------------------------------------------------------------ who is dead


def test_this_process_lives_however_long_it_is_silent() -> None:
    assert not is_dead(Holder.here(), silent_s=3600)


def test_a_process_that_has_ended_is_dead_at_once() -> None:
    assert is_dead(gone(), silent_s=0)


def test_another_process_with_the_same_number_is_not_the_holder() -> None:
    here = Holder.here()
    if here.started is None:
        pytest.skip("the system does not say when a process started")
    assert is_dead(replace(here, started="1"), silent_s=0)


def test_a_process_that_was_killed_and_not_yet_waited_for_is_dead() -> None:
    if Holder.here().started is None:
        pytest.skip("the system does not say which processes have ended")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    child = replace(Holder.here(), pid=process.pid, started=started)
    assert not is_dead(child, silent_s=0)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(child, silent_s=0)
    process.wait()


@pytest.mark.parametrize("unknown", [{"host": "elsewhere"}, {"started": None}])
def test_of_a_process_that_cannot_be_looked_at_the_beat_decides(unknown: dict[str, str | None]) -> None:
    holder = replace(Holder.here(), **unknown)  # type: ignore[arg-type]  # each is a field
    assert not is_dead(holder, SILENT_S - 1)
    assert is_dead(holder, SILENT_S + 1)


# ------------------------------------------------------------------------------------------ what becomes of its claims


def test_what_a_dead_holder_had_claimed_is_admitted_to_another_and_counts_as_spent(url: str, ledger: Ledger) -> None:
    ledger.register(gone())
    ledger.apply([admit("k0"), admit("k1")])
    assert [type(outcome) for outcome in ledger.apply([admit("k0", BOB)])] == [Admitted]
    assert sums(ledger) == (Cost(2_000, 200), WORST)
    ledger.apply([keep("k0", BOB)])
    assert sums(ledger) == (Cost(2_600, 260), NOTHING)


def test_what_a_dead_holder_had_claimed_is_given_up_when_a_ledger_is_opened(url: str, ledger: Ledger) -> None:
    ledger.register(gone())
    ledger.apply([admit("k0"), admit("k1", BOB)])
    with closing(Ledger.open(url)) as other:
        assert sums(other) == (WORST, WORST)


def test_a_budget_that_only_the_dead_hold_does_not_look_as_if_it_came_back(ledger: Ledger) -> None:
    ledger.register(gone())
    under = scopes(run=EVEN_SO)
    ledger.apply([admit("k0", under=under), admit("k1", under=under)])
    [refusal] = ledger.apply([admit("k2", BOB, under)])
    assert not isinstance(refusal, Admitted | Claimed)
    assert sums(ledger) == (Cost(2_000, 200), NOTHING)
    assert not getattr(refusal, "may_fit_later", True)


def test_a_holder_on_another_machine_keeps_its_claims_while_it_beats(url: str, ledger: Ledger) -> None:
    elsewhere = replace(Holder.here(), name=ANN, host="elsewhere")
    ledger.apply([admit("k0")])
    write_beat(url, elsewhere, SILENT_S - 10)
    assert ledger.apply([admit("k0", BOB)]) == [Claimed(ANN)]
    write_beat(url, elsewhere, SILENT_S + 10)
    ledger.beat(elsewhere)
    assert ledger.apply([admit("k0", BOB)]) == [Claimed(ANN)]
    write_beat(url, elsewhere, SILENT_S + 10)
    assert [type(outcome) for outcome in ledger.apply([admit("k0", BOB)])] == [Admitted]


def test_a_claim_of_a_holder_that_nobody_knows_is_not_taken_at_once(ledger: Ledger) -> None:
    ledger.apply([admit("k0")])
    assert ledger.apply([admit("k0", BOB)]) == [Claimed(ANN)]


# ------------------------------------------------------------------------------------------ the dead that come back


def buried(ledger: Ledger) -> None:
    """Ann buys k0, is thought dead, and Bob buys it in her place."""
    ledger.register(gone())
    ledger.apply([admit()])
    assert [type(outcome) for outcome in ledger.apply([admit(holder=BOB)])] == [Admitted]
    assert sums(ledger) == (WORST, WORST)


def test_an_answer_that_comes_late_is_booked_in_place_of_what_was_given_up(ledger: Ledger) -> None:
    buried(ledger)
    assert ledger.apply([keep(content="late")]) == [entry(content="late")]
    assert sums(ledger) == (COST, WORST)
    assert ledger.apply([keep(holder=BOB, content="too")]) == [entry(content="late")]
    assert sums(ledger) == (Cost(1_200, 120), NOTHING)


def test_a_failure_that_comes_late_is_booked_in_place_of_what_was_given_up(ledger: Ledger) -> None:
    buried(ledger)
    ledger.apply([failed(at_risk=Cost(300, 30))])
    assert sums(ledger) == (Cost(300, 30), WORST)
    ledger.apply([failed(), Release("k0", ANN)])
    assert sums(ledger) == (Cost(300, 30), WORST)


def test_a_call_that_was_never_sent_costs_nothing_after_all(ledger: Ledger) -> None:
    buried(ledger)
    ledger.apply([Release("k0", ANN)])
    assert sums(ledger) == (NOTHING, WORST)
