"""A process that buys by batches is killed at every step; the next run goes on there, and nothing is paid twice."""

import signal
import time
from contextlib import closing

import pytest

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import SOAK, Desk, requests_for, start, states
from synth_pipeline_tests.llm.batches.buying import (
    Hearing,
    assert_bought_once,
    assert_settled,
    buy,
    make_completer,
    n_asked,
    rows,
    statuses,
    wait_until,
)

N, MANY = 20, 300  # the latter: more than one transaction of answers
CREATED = "POST /v1/batches"
UPLOADED = "POST /v1/files"
BUY = """
import os, signal, sys
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import requests_for
from synth_pipeline_tests.llm.batches.buying import buy, when
progress = when({words!r}, lambda: os.kill(os.getpid(), signal.{signal}))
print({{result.state for result in buy(Ledger.open(sys.argv[1]), requests_for({n}), progress)}})
"""
NEVER = "nothing says this"


def buying(words: str = NEVER, n: int = N, by: signal.Signals = signal.SIGKILL) -> str:
    """Return code that buys, and is killed at the first notice that has these words."""
    return BUY.format(words=words, signal=by.name, n=n)


def run_and_be_killed(desk: Desk, words: str, n: int = N) -> None:
    with start(buying(words, n), desk) as process:
        told, complaints = process.communicate(timeout=120)
    assert (told, complaints, process.returncode) == ("", "", -signal.SIGKILL)


def assert_the_next_run_brings_all(desk: Desk, n: int = N, n_replayed: int = 0) -> None:
    completer = make_completer(desk.ledger)
    assert states(list(completer(requests_for(n), n))) == ["ok"] * n
    assert (completer.tally.n_bought, completer.tally.n_replayed) == (n - n_replayed, n_replayed)
    assert_bought_once(desk, n)
    again = make_completer(desk.ledger)
    assert states(list(again(requests_for(n), n))) == ["ok"] * n
    assert (again.tally.n_bought, again.tally.cost_usd) == (0, 0.0)


@pytest.mark.parametrize("words", ["preparing", "uploading"])
def test_killed_before_the_upload_nothing_was_sent_and_a_new_batch_is_begun(desk: Desk, words: str) -> None:
    run_and_be_killed(desk, words)
    assert (statuses(desk), desk.server.stats()["paths"]) == (["preparing"], {})
    assert_the_next_run_brings_all(desk)
    assert statuses(desk) == ["abandoned", "completed"]


def test_killed_while_it_uploads_the_file_is_left_and_a_new_batch_is_begun(desk: Desk) -> None:
    desk.server.set_dials(store_faults={"hang": 1})
    with start(buying(), desk) as process:
        wait_until(lambda: n_asked(desk, UPLOADED))
        process.kill()
    assert statuses(desk) == ["preparing"]
    assert_the_next_run_brings_all(desk)
    assert (statuses(desk), n_asked(desk, UPLOADED)) == (["abandoned", "completed"], 2)


def test_a_batch_of_which_nothing_was_sent_is_in_nobodys_way_even_without_batches(desk: Desk) -> None:
    run_and_be_killed(desk, "uploading")
    with closing(Ledger.open(f"sqlite:///{desk.file}")) as ledger:
        assert states(buy(ledger, requests_for(3), by_batch=False)) == ["ok"] * 3
    assert (statuses(desk), desk.n_requests) == (["abandoned"], 3)
    assert_settled(desk)


def test_killed_after_the_upload_the_batch_is_made_by_the_next_run(desk: Desk) -> None:
    run_and_be_killed(desk, "uploaded, submitting")
    assert (statuses(desk), n_asked(desk, CREATED)) == (["submitting"], 0)
    assert_the_next_run_brings_all(desk)
    assert (n_asked(desk, UPLOADED), n_asked(desk, CREATED), statuses(desk)) == (1, 1, ["completed"])


def test_killed_after_the_batch_was_made_and_before_it_was_heard_of_it_is_found_again(desk: Desk) -> None:
    words = "uploaded, submitting"
    code = buying(words).replace(
        "progress = when(",
        f"from synth_pipeline_tests.loopback import RunningServer\n"
        f"server = RunningServer({desk.server.base_url!r})\n"
        f"progress = when({words!r}, lambda: server.turn_dials(store_faults={{'hang': 1}})) or when(",
    )
    with start(code, desk) as process:
        wait_until(lambda: n_asked(desk, CREATED))
        process.kill()
    assert statuses(desk) == ["submitting"]
    assert_the_next_run_brings_all(desk)
    assert (n_asked(desk, UPLOADED), n_asked(desk, CREATED), statuses(desk)) == (1, 1, ["completed"])


@pytest.mark.parametrize("words", [": submitted", "done at the provider"])
def test_killed_while_the_batch_is_at_the_provider_it_is_waited_for_again(desk: Desk, words: str) -> None:
    desk.server.set_dials(batch_s=1)
    run_and_be_killed(desk, words)
    assert statuses(desk) == ["submitted"]
    assert_the_next_run_brings_all(desk)
    assert n_asked(desk, CREATED) == 1


def test_killed_while_it_collects_only_the_rest_is_collected(desk: Desk) -> None:
    run_and_be_killed(desk, "256 of 300 lines collected", MANY)
    assert (statuses(desk), desk.n_kept) == (["submitted"], 256)
    assert_the_next_run_brings_all(desk, MANY, n_replayed=256)
    assert n_asked(desk, CREATED) == 1


def test_killed_after_the_last_answer_the_batch_is_finished_by_the_next_run(desk: Desk) -> None:
    run_and_be_killed(desk, "20 of 20 lines collected")
    assert (statuses(desk), desk.n_kept) == (["submitted"], N)
    assert_the_next_run_brings_all(desk, n_replayed=N)
    assert statuses(desk) == ["completed"]


def test_interrupted_it_says_that_the_batch_goes_on(desk: Desk) -> None:
    desk.server.set_dials(batch_s=1)
    code = buying("done at the provider", by=signal.SIGINT) + "\n"
    code = code.replace("print(", "import atexit; atexit.register(lambda: print(progress.heard[-1]))\nprint(")
    with start(code, desk) as process:
        told, complaints = process.communicate(timeout=120)
    assert told == "a batch that was submitted goes on at the provider; run again with --batch to collect it\n"
    assert complaints.splitlines()[-1] == "KeyboardInterrupt"
    assert rows(desk, "SELECT * FROM holders") == []
    assert_the_next_run_brings_all(desk)


@pytest.mark.soak
@pytest.mark.parametrize("round_", range(SOAK))
def test_killed_at_any_moment_nothing_is_bought_twice_and_nothing_is_lost(desk: Desk, round_: int) -> None:
    desk.server.set_dials(batch_s=0.5)
    rng = rng_for("batch kill", round_)
    for _ in range(3):
        with start(buying(), desk) as process:
            wait_until(lambda: desk.file.exists() and rows(desk, "SELECT * FROM batches"))
            time.sleep(rng.uniform(0, 0.7))
            process.kill()
    completer = make_completer(desk.ledger, Hearing())
    assert states(list(completer(requests_for(N), N))) == ["ok"] * N
    assert_bought_once(desk, N)
