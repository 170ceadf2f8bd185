"""Each fault is what its name says, by count and by share, and what was produced is billed."""

import json
import time
from email.utils import parsedate_to_datetime
from http.client import IncompleteRead

import pytest

from synth_pipeline_tests.loopback import RunningServer
from synth_pipeline_tests.loopback.faults import FAULTS
from synth_pipeline_tests.loopback.talking import ask, ask_many, post

STATUSES = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "request_timeout": 408,
    "conflict": 409,
    "unprocessable": 422,
    "rate_limit": 429,
    "no_quota": 429,
    "server_error": 500,
    "bad_gateway": 502,
    "service_unavailable": 503,
    "gateway_timeout": 504,
    "overloaded": 529,
    "content_policy": 400,
}
NO_JSON_MESSAGE = r"Expecting|Unterminated|Illegal|Extra"
NO_JSON = ("malformed_json", "truncated_json", "lone_surrogate", "trailing_comma", "fenced_json", "leading_prose")


@pytest.mark.parametrize(("fault", "status"), STATUSES.items())
def test_a_call_is_turned_away_and_not_billed(server: RunningServer, fault: str, status: int) -> None:
    server.set_dials(faults={fault: 1})
    told = ask(server.base_url)
    assert (told.status, "retry-after" in told.headers) == (status, False)
    assert told.json["error"]["message"]
    stats = server.stats()
    assert (stats["faults"], stats["answered"], stats["billed_requests"]) == ({fault: 1}, 0, 0)
    assert ask(server.base_url).status == 200
    assert server.stats()["asked_again"] == 1


def test_an_error_repeats_the_key_it_was_sent(server: RunningServer) -> None:
    server.set_dials(faults={"unauthorized": 1})
    assert ask(server.base_url).json["error"] == {
        "message": "key sk-canary is not known here",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


@pytest.mark.parametrize("fault", ["rate_limit", "service_unavailable", "overloaded"])
def test_an_error_asks_to_wait_in_seconds(server: RunningServer, fault: str) -> None:
    server.set_dials(faults={fault: 1}, retry_after="17")
    assert ask(server.base_url).headers["retry-after"] == "17"


@pytest.mark.parametrize("text", ["soon", "nan", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_an_error_asks_to_wait_in_any_words(server: RunningServer, text: str) -> None:
    server.set_dials(faults={"rate_limit": 1}, retry_after=text)
    assert ask(server.base_url).headers["retry-after"] == text


def test_an_error_asks_to_wait_until_a_date(server: RunningServer) -> None:
    server.set_dials(faults={"rate_limit": 1}, retry_after=3600, retry_after_form="date")
    text = ask(server.base_url).headers["retry-after"]
    assert text.endswith(" GMT")
    assert 3500 < parsedate_to_datetime(text).timestamp() - time.time() <= 3601


def test_an_error_asks_to_wait_in_milliseconds(server: RunningServer) -> None:
    server.set_dials(faults={"rate_limit": 1}, retry_after=0.25, retry_after_form="ms")
    told = ask(server.base_url).headers
    assert (told["retry-after-ms"], "retry-after" in told) == ("250", False)


def test_a_connection_is_reset_before_the_answer_which_is_billed_all_the_same(server: RunningServer) -> None:
    server.set_dials(faults={"reset": 1})
    with pytest.raises(ConnectionResetError):
        ask(server.base_url)
    stats = server.stats()
    assert (stats["answered"], stats["billed_requests"], stats["in_flight"]) == (0, 1, 0)


def test_a_connection_is_reset_in_the_middle_of_the_body(server: RunningServer) -> None:
    server.set_dials(faults={"reset_in_body": 1})
    with pytest.raises(ConnectionResetError):
        ask(server.base_url)
    assert server.stats()["billed_tokens_out"] > 0


def test_a_body_ends_before_its_length(server: RunningServer) -> None:
    server.set_dials(faults={"truncated_body": 1})
    with pytest.raises(IncompleteRead) as caught:
        ask(server.base_url)
    assert 0 < len(caught.value.partial) <= (caught.value.expected or 0) + 1
    stats = server.stats()
    assert (stats["answered"], stats["billed_requests"]) == (0, 1)


@pytest.mark.parametrize(("fault", "kind"), [("malformed_body", "application/json"), ("html_body", "text/html")])
def test_a_body_is_no_json(server: RunningServer, fault: str, kind: str) -> None:
    server.set_dials(faults={fault: 1})
    told = ask(server.base_url)
    assert (told.status, told.headers["content-type"]) == (200, kind)
    with pytest.raises(ValueError, match=NO_JSON_MESSAGE):
        json.loads(told.text)
    assert server.stats()["billed_requests"] == 1


def test_a_call_hangs_until_its_client_gives_up(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.set_dials(faults={"hang": 1})
    monkeypatch.setattr("synth_pipeline_tests.loopback.talking.WAIT_S", 0.3)
    with pytest.raises(TimeoutError):
        ask(server.base_url)
    monkeypatch.undo()
    assert ask(server.base_url).status == 200
    stats = server.stats()
    assert (stats["requests"], stats["answered"], stats["billed_requests"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("fault", "finish_reason"),
    [("refusal", "stop"), ("refusal_in_words", "stop"), ("content_filter", "content_filter")],
)
def test_an_answer_is_declined(server: RunningServer, fault: str, finish_reason: str) -> None:
    server.set_dials(faults={fault: 1})
    [choice] = ask(server.base_url).json["choices"]
    assert choice["finish_reason"] == finish_reason
    assert (choice["message"]["refusal"] == "I will not write that.") == (fault == "refusal")


def test_an_answer_is_cut_off(server: RunningServer) -> None:
    whole = ask(server.base_url)
    server.set_dials(faults={"cut_off": 1})
    cut = ask(server.base_url)
    assert cut.json["choices"][0]["finish_reason"] == "length"
    assert whole.content.startswith(cut.content)
    assert 0 < cut.json["usage"]["completion_tokens"] < whole.json["usage"]["completion_tokens"]


def test_an_answer_is_empty(server: RunningServer) -> None:
    server.set_dials(faults={"empty_choices": 1, "empty_content": 1})
    assert ask(server.base_url).json["choices"] == []
    assert ask(server.base_url).content == ""
    assert server.stats()["faults"] == {"empty_choices": 1, "empty_content": 1}


@pytest.mark.parametrize("fault", NO_JSON)
def test_a_content_is_not_json_as_it_stands(server: RunningServer, fault: str) -> None:
    server.set_dials(faults={fault: 1})
    with pytest.raises(ValueError, match=NO_JSON_MESSAGE):
        json.loads(ask(server.base_url).content)


def test_a_content_holds_json_between_other_things(server: RunningServer) -> None:
    sound = ask(server.base_url).content
    server.set_dials(faults={"fenced_json": 1, "leading_prose": 1, "trailing_prose": 1, "trailing_comma": 1})
    assert ask(server.base_url).content == f"```json\n{sound}\n```"
    assert ask(server.base_url).content.endswith(f":\n\n{sound}")
    assert ask(server.base_url).content.startswith(f"{sound}\n\n")
    assert ask(server.base_url).content == f"{sound[:-1]},}}"


def test_half_a_character_stands_in_a_value(server: RunningServer) -> None:
    server.set_dials(faults={"surrogate_in_value": 1}, content='{"note": "so"}')
    assert json.loads(ask(server.base_url).content) == {"note": "so\ud83d"}


def test_faults_come_in_their_order_and_end(server: RunningServer) -> None:
    server.set_dials(faults={"server_error": 2, "rate_limit": 1})
    assert [ask(server.base_url).status for _ in range(4)] == [500, 500, 429, 200]


def test_shares_of_faults_are_met_and_the_same_for_the_same_seed(server: RunningServer) -> None:
    shares = {"rate_limit": 0.3, "server_error": 0.2, "malformed_json": 0.1}
    met = []
    for _ in range(2):
        server.set_dials(fault_shares=shares, seed=3, content="{}")
        met.append([ask(server.base_url).text for _ in range(60)])
    assert [text[:30] for text in met[0]] == [text[:30] for text in met[1]]
    counted = server.stats()["faults"]
    assert 8 <= counted["rate_limit"] <= 28
    assert 4 <= counted["server_error"] <= 22
    assert counted["malformed_json"] > 0
    assert server.stats()["answered"] == 60 - sum(counted.values())


def test_counted_faults_come_before_shares(server: RunningServer) -> None:
    server.set_dials(faults={"conflict": 1}, fault_shares={"bad_gateway": 1.0})
    assert [ask(server.base_url).status for _ in range(2)] == [409, 502]


def test_a_fault_of_completions_waits_for_one(server: RunningServer) -> None:
    server.set_dials(faults={"refusal": 1, "server_error": 1})
    embed = {"model": "text-embedding-3-small", "input": "a"}
    assert post(f"{server.base_url}/embeddings", embed).status == 500
    assert post(f"{server.base_url}/embeddings", embed).status == 200
    assert ask(server.base_url).json["choices"][0]["message"]["refusal"] == "I will not write that."


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        ({"faults": {"flood": 1}}, r"no fault is called \['flood'\]; the faults are \['bad_gateway', "),
        ({"fault_shares": {"flood": 1}}, r"no fault is called \['flood'\]"),
        ({"fault_shares": {"reset": 0.6, "hang": 0.6}}, "more than 1 together"),
        ({"store_faults": {"refusal": 1}}, "spoil completions, which a store does not give"),
        ({"latency": "slow"}, "'slow' is none of"),
        ({"volume": 11}, r"no dial is called \['volume'\]; the dials are \['admit', "),
    ],
    ids=str,
)
def test_a_dial_that_is_not_known_is_refused(server: RunningServer, dials: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        server.set_dials(**dials)


def test_every_fault_can_be_met_by_many_at_once(server: RunningServer) -> None:
    server.set_dials(faults=dict.fromkeys(sorted(FAULTS - {"hang", "reset", "reset_in_body", "truncated_body"}), 1))
    n_faults = len(FAULTS) - 4
    told = ask_many(server.base_url, n_faults + 3)
    stats = server.stats()
    assert (sum(stats["faults"].values()), stats["answered"], len(told)) == (n_faults, 3, n_faults + 3)
