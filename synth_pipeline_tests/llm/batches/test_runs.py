"""Several runs and one batch: what the budget has no room for, what another run holds, what an old one has left."""

import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from synth_pipeline.contracts.protocols import CallResult
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.verify import verify
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline_tests.llm.asking import Desk, capped, requests_for, start, states
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
    when,
)

N = 12
CREATED = "POST /v1/batches"


# ------------------------------------------------------------------------------------------ caps


def test_only_what_the_budget_has_room_for_is_submitted_and_the_rest_is_out_of_budget(desk: Desk) -> None:
    spender = capped(max_cost_usd=0.02)
    completer = make_completer(desk.ledger, None, spender)
    results = list(completer(requests_for(N), N))
    n_ok = Counter(states(results))["ok"]
    assert states(results) == ["ok"] * n_ok + ["out_of_budget"] * (N - n_ok)
    assert 0 < n_ok < N
    assert_bought_once(desk, n_ok)
    assert 0 < completer.tally.cost_usd <= 0.02
    reason = str(results[-1].reason)
    assert reason.startswith("the budget of recipe parcels is spent: $0.0")
    assert reason.endswith(" are held for calls in batches: once these have come, run again to go on")
    assert [status for (status,) in rows(desk, "SELECT status FROM tries")] == ["out_of_budget"]
    again = buy(desk.ledger, requests_for(N), None, capped(max_cost_usd=10))
    assert (states(again), again[:n_ok]) == (["ok"] * N, results[:n_ok])
    assert_bought_once(desk, N)


def test_a_budget_of_nothing_sends_nothing(desk: Desk) -> None:
    results = buy(desk.ledger, requests_for(N), None, capped(max_cost_usd=0))
    assert states(results) == ["out_of_budget"] * N
    assert (desk.server.stats()["paths"], statuses(desk)) == ({}, ["empty"])
    assert_settled(desk)


def test_what_is_held_for_a_batch_is_its_worst_case_at_its_own_price(desk: Desk) -> None:
    held: list[tuple[int, int]] = []
    progress = when(
        "done at the provider", lambda: held.extend(rows(desk, "SELECT reserved_nano_usd, reserved_tokens FROM totals"))
    )
    assert states(buy(desk.ledger, requests_for(N), progress)) == ["ok"] * N
    [(nano_usd, tokens)] = held
    completions = N * 400
    assert nano_usd == (tokens - completions) * 1_000 + completions * 4_000


# ------------------------------------------------------------------------------------------ other runs


def stop_midway(desk: Desk, words: str = " of 12 done at the provider") -> None:
    """Have a stage end while its batch is at the provider."""

    def stop() -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        buy(desk.ledger, requests_for(N), when(words, stop))


def test_a_batch_that_was_left_is_collected_by_the_next_run(desk: Desk) -> None:
    desk.server.set_dials(batch_s=0.5)
    stop_midway(desk)
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    assert_bought_once(desk, N)
    assert n_asked(desk, CREATED) == 1


def test_a_ledger_with_a_batch_under_way_holds_together(desk: Desk) -> None:
    stop_midway(desk)
    with closing(Database.open(f"sqlite:///{desk.file}")) as database:
        assert verify(database).problems == ()
    [batch] = desk.ledger.batches.under_way()
    assert (batch.n_calls, desk.ledger.batches.count_waiting(batch)) == (N, N)


def test_a_run_without_batches_does_not_buy_what_a_batch_holds_and_says_how_to_get_it(desk: Desk) -> None:
    stop_midway(desk)
    results = buy(desk.ledger, requests_for(N + 1), by_batch=False)
    assert states(results) == ["failed"] * N + ["ok"]
    [(key,)] = rows(desk, "SELECT batch_key FROM batches")
    [reason] = {result.reason for result in results[:N]}
    at = f"{key[:4]}-{key[4:6]}-{key[6:8]} {key[9:11]}:{key[11:13]}"
    assert reason == f"in batch {key} since {at} UTC; run again with --batch to collect it"
    assert desk.n_requests == 1
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    assert (desk.server.stats()["batch_requests"], desk.n_kept) == (N, N + 1)
    assert_settled(desk)


def test_a_changed_prompt_never_meets_an_old_batch_and_what_that_brought_is_kept(desk: Desk) -> None:
    stop_midway(desk, "12 of 12 done at the provider")
    changed = [replace(one, temperature=0.6) for one in requests_for(N)]
    desk.server.set_dials(content="{}")
    results = buy(desk.ledger, changed)
    assert states(results) == ["unparsable"] * N
    desk.server.set_dials()
    assert set(states(buy(desk.ledger, changed[:1] + requests_for(N)))) == {"unparsable", "ok"}
    assert desk.server.stats()["batch_requests"] == 0
    assert (statuses(desk), desk.n_kept) == (["completed", "completed"], 3 * N)
    assert_settled(desk)


def test_two_runs_that_want_the_same_wait_for_one_batch(desk: Desk) -> None:
    desk.server.set_dials(batch_s=1)
    given: dict[str, list[CallResult]] = {}
    second = Hearing()

    def run_beside() -> None:
        with closing(Ledger.open(f"sqlite:///{desk.file}")) as ledger:
            given["second"] = buy(ledger, requests_for(N), second)

    beside = threading.Thread(target=run_beside)
    given["first"] = buy(desk.ledger, requests_for(N), when("done at the provider", beside.start))
    beside.join()
    assert states(given["first"]) == ["ok"] * N
    assert given["second"] == given["first"]
    assert_bought_once(desk, N)
    assert any("another process sees to it" in notice for notice in second.heard)


def test_a_call_that_another_process_buys_by_itself_is_left_to_it(desk: Desk) -> None:
    desk.server.set_dials(latency_s=1.0, latency="constant")
    beside = threading.Thread(target=lambda: buy(desk.ledger, requests_for(2), by_batch=False))
    beside.start()
    wait_until(lambda: desk.server.stats()["in_flight"] == 2)
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    beside.join()
    stats = desk.server.stats()
    assert (stats["requests"], stats["batch_requests"], stats["asked_again"]) == (2, N - 2, 0)
    assert_settled(desk)


REPLAY = f"""
import sys
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import requests_for
from synth_pipeline_tests.llm.batches.buying import buy
results = buy(Ledger.open(sys.argv[1]), requests_for({N}))
print({{result.state for result in results}}, "litellm" in sys.modules)
"""


def test_a_filled_ledger_answers_without_a_server_and_without_litellm(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(desk.ledger, requests_for(N))
    monkeypatch.setenv("LOCAL_LLM_BASE_URL", "http://127.0.0.1:1/v1")
    with start(REPLAY, desk) as process:
        told, complaints = process.communicate(timeout=60)
    assert (told, complaints) == ("{'ok'} False\n", "")
