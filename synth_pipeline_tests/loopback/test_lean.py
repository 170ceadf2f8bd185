"""The lean server says the same to all, counts, fails and waits as the ordinary one does."""

import http.client
import json
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pytest

from synth_pipeline_tests.loopback import RunningServer, running_lean_server
from synth_pipeline_tests.loopback.lean import write_record
from synth_pipeline_tests.loopback.talking import SCHEMA, ask, ask_many, chat, get, wait_until


@pytest.fixture(scope="module")
def lean_started() -> Iterator[RunningServer]:
    with running_lean_server() as running:
        yield running


@pytest.fixture
def lean(lean_started: RunningServer) -> RunningServer:
    lean_started.set_dials()
    return lean_started


def test_everybody_is_told_the_same_under_another_id(lean: RunningServer) -> None:
    first, second = (ask(lean.base_url, prompt, model="some-model") for prompt in "ab")
    assert (first.status, first.headers["content-type"]) == (200, "application/json")
    assert first.json | {"id": ""} == second.json | {"id": ""}
    assert (first.json["id"], second.json["id"]) == ("loopback-000000000001", "loopback-000000000002")
    assert first.json["model"] == "some-model"
    assert 200 <= first.json["usage"]["completion_tokens"] <= 400
    assert list(json.loads(first.content)) == ["text"]


def test_a_record_is_written_to_fit_a_schema() -> None:
    written = json.loads(write_record(SCHEMA))
    assert (sorted(written), written["weight_g"] >= 1) == (["note", "weight_g"], True)


def test_content_and_schema_are_read_from_files(tmp_path: Path) -> None:
    content, schema = tmp_path / "content.json", tmp_path / "schema.json"
    content.write_text('{"note": "ü"}', encoding="utf-8")
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    with running_lean_server(content=content, latency_s=0.05) as server:
        told = ask(server.base_url)
        assert (told.content, told.took_s >= 0.05) == ('{"note": "ü"}', True)
    with running_lean_server(schema=schema) as server:
        assert sorted(json.loads(ask(server.base_url).content)) == ["note", "weight_g"]


def test_one_connection_carries_many_requests_and_bodies_in_pieces(lean: RunningServer) -> None:
    connection = HTTPConnection(lean.base_url.split("/")[2], timeout=10)
    body = json.dumps(chat("x" * 300_000)).encode()
    for _ in range(3):
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        for start in range(0, len(body), 100_000):
            connection.send(body[start : start + 100_000])
        assert connection.getresponse().read().startswith(b'{"id"')
    connection.close()
    stats = lean.stats()
    assert (stats["requests"], stats["distinct"], stats["asked_again"]) == (3, 1, 2)
    assert (stats["answered_more_than_once"], stats["last_body"]) == (1, json.loads(body))


def test_faults_are_met_by_count_and_share(lean: RunningServer) -> None:
    lean.set_dials(faults={"rate_limit": 1, "malformed_json": 1}, fault_shares={"server_error": 1.0}, retry_after=2)
    limited, spoilt, failed = (ask(lean.base_url) for _ in range(3))
    assert (limited.status, limited.headers["retry-after"]) == (429, "2")
    assert (spoilt.status, spoilt.content[-1]) == (200, ",")
    assert failed.status == 500
    stats = lean.stats()
    assert stats["faults"] == {"rate_limit": 1, "malformed_json": 1, "server_error": 1}
    assert (stats["requests"], stats["answered"], stats["billed_requests"]) == (3, 0, 1)


def test_connections_break(lean: RunningServer) -> None:
    lean.set_dials(faults={"reset": 1, "reset_in_body": 1, "truncated_body": 1})
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            ask(lean.base_url)
    with pytest.raises(IncompleteRead):
        ask(lean.base_url)
    stats = lean.stats()
    assert (stats["billed_requests"], stats["answered"], stats["in_flight"]) == (3, 0, 0)


def test_a_hanging_call_ends_with_its_client(lean: RunningServer) -> None:
    lean.set_dials(faults={"hang": 1})
    connection = HTTPConnection(lean.base_url.split("/")[2], timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(chat()))
    wait_until(lambda: lean.stats()["in_flight"] == 1)
    connection.close()
    wait_until(lambda: lean.stats()["in_flight"] == 0)


def test_at_most_so_many_are_admitted(lean: RunningServer) -> None:
    lean.set_dials(admit=1, latency_s=20, retry_after=1)
    connection = HTTPConnection(lean.base_url.split("/")[2], timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(chat()))
    wait_until(lambda: lean.stats()["in_flight"] == 1)
    assert [(told.status, told.headers["retry-after"]) for told in ask_many(lean.base_url, 3)] == [(429, "1")] * 3
    connection.close()
    assert (lean.stats()["rejected"], lean.stats()["most_in_flight"]) == (3, 1)


def test_a_dead_server_closes_every_connection_and_can_be_revived(lean: RunningServer) -> None:
    lean.set_dials(dead=True)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        ask(lean.base_url)
    lean.turn_dials(dead=False)
    assert ask(lean.base_url).status == 200
    assert lean.stats()["faults"] == {"dead": 1}


def test_what_it_has_not_is_said(lean: RunningServer) -> None:
    assert get(f"{lean.base_url}/models").status == 404
    with pytest.raises(ValueError, match=r"the lean server has no dials \['voice_faults'\]"):
        lean.set_dials(voice_faults=True)
    with pytest.raises(ValueError, match="no fault is called"):
        lean.set_dials(faults={"flood": 1})
