"""A partition is bought through the provider's batch API: at its price, into the same ledger, and never twice."""

from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from synth_pipeline.contracts.errors import ProviderDown, ProviderError
from synth_pipeline.contracts.protocols import CallResult
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline.llm.ledger.history import read_history
from synth_pipeline_tests.llm.asking import Desk, request, requests_for, states
from synth_pipeline_tests.llm.batches.buying import (
    MODEL,
    Hearing,
    assert_bought_once,
    assert_settled,
    buy,
    make_completer,
    n_asked,
    rows,
    statuses,
    values,
    wait_until,
    when,
)
from synth_pipeline_tests.loopback.talking import get

N = 12
CREATED = "POST /v1/batches"


def cost_of(results: list[CallResult]) -> float:
    return sum(float(str(result.provenance["cost_usd"])) for result in results)


# ------------------------------------------------------------------------------------------ what a batch brings


def test_half_the_price_is_booked(desk: Desk) -> None:
    completer = make_completer(desk.ledger)
    assert states(list(completer(requests_for(N), N))) == ["ok"] * N
    assert_bought_once(desk, N)
    stats = desk.server.stats()
    half = (stats["batch_tokens_in"] * 1.0 + stats["batch_tokens_out"] * 4.0) / 1e6
    assert completer.tally.cost_usd == pytest.approx(half)
    assert (completer.tally.n_bought, completer.tally.n_replayed, completer.tally.in_flight) == (N, 0, 0)
    assert sum(row["cost_usd"] for row in desk.ledger.spending()) == pytest.approx(half)
    assert (n_asked(desk, CREATED), statuses(desk)) == (1, ["completed"])


def test_records_and_entries_are_the_ones_that_single_calls_bring(desk: Desk) -> None:
    bought = buy(desk.ledger, requests_for(N))
    file = desk.file.with_name("other.sqlite")
    with closing(Ledger.open(f"sqlite:///{file}")) as ledger:
        other = replace(desk, ledger=ledger, file=file)
        single = buy(ledger, requests_for(N), by_batch=False)
        assert list(values(bought)) == list(values(single))
        assert cost_of(bought) == pytest.approx(cost_of(single) / 2)
        same = (
            "call_key, messages, parameters, schema_sha256, content, finish_reason, status, parsed, run, scopes, tries"
        )
        query = f"SELECT {same} FROM calls ORDER BY call_key"
        assert rows(desk, query) == rows(other, query)
        assert rows(desk, "SELECT * FROM schemas") == rows(other, "SELECT * FROM schemas")
    names = rows(desk, "SELECT provider_request_id FROM calls")
    assert len({name for (name,) in names}) == N
    assert all(name.startswith("loopback-batch-") for (name,) in names)


def test_a_second_run_costs_nothing_and_asks_nobody(desk: Desk) -> None:
    first = buy(desk.ledger, requests_for(N))
    asked = desk.server.stats()["paths"]
    completer = make_completer(desk.ledger)
    assert list(completer(requests_for(N), N)) == first
    assert (completer.tally.cost_usd, completer.tally.n_bought, completer.tally.n_replayed) == (0.0, 0, N)
    assert desk.server.stats()["paths"] == asked


def test_only_what_is_missing_is_bought(desk: Desk) -> None:
    first = buy(desk.ledger, requests_for(N))
    completer = make_completer(desk.ledger)
    assert list(completer(requests_for(2 * N), 2 * N))[:N] == first
    assert (completer.tally.n_bought, completer.tally.n_replayed) == (N, N)
    assert_bought_once(desk, 2 * N)


def test_what_a_large_batch_says_of_itself(desk: Desk) -> None:
    desk.server.set_dials(batch_s=1)
    progress = Hearing()
    assert states(buy(desk.ledger, requests_for(300), progress)) == ["ok"] * 300
    assert_bought_once(desk, 300)
    said = [notice.partition(": ")[2] for notice in progress.heard]
    assert said[:4] == ["preparing", "uploading 300 calls", "uploaded, submitting", "submitted"]
    assert any(" of 300 done at the provider, submitted " in one for one in said)
    assert [one for one in said if one.endswith("collected")] == [
        "256 of 300 lines collected",
        "300 of 300 lines collected",
    ]
    assert said[-1] == ""


def test_a_model_of_openai_is_bought_at_the_price_that_litellm_lists(desk: Desk) -> None:
    row: dict[str, Any] = {"models": {"default": "openai/gpt-4.1-mini"}, "prices": {}}
    completer = make_completer(desk.ledger, **row)
    assert states(list(completer(requests_for(N), N))) == ["ok"] * N
    assert_bought_once(desk, N)
    stats = desk.server.stats()
    assert completer.tally.cost_usd == pytest.approx(
        (stats["batch_tokens_in"] * 0.2 + stats["batch_tokens_out"] * 0.8) / 1e6
    )


def test_more_than_a_file_holds_goes_in_several_batches_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth_pipeline.llm.batches.fetching.MOST_CALLS", 5)
    desk.server.set_dials(batch_s=1)
    progress = Hearing()
    assert states(buy(desk.ledger, requests_for(N), progress)) == ["ok"] * N
    assert_bought_once(desk, N)
    assert rows(desk, "SELECT n_calls, status FROM batches ORDER BY rowid") == [(n, "completed") for n in (5, 5, 2)]
    assert max(notice.count("done at the provider") for notice in progress.heard) == 3


def test_larger_than_a_file_may_be_goes_in_several_batches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth_pipeline.llm.batches.fetching.MOST_BYTES", 6_000)
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    assert_bought_once(desk, N)
    assert 2 <= len(statuses(desk)) < N


def test_a_batch_says_nothing_of_how_long_a_call_takes(desk: Desk) -> None:
    def history() -> float | None:
        with closing(Database.open(f"sqlite:///{desk.file}")) as database:
            found = read_history(database, "parcels", "write", ("local", MODEL))
            assert found is not None
            return found.seconds

    buy(desk.ledger, requests_for(N))
    assert history() is None
    desk.server.set_dials(latency_s=0.2, latency="constant")
    buy(desk.ledger, requests_for(N + 1))
    told = history()
    assert told is not None
    assert told >= (N + 1) * 0.2


# ------------------------------------------------------------------------------------------ what a batch does not bring


def test_error_lines_are_bought_call_by_call(desk: Desk) -> None:
    desk.server.set_dials(faults={"server_error": 2, "bad_request": 1})
    completer = make_completer(desk.ledger)
    assert states(list(completer(requests_for(N), N))) == ["ok"] * N
    assert (desk.server.stats()["batch_requests"], desk.n_requests, desk.n_kept) == (N, 3, N)
    tries = rows(desk, "SELECT status, fault, http_status, nano_usd FROM tries ORDER BY id")
    assert Counter(tries) == {
        ("transient_error", "server_error", 500, 0): 2,
        ("permanent_error", None, 400, 0): 1,
    }
    assert completer.tally.retries == {"server_error": 2, "permanent_error": 1}
    assert (completer.tally.n_bought, completer.tally.n_replayed) == (N, 0)
    stats = desk.server.stats()
    in_batch = stats["batch_tokens_in"] * 1.0 + stats["batch_tokens_out"] * 4.0
    by_itself = stats["billed_tokens_in"] * 2.0 + stats["billed_tokens_out"] * 8.0
    assert completer.tally.cost_usd == pytest.approx((in_batch + by_itself) / 1e6)
    assert_settled(desk)


def test_a_refusal_is_kept_and_an_unparsable_answer_is_repaired_by_a_single_call(desk: Desk) -> None:
    desk.server.set_dials(faults={"refusal": 1, "malformed_json": 1, "content_policy": 1})
    completer = make_completer(desk.ledger)
    results = list(completer(requests_for(N), N))
    assert Counter(states(results)) == {"ok": N - 2, "refused": 2}
    assert sorted(str(result.provenance["attempts"]) for result in results) == ["1"] * (N - 1) + ["2"]
    assert (desk.server.stats()["batch_requests"], desk.n_requests, desk.n_kept) == (N, 1, N + 1)
    assert (completer.tally.n_bought, completer.tally.n_replayed) == (N + 1, 0)
    assert_settled(desk)


def test_what_an_expired_batch_has_done_is_kept_and_the_rest_is_bought_call_by_call(desk: Desk) -> None:
    desk.server.set_dials(batch_ends="expired")
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    assert (desk.server.stats()["batch_requests"], desk.n_requests, desk.n_kept) == (N // 2, N // 2, N)
    assert desk.server.stats()["asked_again"] == 0
    told = rows(desk, "SELECT status, fault, reason, nano_usd FROM tries")
    assert {row[:2] + row[3:] for row in told} == {("transient_error", "timeout", 0)}
    assert {row[2] for row in told} == {
        "batch_expired: This request could not be executed before the completion window expired."
    }
    assert statuses(desk) == ["expired"]
    assert_settled(desk)


def test_a_provider_whose_queue_is_full_is_asked_for_less_at_a_time(desk: Desk) -> None:
    desk.server.set_dials(batch_ends="failed")
    progress = when(": uploading 3 calls", lambda: desk.server.turn_dials(batch_ends="completed"))
    assert states(buy(desk.ledger, requests_for(N), progress)) == ["ok"] * N
    assert_bought_once(desk, N)
    assert statuses(desk) == ["failed"] * 2 + ["completed"] * 4
    sizes = [n for (n,) in rows(desk, "SELECT n_calls FROM batches ORDER BY rowid")]
    assert sizes == [12, 6, 3, 3, 3, 3]


def test_a_queue_that_stays_full_stops_the_stage_and_nothing_is_bought_at_another_price(desk: Desk) -> None:
    desk.server.set_dials(batch_ends="failed")
    with pytest.raises(ProviderDown) as caught:
        buy(desk.ledger, requests_for(N))
    assert str(caught.value) == (
        f"provider local, model {MODEL}: its queue of batches has no room for 3 calls\n"
        "  fix: run again once other batches of the account have ended, or run without --batch"
    )
    assert (desk.n_requests, desk.n_kept) == (0, 0)
    assert_settled(desk)


def test_a_provider_out_of_order_is_asked_until_it_answers(desk: Desk) -> None:
    desk.server.set_dials(store_faults={"service_unavailable": 1, "reset": 1, "malformed_body": 1, "rate_limit": 1})
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    assert_bought_once(desk, N)
    assert desk.server.stats()["faults"] == {"service_unavailable": 1, "reset": 1, "malformed_body": 1, "rate_limit": 1}


@pytest.mark.parametrize("fault", ["reset", "malformed_body", "service_unavailable", "truncated_body", "rate_limit"])
def test_a_batch_whose_making_was_not_heard_of_is_looked_for_and_not_made_twice(desk: Desk, fault: str) -> None:
    progress = when("uploaded, submitting", lambda: desk.server.turn_dials(store_faults={fault: 1}))
    assert states(buy(desk.ledger, requests_for(N), progress)) == ["ok"] * N
    assert_bought_once(desk, N)
    assert desk.server.stats()["faults"] == {fault: 1}
    assert n_asked(desk, "GET /v1/batches") == 1
    was_turned_away = fault in {"service_unavailable", "rate_limit"}
    assert n_asked(desk, CREATED) == (2 if was_turned_away else 1)


@pytest.mark.parametrize("fault", ["reset_in_body", "truncated_body", "server_error"])
def test_a_file_that_breaks_off_is_read_again_and_nothing_is_kept_twice(desk: Desk, fault: str) -> None:
    def spoil(notice: str) -> None:
        if notice.endswith(": submitted"):
            wait_until(lambda: get(f"{desk.server.base_url}/batches").json["data"][0]["status"] == "completed")
        if "12 of 12 done" in notice:
            desk.server.turn_dials(store_faults={fault: 3})

    assert states(buy(desk.ledger, requests_for(N), Hearing(at=spoil))) == ["ok"] * N
    assert_bought_once(desk, N)
    assert (n_asked(desk, "GET /v1/files/{id}/content"), desk.server.stats()["faults"]) == (4, {fault: 3})
    assert rows(desk, "SELECT * FROM tries") == []


# ------------------------------------------------------------------------------------------ what is not bought so


def test_one_call_and_the_panels_questions_are_not_worth_a_batch(desk: Desk) -> None:
    assert states(buy(desk.ledger, [request()])) == ["ok"]
    asked = [replace(one, role="structure") for one in requests_for(3)]
    completer = make_completer(desk.ledger, Anything())
    assert states(list(completer(asked, 3))) == ["ok"] * 3
    assert (n_asked(desk, CREATED), desk.n_requests) == (0, 4)


class Anything:
    """A progress that takes every label."""

    def start(self, label: str, tally: object) -> None: ...

    def update(self, tally: object) -> None: ...

    def finish(self, tally: object) -> None: ...


@pytest.mark.parametrize(
    ("row", "what", "fix"),
    [
        (
            {"batch": False},
            "row 'local' does not say that its batch API may be used",
            "set batch: true in the row, or run without --batch",
        ),
        (
            {"models": {"default": "anthropic/claude-opus-5"}},
            "row 'local', model anthropic/claude-opus-5: only models of hosted_vllm and openai can be asked in batches",
            "set batch: false in the row, or run without --batch",
        ),
        (
            {"models": {"default": "offline/terse"}, "free": True},
            "row 'local', model offline/terse: only models of hosted_vllm and openai can be asked in batches",
            "set batch: false in the row, or run without --batch",
        ),
        (
            {"models": {"default": "openai/gpt-4.1"}, "api_key_env": None},
            "row 'local', model openai/gpt-4.1: the row names no key",
            "set batch: false in the row, or run without --batch",
        ),
    ],
    ids=["row", "anthropic", "offline", "key"],
)
def test_who_cannot_be_asked_in_batches_is_said_before_anything_is_sent(
    desk: Desk, row: dict[str, Any], what: str, fix: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        buy(desk.ledger, requests_for(N), **row)
    assert str(caught.value) == f"providers.yaml: {what}\n  fix: {fix}"
    assert (desk.server.stats()["paths"], desk.n_kept) == ({}, 0)


def test_a_batch_without_a_known_price_is_booked_at_the_ordinary_one_and_says_so(desk: Desk) -> None:
    progress = Hearing()
    prices = {MODEL: {"usd_per_mtok_in": 2.0, "usd_per_mtok_out": 8.0}}
    completer = make_completer(desk.ledger, progress, prices=prices)
    assert states(list(completer(requests_for(N), N))) == ["ok"] * N
    stats = desk.server.stats()
    assert completer.tally.cost_usd == pytest.approx(
        (stats["batch_tokens_in"] * 2.0 + stats["batch_tokens_out"] * 8.0) / 1e6
    )
    assert f"the price of {MODEL} in batches is not known: its calls are booked at the ordinary one" in progress.heard
