"""Calls go over real HTTP to a server that fails on demand; what comes back is bought once, kept and told apart."""

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, model_validator

from synth_pipeline.contracts.errors import MissingKey, PermanentCallError, ProviderError
from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline_tests.llm.asking import (
    CANARY,
    HASTY,
    LOCAL,
    RECORD,
    ROUTES,
    SOAK,
    SPENDER,
    CountingProgress,
    Desk,
    request,
    requests_for,
    start,
    states,
)
from synth_pipeline_tests.scenario import TEMPLATES

# ------------------------------------------------------------------------------------------ what is sent and bought


@pytest.mark.parametrize("model", ROUTES)
def test_the_server_is_asked_what_the_request_says(desk: Desk, model: str) -> None:
    [result] = desk.ask(request(), models={"default": model})
    assert result.state == "ok"
    assert result.value is not None
    assert (result.value["city"], result.value["weight_g"]) == ("Bern", 1200)
    body = desk.server.stats()["last_body"]
    assert body["model"] == model.partition("/")[2]
    assert body["messages"] == [dict(message) for message in request().messages]
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 400, 7)
    asked = body["response_format"]["json_schema"]
    assert (body["response_format"]["type"], asked["name"], asked["strict"]) == ("json_schema", "parcels__write", True)
    assert asked["schema"]["required"] == RECORD.model_json_schema()["required"]


def test_an_answer_is_in_the_ledger_before_it_is_parsed(desk: Desk) -> None:
    kept_when_parsed: list[int] = []

    class Watched(BaseModel):
        note: str

        @model_validator(mode="after")
        def look_into_the_ledger(self) -> "Watched":
            kept_when_parsed.append(desk.n_kept)
            return self

    assert states(desk.ask(request(record_class=Watched))) == ["ok"]
    assert kept_when_parsed == [1]


def test_a_parser_that_crashes_costs_nothing_the_second_time(desk: Desk) -> None:
    mended = False

    class Crashing(BaseModel):
        note: str

        @model_validator(mode="after")
        def crash(self) -> "Crashing":
            if not mended:
                raise ZeroDivisionError
            return self

    with pytest.raises(ZeroDivisionError):
        desk.ask(request(record_class=Crashing))
    mended = True
    assert states(desk.ask(request(record_class=Crashing))) == ["ok"]
    assert (desk.n_requests, desk.n_kept) == (1, 1)


def test_an_equal_request_is_bought_once(desk: Desk) -> None:
    first = desk.ask(request())
    completer = desk.completer()
    assert list(completer([request()], 1)) == first
    assert (completer.tally.n_bought, completer.tally.n_replayed) == (0, 1)
    assert desk.n_requests == 1


def test_equal_prompts_of_two_samples_are_two_purchases(desk: Desk) -> None:
    results = desk.ask(request("p0"), request("p1"))
    assert [result.sample for result in results] == ["p0", "p1"]
    assert results[0].provenance["call_key"] != results[1].provenance["call_key"]
    assert (desk.n_requests, desk.n_kept) == (2, 2)


class Shorter(BaseModel):
    """Another schema."""

    note: str


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.6},
        {"max_tokens": 401},
        {"seed": 8},
        {"schema_name": "parcels__rewrite"},
        {"record_class": Shorter},
        {"messages": ({"role": "user", "content": "Another prompt."},)},
        {"template": replace(TEMPLATES["write"], version="1.1")},
        {"template": replace(TEMPLATES["write"], sha256="1" * 64)},
    ],
    ids=" ".join,
)
def test_a_changed_request_never_meets_an_old_answer(desk: Desk, changes: dict[str, Any]) -> None:
    desk.ask(request())
    desk.ask(request(**changes))
    assert desk.n_requests == 2


def test_another_model_or_provider_never_meets_an_old_answer(desk: Desk) -> None:
    desk.ask(request())
    desk.ask(request(), models={"default": "hosted_vllm/another"})
    completer = desk.completer(family="other", api_key_env=None)
    assert states(list(completer([request()], 1))) == ["ok"]
    assert desk.n_requests == 2


def test_results_come_in_the_order_of_the_requests_with_no_more_in_flight_than_the_row_allows(desk: Desk) -> None:
    desk.server.set_dials(latency_s=0.05)
    progress = CountingProgress()
    row = LOCAL.model_copy(update={"max_concurrency": 5})
    results = list(LedgeredCompleter(row, Office(desk.ledger, SPENDER, progress))(requests_for(20), 20))
    assert [result.sample for result in results] == [f"p{number}" for number in range(20)]
    assert desk.server.stats()["most_in_flight"] == 5
    assert (progress.total, progress.n_updates, progress.ended) == (20, 20, 1)


def test_nothing_to_ask_is_nothing_to_answer(desk: Desk) -> None:
    assert desk.ask() == []


def test_a_completion_is_paid_at_the_rows_price(desk: Desk) -> None:
    price = {"usd_per_mtok_in": 1e6, "usd_per_mtok_out": 2e6}
    completer = desk.completer(free=False, prices={"hosted_vllm/llama3.1": price})
    [result] = completer([request()], 1)
    n_in, n_out = result.provenance["tokens_in"], result.provenance["tokens_out"]
    assert isinstance(n_in, int)
    assert isinstance(n_out, int)
    assert n_in > 0 < n_out
    assert result.provenance["cost_usd"] == pytest.approx(n_in + 2 * n_out)
    assert completer.tally.cost_usd == pytest.approx(n_in + 2 * n_out)


def test_provenance_says_who_answered_what(desk: Desk) -> None:
    [result] = desk.ask(request())
    told = dict(result.provenance)
    assert told.pop("latency_s", 0.0) > 0  # type: ignore[operator]  # a number, or the test fails
    assert str(told.pop("completed_at")).endswith("+00:00")
    assert told.pop("tokens_in") != told.pop("tokens_out") != 0
    assert len(str(told.pop("call_key"))) == 24
    assert told == {
        "model": "hosted_vllm/llama3.1",
        "family": "local",
        "offline": False,
        "role": "write",
        "template": "parcels/write.md",
        "template_version": "1.0",
        "template_sha256": TEMPLATES["write"].sha256,
        "temperature": 0.5,
        "attempts": 1,
        "cost_usd": 0.0,
        "finish_reason": "stop",
    }


# ------------------------------------------------------------------------------------------ answers that are no records


def test_an_unparsable_answer_is_asked_for_once_more_with_its_error(desk: Desk) -> None:
    desk.server.set_dials(faults={"malformed_json": 1})
    [result] = desk.ask(request())
    assert (result.state, result.provenance["attempts"]) == ("ok", 2)
    *prompt, spoilt, complaint = desk.server.stats()["last_body"]["messages"]
    assert prompt == [dict(message) for message in request().messages]
    assert spoilt["role"] == "assistant"
    assert spoilt["content"].startswith('{"note"')
    assert complaint["role"] == "user"
    assert complaint["content"].startswith("That answer cannot be used: not JSON: ")
    assert complaint["content"].endswith(" Answer again with the JSON object alone.")
    assert desk.ask(request()) == [result]
    assert (desk.n_requests, desk.n_kept) == (2, 2)


@pytest.mark.parametrize("model", ROUTES)
@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [
        ("refusal", "refused", "I will not write that."),
        ("refusal_in_words", "refused", "I'm sorry, but I can't help with that."),
        ("content_policy", "refused", "the provider's content filter stopped the answer"),
        ("content_filter", "refused", "the provider's content filter stopped the answer"),
        ("cut_off", "cut_off", "the answer was cut off after"),
        ("malformed_json", "unparsable", "not JSON: "),
        ("lone_surrogate", "unparsable", "not JSON: "),
        ("empty_choices", "unparsable", "the answer is empty"),
        ("empty_content", "unparsable", "the answer is empty"),
    ],
)
def test_an_answer_that_is_no_record_is_a_state_that_is_kept_and_not_bought_again(
    desk: Desk, model: str, fault: str, state: str, reason: str
) -> None:
    desk.server.set_dials(faults={fault: 99})
    [result] = desk.ask(request(), models={"default": model})
    assert (result.state, result.value) == (state, None)
    assert result.reason is not None
    assert result.reason.startswith(reason)
    asked = 2 if state == "unparsable" else 1
    assert result.provenance["attempts"] == asked
    assert desk.ask(request(), models={"default": model}) == [result]
    assert (desk.n_requests, desk.n_kept) == (asked, asked)


# ------------------------------------------------------------------------------------------ calls that fail

TRANSIENT = ("rate_limit", "server_error", "bad_gateway", "reset", "malformed_body")


@pytest.mark.parametrize("model", ROUTES)
@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_call_that_fails_for_a_while_is_tried_until_it_succeeds(desk: Desk, model: str, fault: str) -> None:
    desk.server.set_dials(faults={fault: 3})
    [result] = desk.ask(request(), models={"default": model})
    assert (result.state, result.provenance["attempts"]) == ("ok", 1)
    assert desk.server.stats()["faults"] == {fault: 3}
    assert (desk.server.stats()["answered"], desk.n_kept) == (1, 1)


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_call_that_goes_on_failing_is_a_state_and_is_asked_again_by_the_next_run(desk: Desk, fault: str) -> None:
    desk.server.set_dials(faults={fault: 99})
    patience = replace(HASTY, max_tries=2, max_turned_away=2, turned_away_for_s=0)
    [result, other] = desk.ask(request("p0"), request("p1"), patience=patience)
    assert (result.state, result.value, result.provenance["attempts"]) == ("failed", None, 0)
    assert result.reason is not None
    assert result.reason.startswith("given up after 2 tries: ")
    assert (other.state, desk.n_kept) == ("failed", 0)
    desk.server.set_dials()
    assert states(desk.ask(request("p0"), request("p1"))) == ["ok", "ok"]


def test_a_call_that_takes_too_long_is_given_up(desk: Desk) -> None:
    desk.server.set_dials(latency_s=20)
    started = time.monotonic()
    [result] = desk.ask(request(), timeout_s=0.2, patience=replace(HASTY, max_tries=2))
    assert time.monotonic() - started < 5
    assert result.state == "failed"
    assert result.reason is not None
    assert "no answer within 0.2 s" in result.reason
    assert (desk.n_requests, desk.n_kept) == (2, 0)


@pytest.mark.parametrize("model", ROUTES)
def test_a_provider_that_asks_to_wait_is_waited_for(desk: Desk, model: str) -> None:
    desk.server.set_dials(faults={"rate_limit": 1}, retry_after="0.5")
    started = time.monotonic()
    assert states(desk.ask(request(), models={"default": model})) == ["ok"]
    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize("retry_after", ["soon", "inf", "nan", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_a_wait_that_nobody_can_keep_is_not_kept(desk: Desk, retry_after: str) -> None:
    desk.server.set_dials(faults={"rate_limit": 2}, retry_after=retry_after)
    started = time.monotonic()
    assert states(desk.ask(request())) == ["ok"]
    assert time.monotonic() - started < 5


PERMANENT = {
    "unauthorized": "key <LOCAL_LLM_KEY> is not known here",
    "forbidden": "key <LOCAL_LLM_KEY> may not do this",
    "not_found": "no such model for key <LOCAL_LLM_KEY>",
    "bad_request": "the request of <LOCAL_LLM_KEY> makes no sense",
}


@pytest.mark.parametrize("model", ROUTES)
@pytest.mark.parametrize("fault", PERMANENT)
def test_a_provider_that_will_never_answer_stops_everything_and_its_key_stays_secret(
    desk: Desk, model: str, fault: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    row = {"models": {"default": model}, "max_concurrency": 4}
    bought = desk.ask(*requests_for(3), **row)
    desk.server.set_dials(faults={fault: 999}, latency_s=0.05)
    with caplog.at_level(logging.INFO), pytest.raises(PermanentCallError) as caught:
        desk.ask(*requests_for(60), **row)
    assert desk.n_requests <= (12 if fault == "bad_request" else 4)
    assert str(caught.value).startswith(f"provider local, model {model}: ")
    assert PERMANENT[fault] in str(caught.value)
    assert "\n  fix: check " in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(capfd.readouterr())
    assert CANARY not in shown
    desk.server.set_dials()
    assert desk.ask(*requests_for(3), **row) == bought
    assert desk.n_requests == 0
    desk.ledger.close()
    assert CANARY.encode() not in b"".join(file.read_bytes() for file in desk.file.parent.glob("ledger.sqlite*"))


@pytest.mark.parametrize("fault", ["content_policy", "rate_limit"])
def test_a_key_that_an_error_repeats_is_neither_kept_nor_given_as_a_reason(desk: Desk, fault: str) -> None:
    desk.server.set_dials(faults={fault: 99})
    [result] = desk.ask(request(), patience=replace(HASTY, max_tries=1, max_turned_away=1, turned_away_for_s=0))
    assert CANARY not in str(result)
    desk.ledger.close()
    assert CANARY.encode() not in b"".join(file.read_bytes() for file in desk.file.parent.glob("ledger.sqlite*"))


def test_a_missing_key_is_named_before_anything_is_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_LLM_KEY")
    with pytest.raises(MissingKey, match="provider 'local' needs LOCAL_LLM_KEY, not set in the environment"):
        desk.ask(request())
    assert desk.n_requests == 0


def test_an_unknown_price_stops_before_anything_is_asked(desk: Desk) -> None:
    with pytest.raises(ProviderError, match=r"the price of 'hosted_vllm/llama3.1' is not known\n  fix: add prices: \{"):
        desk.ask(*requests_for(20), free=False)
    assert (desk.n_requests, desk.n_kept) == (0, 0)


# ------------------------------------------------------------------------------------------ processes

N_SLOW = 60
ASK_SLOWLY = f"""
import sys
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import LOCAL, SPENDER, CountingProgress, requests_for
office = Office(Ledger.open(sys.argv[1]), SPENDER, CountingProgress())
list(LedgeredCompleter(LOCAL, office)(requests_for({N_SLOW}), {N_SLOW}))
"""
ASK_IN_SEVERAL_LOOPS = """
import sys, threading
FORBIDDEN = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo") and "127.0.0.1" not in str(arguments):
        FORBIDDEN.append((event, arguments))
sys.addaudithook(watch)
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import HASTY, LOCAL, ROUTES, SPENDER, CountingProgress, requests_for
ledger = Ledger.open(sys.argv[1])
def make_completer(model):
    row = LOCAL.model_copy(update={"models": {"default": model}})
    return LedgeredCompleter(row, Office(ledger, SPENDER, CountingProgress(), patience=HASTY))
for model in ROUTES:
    completer = make_completer(model)
    for n in (5, 20, 20, 40):
        assert {result.state for result in completer(requests_for(n), n)} == {"ok"}
def ask_beside(number):
    list(make_completer(f"hosted_vllm/{number}")(requests_for(20), 20))
threads = [threading.Thread(target=ask_beside, args=(number,)) for number in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ledger.close()
print(FORBIDDEN)
"""
REPLAY = """
import sys
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import LOCAL, SPENDER, CountingProgress, requests_for
office = Office(Ledger.open(sys.argv[1]), SPENDER, CountingProgress())
results = list(LedgeredCompleter(LOCAL, office)(requests_for(3), 3))
print([result.state for result in results], "litellm" in sys.modules)
"""


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.soak
@pytest.mark.parametrize("round_", range(SOAK))
def test_a_killed_process_loses_at_most_the_calls_in_flight(desk: Desk, round_: int) -> None:
    desk.server.set_dials(latency_s=0.2)
    n_answered = rng_for("kill", round_).randint(5, N_SLOW - 10)
    with start(ASK_SLOWLY, desk) as process:
        wait_until(lambda: int(desk.server.stats()["answered"]) >= n_answered)
        process.kill()
    assert process.returncode == -9
    wait_until(lambda: desk.server.stats()["in_flight"] == 0)
    n_kept, n_asked = desk.n_kept, desk.n_requests
    completer = desk.completer()
    assert states(list(completer(requests_for(N_SLOW), N_SLOW))) == ["ok"] * N_SLOW
    assert completer.tally.n_replayed == n_kept
    assert n_kept >= n_asked - LOCAL.max_concurrency
    assert desk.n_requests == n_asked + N_SLOW - n_kept <= N_SLOW + LOCAL.max_concurrency
    assert desk.n_kept == N_SLOW


def test_many_event_loops_leave_nothing_open_say_nothing_and_touch_loopback_alone(desk: Desk) -> None:
    faults = {"reset": 3, "rate_limit": 3, "server_error": 3}
    desk.server.set_dials(faults=faults, latency_s=0.01)
    with start(ASK_IN_SEVERAL_LOOPS, desk, "-W", "default::ResourceWarning", "-W", "error::RuntimeWarning") as process:
        told, complaints = process.communicate(timeout=120)
    assert (told, complaints, process.returncode) == ("[]\n", "", 0)
    assert desk.server.stats()["answered"] == 2 * 40 + 3 * 20


def test_a_filled_ledger_answers_without_a_server_and_without_litellm(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.ask(*requests_for(3))
    monkeypatch.setenv("LOCAL_LLM_BASE_URL", "http://127.0.0.1:1/v1")
    with start(REPLAY, desk) as process:
        told, complaints = process.communicate(timeout=60)
    assert (told, complaints) == ("['ok', 'ok', 'ok'] False\n", "")
