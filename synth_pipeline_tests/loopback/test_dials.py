"""Latency, admission, rates and death are as the dials say; the statistics say what came."""

import hashlib
import http.client
import json
import statistics

import pytest

from synth_pipeline_tests.loopback import RunningServer
from synth_pipeline_tests.loopback.dials import Dials
from synth_pipeline_tests.loopback.session import duration_text
from synth_pipeline_tests.loopback.talking import ask, ask_many, chat, get, post, talk, wait_until


def start_asking(server: RunningServer, prompt: str = "Write.") -> http.client.HTTPConnection:
    """Return the connection on which an answer will come."""
    connection = http.client.HTTPConnection(server.base_url.split("/")[2], timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(chat(prompt)))
    return connection


# ------------------------------------------------------------------------------------------ latency


@pytest.mark.parametrize("latency", ["constant", "uniform", "lognormal"])
def test_latencies_have_the_mean_they_should_and_are_seeded(latency: str) -> None:
    dials = Dials().turned({"latency_s": 0.2, "latency": latency, "latency_sigma": 0.4, "seed": 5})
    drawn = [dials.latency_of(number) for number in range(2000)]
    assert statistics.mean(drawn) == pytest.approx(0.2, rel=0.05)
    assert drawn == [dials.latency_of(number) for number in range(2000)]
    other = dials.turned({"seed": 6})
    assert (drawn == [other.latency_of(number) for number in range(2000)]) == (latency == "constant")


def test_latencies_spread_as_they_should() -> None:
    uniform = Dials(latency_s=0.2)
    drawn = [uniform.latency_of(number) for number in range(2000)]
    assert 0.1 <= min(drawn) < 0.11
    assert 0.29 < max(drawn) <= 0.3
    lognormal = Dials(latency_s=0.2, latency="lognormal", latency_sigma=1.0)
    assert max(lognormal.latency_of(number) for number in range(2000)) > 1.0
    assert Dials(latency="lognormal").latency_of(1) == 0


@pytest.mark.parametrize("latency", ["constant", "uniform", "lognormal"])
def test_an_answer_takes_as_long_as_the_dials_say(server: RunningServer, latency: str) -> None:
    server.set_dials(latency_s=0.3, latency=latency, latency_sigma=0.1)
    assert ask(server.base_url).took_s >= 0.15


# ------------------------------------------------------------------------------------------ who is let in


def test_at_most_so_many_are_admitted_and_the_rest_is_turned_away_at_once(server: RunningServer) -> None:
    server.set_dials(admit=2, latency_s=20, retry_after=1)
    inside = [start_asking(server, f"Write {number}.") for number in range(2)]
    wait_until(lambda: server.stats()["in_flight"] == 2)
    told = ask_many(server.base_url, 4)
    assert [(exchange.status, exchange.headers["retry-after"]) for exchange in told] == [(429, "1")] * 4
    stats = server.stats()
    assert (stats["rejected"], stats["answered"], stats["most_in_flight"], stats["requests"]) == (4, 0, 2, 6)
    assert stats["faults"] == {}
    for connection in inside:
        connection.close()


def test_at_most_so_many_requests_come_in_a_minute(server: RunningServer) -> None:
    server.set_dials(requests_per_minute=3)
    told = [ask(server.base_url) for _ in range(5)]
    assert [exchange.status for exchange in told] == [200, 200, 200, 429, 429]
    assert [exchange.headers["x-ratelimit-remaining-requests"] for exchange in told] == ["2", "1", "0", "0", "0"]
    assert {exchange.headers["x-ratelimit-limit-requests"] for exchange in told} == {"3"}
    assert told[-1].headers["x-ratelimit-reset-requests"].endswith("s")
    assert server.stats()["rejected"] == 2


def test_a_shorter_window_opens_again(server: RunningServer) -> None:
    server.set_dials(requests_per_minute=60, window_s=1.0)
    assert ask(server.base_url).headers["x-ratelimit-limit-requests"] == "1"
    wait_until(lambda: ask(server.base_url).status == 200)
    stats = server.stats()
    assert stats["answered"] == 2
    assert stats["requests"] == 2 + stats["rejected"]


def test_tokens_are_counted_with_those_that_may_come(server: RunningServer) -> None:
    server.set_dials(tokens_per_minute=1000)
    first = ask(server.base_url, max_tokens=600)
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    assert 300 < int(first.headers["x-ratelimit-remaining-tokens"]) < 400
    assert ask(server.base_url, max_tokens=600).status == 429


def test_without_a_rate_nothing_is_said_of_rates(server: RunningServer) -> None:
    assert not [name for name in ask(server.base_url).headers if "ratelimit" in name]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0ms"), (0.017, "17ms"), (8.64, "8.64s"), (1, "1s"), (360, "6m0s")])
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


# ------------------------------------------------------------------------------------------ dead


def test_a_dead_server_closes_every_connection_and_can_be_revived(server: RunningServer) -> None:
    server.set_dials(dead=True)
    for path in ("/models", "/files/file-1"):
        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            get(f"{server.base_url}{path}")
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        ask(server.base_url)
    assert server.stats()["faults"] == {"dead": 3}
    assert server.stats()["requests"] == 0
    server.turn_dials(dead=False)
    assert ask(server.base_url).status == 200
    assert server.stats()["faults"] == {"dead": 3}


def test_what_is_under_way_dies_too(server: RunningServer) -> None:
    server.set_dials(latency_s=20)
    connection = start_asking(server)
    wait_until(lambda: server.stats()["in_flight"] == 1)
    server.turn_dials(dead=True)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        connection.getresponse()
    connection.close()


def test_turning_one_dial_leaves_the_others_and_what_is_pending(server: RunningServer) -> None:
    server.set_dials(faults={"server_error": 2}, requests_per_minute=100)
    assert ask(server.base_url).status == 500
    server.turn_dials(latency_s=0.01)
    told = [ask(server.base_url) for _ in range(2)]
    assert [exchange.status for exchange in told] == [500, 200]
    assert told[-1].headers["x-ratelimit-remaining-requests"] == "97"
    assert server.stats()["requests"] == 3


# ------------------------------------------------------------------------------------------ what it has seen


def test_equal_requests_are_told_from_different_ones(server: RunningServer) -> None:
    server.set_dials(faults={"server_error": 1})
    for prompt in ("a", "a", "a", "b"):
        ask(server.base_url, prompt)
    ask(server.base_url, "a", seed=8)
    ask(server.base_url, "a", model="another")
    stats = server.stats()
    assert (stats["requests"], stats["distinct"], stats["asked_again"]) == (6, 4, 2)
    assert stats["answered_more_than_once"] == 1


def test_tokens_are_summed_over_what_was_produced(server: RunningServer) -> None:
    server.set_dials(faults={"server_error": 1})
    used = [exchange.json["usage"] for exchange in (ask(server.base_url) for _ in range(3)) if exchange.status == 200]
    stats = server.stats()
    assert stats["billed_requests"] == len(used) == 2
    assert stats["billed_tokens_in"] == sum(usage["prompt_tokens"] for usage in used) > 0
    assert stats["billed_tokens_out"] == sum(usage["completion_tokens"] for usage in used) > 0


def test_the_last_bodies_are_kept_and_the_key_only_as_a_hash(server: RunningServer) -> None:
    for number in range(7):
        ask(server.base_url, f"prompt {number}")
    stats = server.stats()
    prompts = [body["messages"][0]["content"].splitlines()[0] for body in stats["last_bodies"]]
    assert prompts == ["prompt 2", "prompt 3", "prompt 4", "prompt 5", "prompt 6"]
    assert stats["last_body"] == stats["last_bodies"][-1]
    assert stats["last_key_sha256"] == hashlib.sha256(b"sk-canary").hexdigest()
    assert "sk-canary" not in str(stats)
    assert stats["paths"] == {"POST /v1/chat/completions": 7}


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer k"}, {"x-api-key": "k"}, {"x-goog-api-key": "k"}, {}])
def test_a_key_may_come_in_every_providers_way(server: RunningServer, headers: dict[str, str]) -> None:
    talk("GET", f"{server.base_url}/models?" + ("" if headers else "key=k"), headers=headers)
    assert server.stats()["last_key_sha256"] == hashlib.sha256(b"k").hexdigest()


def test_a_client_that_is_gone_is_billed_and_not_answered(server: RunningServer) -> None:
    server.set_dials(latency_s=0.3, latency="constant")
    connection = start_asking(server)
    wait_until(lambda: server.stats()["in_flight"] == 1)
    connection.close()
    wait_until(lambda: server.stats()["in_flight"] == 0)
    stats = server.stats()
    assert (stats["given_up"], stats["answered"], stats["billed_requests"]) == (1, 0, 1)


def test_setting_the_dials_counts_from_nothing(server: RunningServer) -> None:
    ask(server.base_url)
    server.set_dials()
    stats = server.stats()
    assert (stats["requests"], stats["distinct"], stats["last_body"], stats["billed_tokens_in"]) == (0, 0, {}, 0)


# ------------------------------------------------------------------------------------------ chat, models, embeddings


def test_a_content_can_be_given(server: RunningServer) -> None:
    server.set_dials(content='{"note": "as told"}')
    assert ask(server.base_url).content == '{"note": "as told"}'


def test_the_schema_is_filled_also_where_only_the_prompt_holds_it(server: RunningServer) -> None:
    asked = ask(server.base_url)
    schema = server.stats()["last_body"]["response_format"]["json_schema"]["schema"]
    told = post(
        f"{server.base_url}/chat/completions",
        {
            "model": "m",
            "messages": [
                {
                    "role": "system",
                    "content": f"Answer with JSON that fits this schema:\n{json.dumps(schema)}\nNothing else.",
                },
                {"role": "user", "content": "Write.\n\n- weight_g: 1200"},
            ],
            "response_format": {"type": "json_object"},
        },
    )
    for exchange in (asked, told):
        written = json.loads(exchange.content)
        assert (sorted(written), written["weight_g"]) == (["note", "weight_g"], 1200)


@pytest.mark.parametrize("body", ["no json", "[]", "{}", '{"model": "m", "messages": []}'])
def test_a_request_that_makes_no_sense_is_a_bad_one(server: RunningServer, body: str) -> None:
    told = talk("POST", f"{server.base_url}/chat/completions", body.encode())
    assert (told.status, told.json["error"]["type"]) == (400, "invalid_request_error")


def test_models_are_listed(server: RunningServer) -> None:
    told = get(f"{server.base_url}/models").json
    assert told["object"] == "list"
    assert {"formal"} < {model["id"] for model in told["data"]}
