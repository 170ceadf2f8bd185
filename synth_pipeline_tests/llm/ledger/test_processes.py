"""Several processes over one ledger: what is acknowledged stays, a call is bought once, a cap holds for all."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

import synth_pipeline
from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.contracts.spending import Cap, Cost, Scope
from synth_pipeline.llm.ledger import Admitted, Bought, Claimed, Holder, Ledger, OverCap
from synth_pipeline_tests.llm.ledger.changes import COST, NOTHING, WORST, admit, keep, scopes

SOAK = int(os.environ.get("SYNTH_SOAK", "1"))
ROOT = Path(synth_pipeline.__file__).parents[1]
N_TOGETHER, N_KILLS, TIMEOUT_S = 8, 4, 120
N_BUYERS, N_KEYS = 4, 200
BUY_FOR_EVER = """
import sys
from synth_pipeline_tests.llm.ledger.test_processes import buy_for_ever
buy_for_ever(sys.argv[1], sys.argv[2])
"""
BUY_ALL = """
import sys
from synth_pipeline_tests.llm.ledger.test_processes import buy_all
for line in buy_all(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])):
    print(line)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder' / 'ledger.sqlite'}"


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


# ------------------------------------------------------------------------------------------ a killed process


def buy_for_ever(url: str, name: str) -> None:
    """Buy calls some at a time, and say of each when it is durable: the work of a process that will be killed."""
    ledger, holder, number = Ledger.open(url), Holder.here(), 0
    ledger.register(holder)
    while True:
        keys = [f"{name}.{number + place}" for place in range(N_TOGETHER)]
        number += N_TOGETHER
        ledger.apply([admit(key, holder.name) for key in keys])
        ledger.apply([keep(key, holder.name, content="long " * 500) for key in keys])
        for key in keys:
            sys.stdout.write(f"{key}\n")
        sys.stdout.flush()


@pytest.mark.soak
@pytest.mark.parametrize("repeat", range(SOAK))
def test_what_was_acknowledged_outlives_a_process_that_is_killed_at_any_moment(url: str, repeat: int) -> None:
    moments, acknowledged = rng_for("killed ledger", repeat), set[str]()
    for kill in range(N_KILLS):
        process = started(BUY_FOR_EVER, url, str(kill))
        assert process.stdout
        told = process.stdout.readline()
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        told += process.stdout.read()
        assert process.wait(timeout=TIMEOUT_S) == -signal.SIGKILL
        process.stdout.close()
        acknowledged |= {line.strip() for line in told.splitlines(keepends=True) if line.endswith("\n")}
    with closing(Ledger.open(url)) as ledger:
        assert set(ledger.find(sorted(acknowledged))) == acknowledged
        [n_kept] = [row["calls"] for row in ledger.spending()]
        assert n_kept <= len(acknowledged) + N_KILLS * N_TOGETHER
        for balance in ledger.balances():
            assert balance.reserved == balance.reserved_in_rows == NOTHING
            assert balance.spent == balance.spent_in_rows
            n_lost, left = divmod(balance.spent.tokens - n_kept * COST.tokens, WORST.tokens)
            assert left == 0
            assert 0 <= n_lost <= N_KILLS * N_TOGETHER


# ------------------------------------------------------------------------------------------ several at work


def buy_all(url: str, number: int, max_cost_usd: float) -> Iterator[str]:
    """Buy the same calls as the others, in an order of one's own; tell what came of each."""
    keys = [f"k{place}" for place in range(N_KEYS)]
    random.Random(number).shuffle(keys)
    under = scopes(recipe=Cap(max_cost_usd=max_cost_usd))
    with closing(Ledger.open(url)) as ledger:
        holder = Holder.here()
        ledger.register(holder)
        while keys:
            keys, wanted = keys[N_TOGETHER:], keys[:N_TOGETHER]
            outcomes = ledger.apply([admit(key, holder.name, under) for key in wanted])
            keys += [key for key, outcome in zip(wanted, outcomes, strict=True) if waits(outcome)]
            mine = [key for key, outcome in zip(wanted, outcomes, strict=True) if isinstance(outcome, Admitted)]
            assert_within(ledger, under[2])
            ledger.apply([keep(key, holder.name, under) for key in mine])
            for key, outcome in zip(wanted, outcomes, strict=True):
                yield f"{key} {type(outcome).__name__}"
        ledger.leave(holder)


def waits(outcome: object) -> bool:
    return isinstance(outcome, Claimed) or (isinstance(outcome, OverCap) and outcome.may_fit_later)


def assert_within(ledger: Ledger, scope: Scope) -> None:
    [balance] = [balance for balance in ledger.balances() if balance.scope == scope.name]
    assert balance.spent.usd + balance.reserved.usd <= (scope.cap.max_cost_usd or 0) + 1e-12


def bought_by_all(url: str, max_cost_usd: float) -> list[Counter[str]]:
    """How often each key came to each outcome, for each process."""
    processes = [started(BUY_ALL, url, str(number), str(max_cost_usd)) for number in range(N_BUYERS)]
    told: Sequence[str] = [process.communicate(timeout=TIMEOUT_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * N_BUYERS
    return [Counter(lines.splitlines()) for lines in told]


def test_processes_that_want_the_same_calls_buy_each_once_and_share_it(url: str) -> None:
    counts = bought_by_all(url, max_cost_usd=1)
    for number in range(N_KEYS):
        admitted = [count[f"k{number} {Admitted.__name__}"] for count in counts]
        shared = [count[f"k{number} {Bought.__name__}"] for count in counts]
        assert sorted(admitted) == [0, 0, 0, 1]
        assert [one + other for one, other in zip(admitted, shared, strict=True)] == [1] * N_BUYERS
    with closing(Ledger.open(url)) as ledger:
        assert [row["calls"] for row in ledger.spending()] == [N_KEYS]
        assert {balance.spent for balance in ledger.balances()} == {Cost(N_KEYS * 600, N_KEYS * 60)}


def test_processes_never_pass_a_cap_together_and_use_what_it_has(url: str) -> None:
    cap = Cost(nano_usd=50_000, tokens=0)
    bought_by_all(url, max_cost_usd=cap.usd)
    with closing(Ledger.open(url)) as ledger:
        for balance in ledger.balances():
            assert balance.reserved == NOTHING
            assert cap.nano_usd - WORST.nano_usd < balance.spent.nano_usd <= cap.nano_usd
