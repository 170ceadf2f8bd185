"""Caps that hold with many calls in flight and several processes; faults that stop a stage, and what is kept then."""

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from synth_pipeline.contracts.errors import PermanentCallError, ProviderDown
from synth_pipeline.contracts.spending import NANO
from synth_pipeline_tests.llm.asking import (
    DEAR,
    HASTY,
    ROUTES,
    Desk,
    capped,
    request,
    requests_for,
    start,
    states,
)

USD_IN, USD_OUT = 1e-6, 1e-5  # a token, by the prices of DEAR


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def billed_usd(desk: Desk) -> float:
    """Return what the server would bill, whether its answers came through or not."""
    told = desk.server.stats()
    return float(told["billed_tokens_in"] * USD_IN + told["billed_tokens_out"] * USD_OUT)


# ------------------------------------------------------------------------------------------ caps


def test_a_stage_stops_at_its_cap_with_what_it_has_and_goes_on_when_the_cap_is_raised(desk: Desk) -> None:
    desk.server.set_dials(latency_s=0.02)
    tight = capped(max_cost_usd=0.05)
    first = desk.ask(*requests_for(40), spender=tight, **DEAR)
    n_ok = Counter(states(first))["ok"]
    assert Counter(states(first)) == {"ok": n_ok, "out_of_budget": 40 - n_ok}
    assert 0 < n_ok < 40
    assert 0 < billed_usd(desk) <= 0.05
    [reason] = {str(result.reason) for result in first if result.state != "ok"}
    assert reason.startswith("the budget of recipe parcels is spent: $0.0")
    assert desk.n_requests == n_ok
    assert states(desk.ask(*requests_for(40), spender=tight, **DEAR)) == states(first)
    assert desk.n_requests == n_ok
    assert set(states(desk.ask(*requests_for(40), spender=capped(max_cost_usd=10), **DEAR))) == {"ok"}
    assert (desk.n_requests, desk.n_kept) == (40, 40)


def test_a_cap_of_nothing_answers_from_the_ledger_alone(desk: Desk) -> None:
    desk.ask(*requests_for(3), **DEAR)
    results = desk.ask(*requests_for(5), spender=capped(max_cost_usd=0), **DEAR)
    assert states(results) == ["ok"] * 3 + ["out_of_budget"] * 2
    assert desk.n_requests == 3


def test_a_cap_on_tokens_holds_where_nothing_costs(desk: Desk) -> None:
    results = desk.ask(*requests_for(40), spender=capped(max_tokens=6_000))
    told = desk.server.stats()
    assert 0 < told["billed_tokens_in"] + told["billed_tokens_out"] <= 6_000
    assert set(states(results)) == {"ok", "out_of_budget"}


def test_a_repair_that_the_cap_does_not_allow_leaves_the_call_out_of_budget(desk: Desk) -> None:
    desk.server.set_dials(faults={"malformed_json": 99})
    [result] = desk.ask(request(), spender=capped(max_tokens=2_000))
    assert (result.state, result.provenance["attempts"]) == ("out_of_budget", 1)


@pytest.mark.parametrize("fault", ["reset", "truncated_body", "malformed_body"])
def test_an_answer_that_never_came_but_may_be_billed_counts_against_the_cap(desk: Desk, fault: str) -> None:
    desk.server.set_dials(fault_shares={fault: 0.5}, seed=3)
    desk.ask(*requests_for(30), spender=capped(max_cost_usd=0.12), max_concurrency=4, **DEAR)
    assert 0 < billed_usd(desk) <= 0.12


BUY_UNDER_A_CAP = """
import sys
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.contracts.providers import Provider
from synth_pipeline_tests.llm.asking import DEAR, HASTY, LOCAL, CountingProgress, capped, requests_for
row = Provider.model_validate({**LOCAL.model_dump(), **DEAR, "max_concurrency": 128})
office = Office(Ledger.open(sys.argv[1]), capped(max_cost_usd=1.0), CountingProgress(), patience=HASTY)
results = list(LedgeredCompleter(row, office)(requests_for(400), 400))
print(sum(result.state == "ok" for result in results))
"""


def test_two_processes_with_128_calls_in_flight_each_keep_to_one_cap_and_buy_each_call_once(desk: Desk) -> None:
    desk.server.set_dials(latency_s=0.1)
    processes = [start(BUY_UNDER_A_CAP, desk) for _ in range(2)]
    told = [process.communicate(timeout=120) for process in processes]
    assert [complaint for _, complaint in told] == ["", ""]
    stats = desk.server.stats()
    assert 0.3 < billed_usd(desk) <= 1.0
    assert stats["asked_again"] == 0
    assert max(int(n_ok) for n_ok, _ in told) <= desk.n_kept == stats["answered"]
    for balance in desk.ledger.balances():
        assert (balance.spent, balance.reserved) == (balance.spent_in_rows, balance.reserved_in_rows)


# ------------------------------------------------------------------------------------------ several buyers


def test_equal_requests_of_one_stage_are_bought_once(desk: Desk) -> None:
    desk.server.set_dials(latency_s=0.05)
    results = desk.ask(request(), request(), request())
    assert results[0] == results[1] == results[2]
    assert desk.n_requests == 1


def test_a_call_that_another_buyer_has_under_way_is_waited_for(desk: Desk) -> None:
    desk.server.set_dials(latency_s=1)
    with start(BUY_UNDER_A_CAP.replace("400", "3"), desk) as process:
        wait_until(lambda: int(desk.server.stats()["in_flight"]) == 3)
        results = desk.ask(*requests_for(3), **DEAR)
        process.communicate(timeout=60)
    assert states(results) == ["ok"] * 3
    assert desk.n_requests == 3


def test_what_a_killed_process_had_under_way_is_taken_over_at_once_and_counted_as_lost(desk: Desk) -> None:
    desk.server.set_dials(latency_s=30)
    with start(BUY_UNDER_A_CAP.replace("400", "3"), desk) as process:
        wait_until(lambda: int(desk.server.stats()["in_flight"]) == 3)
        process.kill()
    desk.server.set_dials()
    started = time.monotonic()
    assert states(desk.ask(*requests_for(3), **DEAR)) == ["ok"] * 3
    assert time.monotonic() - started < 20
    with sqlite3.connect(desk.file) as database:
        lost = database.execute("select count(*), min(nano_usd) from tries where status = 'lost'").fetchone()
    assert lost[0] == 3
    assert lost[1] > 0


# ------------------------------------------------------------------------------------------ stages that end early


@pytest.mark.parametrize("model", ROUTES)
def test_a_request_that_alone_is_refused_is_a_failed_record_and_the_others_go_on(desk: Desk, model: str) -> None:
    desk.ask(*requests_for(3), models={"default": model})
    desk.server.set_dials(faults={"bad_request": 1})
    results = desk.ask(*requests_for(8), models={"default": model}, max_concurrency=1)
    assert states(results) == ["ok"] * 3 + ["failed"] + ["ok"] * 4
    assert str(results[3].reason).startswith("the provider refuses this request: the request of <LOCAL_LLM_KEY>")


def test_a_request_that_every_provider_would_refuse_stops_the_stage(desk: Desk) -> None:
    desk.server.set_dials(faults={"unprocessable": 99})
    with pytest.raises(PermanentCallError):
        desk.ask(*requests_for(20), max_concurrency=2)
    assert desk.n_requests <= 2


def test_a_dead_provider_is_paused_and_then_given_up_with_what_was_bought_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.ask(*requests_for(5))
    monkeypatch.setenv("LOCAL_LLM_BASE_URL", "http://127.0.0.1:1/v1")
    completer = desk.completer(give_up_after_s=0.2)
    with pytest.raises(ProviderDown, match="has answered nothing for") as caught:
        list(completer(requests_for(40), 40))
    assert "what was bought is in the ledger" in str(caught.value)
    assert desk.n_kept == 5


def test_a_provider_that_comes_back_is_gone_on_with(desk: Desk) -> None:
    desk.server.set_dials(dead=True)
    with start(BUY_UNDER_A_CAP.replace("400", "20"), desk) as process:
        wait_until(lambda: int(desk.server.stats()["faults"].get("dead", 0)) >= 5)
        desk.server.turn_dials(dead=False)
        told, complaints = process.communicate(timeout=60)
    assert (told.strip(), complaints) == ("20", "")


STOP_IN_THE_MIDDLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import LOCAL, SPENDER, CountingProgress, requests_for
office = Office(Ledger.open(sys.argv[1]), SPENDER, CountingProgress())
try:
    list(LedgeredCompleter(LOCAL, office)(requests_for(60), 60))
except KeyboardInterrupt:
    print("stopped")
"""


def test_an_interrupt_sends_nothing_more_and_keeps_what_was_in_flight(desk: Desk) -> None:
    desk.server.set_dials(latency_s=1.0, latency="constant")
    with start(STOP_IN_THE_MIDDLE, desk) as process:
        wait_until(lambda: int(desk.server.stats()["in_flight"]) == 8)
        os.kill(process.pid, signal.SIGINT)
        told, complaints = process.communicate(timeout=60)
    assert (told.strip(), complaints) == ("stopped", "")
    assert desk.n_kept == desk.n_requests <= 16
    with sqlite3.connect(desk.file) as database:
        assert database.execute("select count(*) from claims").fetchone() == (0,)


# ------------------------------------------------------------------------------------------ faults by share


@pytest.mark.soak
def test_with_faults_of_every_sort_each_request_ends_in_one_state_and_all_that_can_succeed_do(desk: Desk) -> None:
    shares = {"rate_limit": 0.05, "server_error": 0.02, "truncated_json": 0.02, "reset": 0.02, "truncated_body": 0.02}
    desk.server.set_dials(fault_shares=shares, latency_s=0.01, seed=11)
    results = desk.ask(*requests_for(300), max_concurrency=32, patience=HASTY)
    assert [result.sample for result in results] == [f"p{number}" for number in range(300)]
    assert Counter(states(results))["ok"] >= 297  # a spoilt repair of a spoilt answer is unparsable: 0.02 squared
    assert set(states(results)) <= {"ok", "unparsable"}
    assert desk.n_kept == desk.ledger.spending()[0]["calls"]


def test_what_each_attempt_became_is_in_the_ledger(desk: Desk) -> None:
    desk.server.set_dials(faults={"rate_limit": 1, "server_error": 1, "malformed_json": 1})
    [result] = desk.ask(request(), **DEAR)
    assert result.state == "ok"
    with sqlite3.connect(desk.file) as database:
        told: list[Any] = database.execute(
            "select attempt, tries, status, fault, http_status, nano_usd > 0 from attempts order by ended_at, attempt"
        ).fetchall()
        total = database.execute("select nano_usd from totals where scope = 'recipe:parcels'").fetchone()[0]
    assert told == [
        (0, 1, "transient_error", "rate_limit", 429, 0),
        (0, 2, "transient_error", "server_error", 500, 0),
        (0, 3, "unparsable", None, None, 1),
        (1, 1, "ok", None, None, 1),
    ]
    assert total / NANO == pytest.approx(result.provenance["cost_usd"])
