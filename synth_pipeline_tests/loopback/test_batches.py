"""Files and batches are OpenAI's: uploaded, worked through in time, resumed by id, and told apart by their lines."""

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from synth_pipeline_tests.loopback import RunningServer
from synth_pipeline_tests.loopback.litellm_calls import run_apart
from synth_pipeline_tests.loopback.talking import Exchange, ask, chat, get, post, talk, wait_until

BOUNDARY = "loopback-boundary"
CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


def line(custom_id: str, **changes: Any) -> dict[str, Any]:
    body = chat(f"Write {custom_id}.")
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body, **changes}


def lines(n: int) -> list[dict[str, Any]]:
    return [line(f"p{number}") for number in range(n)]


def jsonl(rows: Sequence[object]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(server: RunningServer, content: bytes, purpose: str = "batch") -> Exchange:
    parts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
    )
    form = parts.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return talk("POST", f"{server.base_url}/files", form, {"Content-Type": kind})


def submit(server: RunningServer, content: bytes, **changes: Any) -> Exchange:
    name = upload(server, content).json["id"]
    asked = {"input_file_id": name, "endpoint": CHAT, "completion_window": "24h", **changes}
    return post(f"{server.base_url}/batches", asked)


def wait_for(server: RunningServer, name: str, *statuses: str) -> dict[str, Any]:
    batch: dict[str, Any] = {}

    def has_come() -> bool:
        batch.update(get(f"{server.base_url}/batches/{name}").json)
        return batch["status"] in statuses

    wait_until(has_come)
    return batch


def run(server: RunningServer, content: bytes, **changes: Any) -> dict[str, Any]:
    return wait_for(server, submit(server, content, **changes).json["id"], *ENDED)


def read(server: RunningServer, name: str | None) -> dict[str, dict[str, Any]]:
    text = get(f"{server.base_url}/files/{name}/content").text
    return {row["custom_id"]: row for row in map(json.loads, text.splitlines())}


# ------------------------------------------------------------------------------------------ files


def test_a_file_is_kept_listed_and_deleted(server: RunningServer) -> None:
    kept = upload(server, b'{"a": 1}\n').json
    assert (kept["object"], kept["bytes"], kept["filename"], kept["purpose"]) == ("file", 9, "in.jsonl", "batch")
    assert get(f"{server.base_url}/files/{kept['id']}").json == kept
    assert get(f"{server.base_url}/files/{kept['id']}/content").text == '{"a": 1}\n'
    assert [row["id"] for row in get(f"{server.base_url}/files").json["data"]] == [kept["id"]]
    assert talk("DELETE", f"{server.base_url}/files/{kept['id']}").json["deleted"] is True
    assert get(f"{server.base_url}/files/{kept['id']}").status == 404


def test_a_file_has_a_purpose_that_is_known(server: RunningServer) -> None:
    assert upload(server, b"", "keeping").status == 400


# ------------------------------------------------------------------------------------------ a batch's way


def test_a_batch_is_answered_line_by_line(server: RunningServer) -> None:
    batch = run(server, jsonl(lines(5)), metadata={"run": "r1"})
    assert (batch["object"], batch["status"], batch["endpoint"], batch["model"]) == (
        "batch",
        "completed",
        CHAT,
        "gpt-4.1-mini",
    )
    assert batch["request_counts"] == {"total": 5, "completed": 5, "failed": 0}
    assert (batch["metadata"], batch["error_file_id"], batch["errors"]) == ({"run": "r1"}, None, None)
    assert batch["created_at"] <= batch["in_progress_at"] <= batch["finalizing_at"] <= batch["completed_at"]
    assert batch["expires_at"] == batch["created_at"] + 24 * 60 * 60
    rows = read(server, batch["output_file_id"])
    assert sorted(rows) == ["p0", "p1", "p2", "p3", "p4"]
    assert all(row["error"] is None and row["response"]["status_code"] == 200 for row in rows.values())
    used = [row["response"]["body"]["usage"] for row in rows.values()]
    assert batch["usage"]["input_tokens"] == sum(usage["prompt_tokens"] for usage in used)
    stats = server.stats()
    assert (stats["requests"], stats["batch_requests"], stats["distinct"]) == (0, 5, 5)
    assert stats["batch_tokens_in"] == batch["usage"]["input_tokens"] > 0 == stats["billed_tokens_in"]


def test_a_line_is_answered_as_a_call_would_be(server: RunningServer) -> None:
    row = read(server, run(server, jsonl([line("p0")]))["output_file_id"])["p0"]
    called = ask(server.base_url, "Write p0.")
    assert row["response"]["body"]["choices"] == called.json["choices"]
    assert server.stats()["answered_more_than_once"] == 1


def test_a_batch_moves_on_with_time(server: RunningServer) -> None:
    server.set_dials(batch_s=3)
    started = time.monotonic()
    batch = submit(server, jsonl(lines(3))).json
    assert (batch["status"], batch["output_file_id"], batch["in_progress_at"]) == ("validating", None, None)
    halfway = wait_for(server, batch["id"], "in_progress", *ENDED)
    assert (halfway["status"], halfway["output_file_id"], halfway["finalizing_at"]) == ("in_progress", None, None)
    assert wait_for(server, batch["id"], *ENDED)["finalizing_at"] is not None
    assert time.monotonic() - started >= 2.7


def test_lines_come_back_in_an_order_of_their_own(server: RunningServer) -> None:
    batch = run(server, jsonl(lines(20)))
    assert list(read(server, batch["output_file_id"])) != [f"p{number}" for number in range(20)]


def test_embeddings_come_in_batches_too(server: RunningServer) -> None:
    body = {"model": "text-embedding-3-small", "input": "a"}
    row = line("e0", url="/v1/embeddings", body=body)
    batch = run(server, jsonl([row]), endpoint="/v1/embeddings")
    assert len(read(server, batch["output_file_id"])["e0"]["response"]["body"]["data"][0]["embedding"]) == 64


def test_lines_fail_into_the_error_file(server: RunningServer) -> None:
    server.set_dials(faults={"server_error": 1, "malformed_json": 1})
    bad = line("bad", body={"model": "gpt-4.1-mini", "messages": []})
    batch = run(server, jsonl([*lines(3), bad]))
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 4, "completed": 2, "failed": 2})
    errors = read(server, batch["error_file_id"])
    assert {name: row["response"]["status_code"] for name, row in errors.items()} == {"p0": 500, "bad": 400}
    assert errors["p0"]["response"]["body"]["error"]["message"] == "out of order"
    assert (
        read(server, batch["output_file_id"])["p1"]["response"]["body"]["choices"][0]["message"]["content"][-1] == ","
    )
    assert server.stats()["faults"] == {"server_error": 1, "malformed_json": 1}


def test_a_batch_expires_with_what_it_has(server: RunningServer) -> None:
    server.set_dials(batch_ends="expired")
    batch = run(server, jsonl(lines(4)))
    assert (batch["status"], batch["expired_at"] is None, batch["completed_at"]) == ("expired", False, None)
    assert batch["request_counts"] == {"total": 4, "completed": 2, "failed": 2}
    assert sorted(read(server, batch["output_file_id"])) == ["p0", "p1"]
    late = read(server, batch["error_file_id"])
    assert {name: row["error"]["code"] for name, row in late.items()} == {"p2": "batch_expired", "p3": "batch_expired"}
    assert server.stats()["batch_requests"] == 2


def test_a_batch_is_cancelled_with_what_it_has(server: RunningServer) -> None:
    server.set_dials(batch_s=8)
    name = submit(server, jsonl(lines(40))).json["id"]
    wait_until(lambda: server.stats()["batch_requests"] > 1)
    assert post(f"{server.base_url}/batches/{name}/cancel", {}).json["status"] == "cancelling"
    batch = wait_for(server, name, *ENDED)
    assert (batch["status"], batch["cancelled_at"] is None) == ("cancelled", False)
    assert 0 < len(read(server, batch["output_file_id"])) == batch["request_counts"]["completed"] < 40
    assert post(f"{server.base_url}/batches/{name}/cancel", {}).status == 400


@pytest.mark.parametrize(
    ("content", "code", "number"),
    [
        (b"", "empty_file", None),
        (b"{no json}\n", "invalid_json_line", 1),
        (jsonl([line("p0"), line("p0")]), "duplicate_custom_id", 2),
        (jsonl([line("p0", url="/v1/embeddings")]), "invalid_url", 1),
        (jsonl([{"custom_id": "p0"}]), "missing_required_parameter", 1),
        (jsonl([line("p0"), line("p1", body=chat(model="another"))]), "mismatched_model", 2),
    ],
    ids=["empty", "no json", "twice", "url", "missing", "models"],
)
def test_a_batch_that_cannot_be_fails_its_validation(
    server: RunningServer, content: bytes, code: str, number: int | None
) -> None:
    batch = run(server, content)
    [error] = batch["errors"]["data"]
    assert (batch["status"], batch["failed_at"] is None) == ("failed", False)
    assert (error["code"], error["line"]) == (code, number)
    assert (batch["output_file_id"], server.stats()["batch_requests"]) == (None, 0)


def test_a_batch_fails_by_dial(server: RunningServer) -> None:
    server.set_dials(batch_ends="failed")
    batch = run(server, jsonl(lines(2)))
    assert batch["errors"]["data"][0]["code"] == "token_limit_exceeded"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"input_file_id": "file-none"}, 404),
        ({"endpoint": "/v1/responses"}, 400),
        ({"completion_window": "1h"}, 400),
        ({"metadata": {"n": 1}}, 400),
    ],
)
def test_a_batch_that_openai_would_not_take_is_not_made(
    server: RunningServer, changes: dict[str, Any], status: int
) -> None:
    assert submit(server, jsonl(lines(1)), **changes).status == status
    assert get(f"{server.base_url}/batches").json["data"] == []


# ------------------------------------------------------------------------------------------ finding it again


def test_batches_are_listed_newest_first_by_pages(server: RunningServer) -> None:
    names = [submit(server, jsonl(lines(1)), metadata={"n": str(n)}).json["id"] for n in range(5)][::-1]
    first = get(f"{server.base_url}/batches?limit=2").json
    assert ([row["id"] for row in first["data"]], first["has_more"]) == (names[:2], True)
    assert (first["first_id"], first["last_id"]) == (names[0], names[1])
    rest = get(f"{server.base_url}/batches?limit=3&after={names[1]}").json
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (names[2:], False)
    assert [row["metadata"] for row in rest["data"]] == [{"n": "2"}, {"n": "1"}, {"n": "0"}]
    assert get(f"{server.base_url}/batches?limit=101").status == 400
    assert get(f"{server.base_url}/batches?after=batch_none").status == 404
    assert get(f"{server.base_url}/batches/batch_none").status == 404


def test_batches_outlive_new_dials_until_they_are_forgotten(server: RunningServer) -> None:
    name = submit(server, jsonl(lines(1))).json["id"]
    server.set_dials()
    assert wait_for(server, name, "completed")["output_file_id"]
    server.forget()
    assert get(f"{server.base_url}/batches").json["data"] == []


def test_a_batch_is_made_though_its_maker_does_not_hear_of_it(server: RunningServer) -> None:
    content = jsonl(lines(1))
    name = upload(server, content).json["id"]
    server.set_dials(store_faults={"reset": 1, "service_unavailable": 1})
    asked = {"input_file_id": name, "endpoint": CHAT, "completion_window": "24h", "metadata": {"run": "r9"}}
    with pytest.raises(ConnectionResetError):
        post(f"{server.base_url}/batches", asked)
    assert post(f"{server.base_url}/batches", asked).status == 503
    [found] = get(f"{server.base_url}/batches").json["data"]
    assert found["metadata"] == {"run": "r9"}
    assert server.stats()["faults"] == {"reset": 1, "service_unavailable": 1}


# ------------------------------------------------------------------------------------------ LiteLLM


def test_litellm_buys_a_batch(server: RunningServer) -> None:
    told = run_apart("buy_batch", server.base_url, jsonl(lines(3)).decode())
    batch = get(f"{server.base_url}/batches/{told['id']}").json
    assert (told["status"], told["metadata"], told["counts"]) == ("completed", {"run": "r1"}, batch["request_counts"])
    assert told["listed"] == [told["id"]]
    rows = map(json.loads, told["content"].splitlines())
    assert sorted(row["custom_id"] for row in rows) == ["p0", "p1", "p2"]
    assert server.stats()["paths"]["POST /v1/batches"] == 1
