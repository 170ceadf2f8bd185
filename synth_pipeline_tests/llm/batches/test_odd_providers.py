"""Providers that lose lines, forget batches, list them by pages or have none: each is told apart, and money is safe."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pipeline.contracts.errors import InputError, PermanentCallError
from synth_pipeline.llm.batches.collecting import give_up
from synth_pipeline_tests.llm.asking import CANARY, Desk, requests_for, states
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
    when,
)
from synth_pipeline_tests.llm.batches.odd import OddProvider, odd_provider
from synth_pipeline_tests.loopback.talking import get, post, talk

N = 8
CREATED, CANCELLED = "POST /v1/batches", "POST /v1/batches/{id}/cancel"
WHERE = f"provider local, model {MODEL}"


@pytest.fixture
def odd(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[OddProvider]:
    with odd_provider(desk.server.base_url) as provider:
        monkeypatch.setenv("LOCAL_LLM_BASE_URL", provider.base_url)
        yield provider


def stop() -> None:
    raise RuntimeError("stopped")


# ------------------------------------------------------------------------------------------ what files lack


def test_a_call_without_a_line_counts_as_spent_at_its_worst_and_is_bought_by_itself(
    desk: Desk, odd: OddProvider
) -> None:
    odd.change_lines(lambda lines: lines[:-1])
    completer = make_completer(desk.ledger)
    assert states(list(completer(requests_for(N), N))) == ["ok"] * N
    assert (desk.server.stats()["batch_requests"], desk.n_requests, desk.n_kept) == (N, 1, N)
    [(status, reason, nano_usd, tokens)] = rows(desk, "SELECT status, reason, nano_usd, tokens FROM tries")
    assert (status, reason) == ("lost", "the batch ended without a word on it; it may be billed")
    assert nano_usd == (tokens - 400) * 1_000 + 400 * 4_000
    assert completer.tally.retries == {"lost": 1}
    assert_settled(desk)


def test_lines_that_are_none_or_not_ours_or_come_twice_are_left_alone(desk: Desk, odd: OddProvider) -> None:
    odd.change_lines(
        lambda lines: ["{cut", "", "[]", '{"custom_id": 7}', {**lines[0], "custom_id": "k"}, *lines, *lines]
    )
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    assert_bought_once(desk, N)
    assert rows(desk, "SELECT * FROM tries") == []


@pytest.mark.parametrize(
    ("spoilt", "fault", "billed"),
    [
        ({"response": {"status_code": 200, "body": {"object": "none"}}}, "truncated", True),
        ({"response": {"status_code": 200, "body": "cut"}}, "truncated", True),
        ({"response": {"status_code": 503, "body": None}}, "server_error", False),
        ({"response": None, "error": {"code": "batch_cancelled", "message": "late"}}, "timeout", False),
        ({"response": None, "error": None}, "timeout", False),
    ],
    ids=["other", "text", "503", "error", "nothing"],
)
def test_a_line_without_a_completion_is_told_apart_by_whether_it_may_be_billed(
    desk: Desk, odd: OddProvider, spoilt: dict[str, Any], fault: str, billed: bool
) -> None:
    odd.change_lines(lambda lines: [{"custom_id": lines[0]["custom_id"], **spoilt}, *lines[1:]])
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    [(status, told, nano_usd)] = rows(desk, "SELECT status, fault, nano_usd FROM tries")
    assert (status, told, nano_usd > 0) == ("transient_error", fault, billed)
    assert_settled(desk)


def test_a_file_that_the_provider_has_not_kept_brings_nothing(desk: Desk, odd: OddProvider) -> None:
    odd.answer("GET /v1/files", 404, {"error": {"message": "No such File object"}})
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    assert (desk.n_requests, desk.n_kept) == (N, N)
    assert Counter(rows(desk, "SELECT status, nano_usd > 0 FROM tries")) == {("lost", 1): N}
    assert_settled(desk)


def test_files_that_are_named_only_after_the_end_are_waited_for(desk: Desk, odd: OddProvider) -> None:
    shown: list[str] = []

    def name_later(batch: dict[str, Any]) -> dict[str, Any]:
        shown.append(batch["status"])
        early = batch["status"] == "completed" and shown.count("completed") < 3
        return {**batch, "output_file_id": None} if early else batch

    odd.change_batches(name_later)
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N
    assert_bought_once(desk, N)
    assert shown.count("completed") == 3


def test_a_cancelled_batch_is_kept_as_far_as_it_came(desk: Desk) -> None:
    desk.server.set_dials(batch_s=20)

    def cancel(notice: str) -> None:
        if "of 40 done" not in notice or notice.count(": 0 of") or desk.server.stats()["paths"].get(CANCELLED):
            return
        [batch] = get(f"{desk.server.base_url}/batches").json["data"]
        post(f"{desk.server.base_url}/batches/{batch['id']}/cancel", {})

    assert states(buy(desk.ledger, requests_for(40), Hearing(at=cancel))) == ["ok"] * 40
    in_batch = desk.server.stats()["batch_requests"]
    assert 0 < in_batch < 40
    assert (desk.n_requests, desk.n_kept) == (40 - in_batch, 40)
    assert set(rows(desk, "SELECT status, reason, nano_usd FROM tries")) == {
        ("transient_error", "the batch was cancelled before", 0)
    }
    assert statuses(desk) == ["cancelled"]
    assert_settled(desk)


# ------------------------------------------------------------------------------------------ what is refused


def test_a_batch_that_fails_its_validation_stops_the_stage_with_the_providers_words(
    desk: Desk, odd: OddProvider
) -> None:
    errors = {"data": [{"code": "invalid_request", "message": f"max_tokens is too large for {CANARY}", "line": 3}]}
    odd.change_batches(lambda batch: {**batch, "status": "failed", "errors": errors, "output_file_id": None})
    with pytest.raises(PermanentCallError) as caught:
        buy(desk.ledger, requests_for(N))
    [(key, name)] = rows(desk, "SELECT batch_key, remote_id FROM batches")
    assert str(caught.value) == (
        f"{WHERE}: batch {key} ({name}) was refused: max_tokens is too large for <LOCAL_LLM_KEY> (line 3)\n"
        "  fix: nothing of it was bought; mend what it names, or set batch: false in the row, or run without --batch"
    )
    assert (statuses(desk), desk.n_requests, desk.n_kept) == (["failed"], 0, 0)
    assert_settled(desk)


@pytest.mark.parametrize("path", ["POST /v1/files", "POST /v1/batches"])
def test_a_server_without_such_endpoints_is_named_and_nothing_is_held(desk: Desk, odd: OddProvider, path: str) -> None:
    odd.answer(path, 404, {"detail": "Not Found"})
    with pytest.raises(PermanentCallError) as caught:
        buy(desk.ledger, requests_for(N))
    assert str(caught.value) == (
        f"{WHERE}: Not Found\n"
        "  fix: check that the provider has files and batches at the address in LOCAL_LLM_BASE_URL; if not, "
        "set batch: false in the row, or run without --batch"
    )
    assert (statuses(desk), desk.n_requests) == (["refused"], 0)
    assert_settled(desk)


@pytest.mark.parametrize("path", ["POST /v1/files", "POST /v1/batches"])
def test_a_refused_key_stops_the_stage_and_stays_secret(desk: Desk, odd: OddProvider, path: str) -> None:
    odd.answer(path, 401, {"error": {"message": f"key {CANARY} is not known here"}})
    with pytest.raises(PermanentCallError, match="key <LOCAL_LLM_KEY> is not known here"):
        buy(desk.ledger, requests_for(N))
    assert statuses(desk) == ["refused"]
    assert_settled(desk)
    desk.ledger.close()
    assert CANARY.encode() not in b"".join(file.read_bytes() for file in desk.file.parent.glob("ledger.sqlite*"))


# ------------------------------------------------------------------------------------------ finding it again


def test_a_batch_is_found_on_a_later_page_of_the_list(desk: Desk, odd: OddProvider) -> None:
    def lose_the_answer(asked: str, status: int, body: bytes) -> tuple[int, bytes]:
        return (502, b"{}") if asked == CREATED else (status, body)

    def make_many_others() -> None:
        [batch] = get(f"{desk.server.base_url}/batches").json["data"]
        asked = {name: batch[name] for name in ("input_file_id", "endpoint", "completion_window")}
        for _ in range(130):
            post(f"{desk.server.base_url}/batches", {**asked, "input_file_id": other})

    other = make_file(desk)
    odd.change = lose_the_answer
    progress = when("it is not known whether it was submitted", make_many_others)
    assert states(buy(desk.ledger, requests_for(N), progress)) == ["ok"] * N
    assert (desk.server.stats()["batch_requests"], desk.n_requests) == (N, 0)
    assert n_asked(desk, "GET /v1/batches") == 3
    assert_settled(desk)


def make_file(desk: Desk) -> str:
    """Return a file of which no batch can be made."""
    form = (
        '--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        '--edge\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n\r\n--edge--\r\n'
    )
    url, kind = f"{desk.server.base_url}/files", {"Content-Type": "multipart/form-data; boundary=edge"}
    return str(talk("POST", url, form.encode(), kind).json["id"])


def test_a_provider_that_keeps_no_metadata_is_told_by_its_file(desk: Desk, odd: OddProvider) -> None:
    odd.change_batches(lambda batch: {**batch, "metadata": None})
    progress = when("uploaded, submitting", lambda: desk.server.turn_dials(store_faults={"reset": 1}))
    assert states(buy(desk.ledger, requests_for(N), progress)) == ["ok"] * N
    assert_bought_once(desk, N)


def test_a_batch_that_the_provider_does_not_know_is_held_until_it_is_given_up(desk: Desk) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        buy(desk.ledger, requests_for(N), when("done at the provider", stop))
    desk.server.forget()
    [(key, name)] = rows(desk, "SELECT batch_key, remote_id FROM batches")
    with pytest.raises(PermanentCallError) as caught:
        buy(desk.ledger, requests_for(N))
    assert str(caught.value) == (
        f"{WHERE}: the provider knows no batch {name} ({key})\n"
        "  fix: check whose key it is; if the batch is gone for good, `synth ledger` can give it up"
    )
    assert statuses(desk) == ["submitted"]
    cost = give_up(desk.ledger, key)
    [balance] = desk.ledger.balances()
    assert balance.spent == cost
    assert cost.nano_usd > 0
    assert (statuses(desk), len(rows(desk, "SELECT * FROM tries WHERE status = 'lost'"))) == (["given up"], N)
    assert_settled(desk)
    with pytest.raises(InputError, match=f"no batch '{key}' is under way that nobody sees to"):
        give_up(desk.ledger, key)
    assert states(buy(desk.ledger, requests_for(N))) == ["ok"] * N


def test_an_old_batch_that_the_provider_does_not_know_stops_nobody(desk: Desk) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        buy(desk.ledger, requests_for(N), when("done at the provider", stop))
    desk.server.forget()
    assert states(buy(desk.ledger, requests_for(2 * N)[N:])) == ["ok"] * N
    assert statuses(desk) == ["submitted", "completed"]
