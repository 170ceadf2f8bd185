"""Anthropic's and Gemini's formats carry the same answers, errors and faults; LiteLLM reads them."""

import json
from typing import Any

import pytest

from synth_pipeline_tests.loopback import RunningServer
from synth_pipeline_tests.loopback.litellm_calls import MODELS, run_apart
from synth_pipeline_tests.loopback.talking import SCHEMA, Exchange, ask, post

PROMPT = "Write.\n\n- weight_g: 1200"
TOOL = {"name": "json_tool_call", "input_schema": SCHEMA}
FORMAT = {"type": "json_schema", "schema": SCHEMA}


def message(server: RunningServer, **changes: Any) -> Exchange:
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 500,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
        **changes,
    }
    given = {name: value for name, value in body.items() if value is not None}
    return post(f"{server.root_url}/v1/messages", given, x_api_key="sk-canary")


def generate(server: RunningServer, **config: Any) -> Exchange:
    body = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": PROMPT}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA, **config},
    }
    url = f"{server.root_url}/v1beta/models/gemini-2.5-flash:generateContent"
    return post(url, body, x_goog_api_key="sk-canary")


def is_record(value: Any) -> bool:
    return sorted(value) == ["note", "weight_g"] and value["weight_g"] == 1200


# ------------------------------------------------------------------------------------------ Anthropic


@pytest.mark.parametrize("asked", [{"output_format": FORMAT}, {"output_config": {"format": FORMAT}}])
def test_claude_fills_a_schema_in_text(server: RunningServer, asked: dict[str, Any]) -> None:
    told = message(server, **asked).json
    [block] = told["content"]
    assert (block["type"], told["type"], told["stop_reason"]) == ("text", "message", "end_turn")
    assert is_record(json.loads(block["text"]))
    assert told["model"] == "claude-sonnet-4-5"
    stats = server.stats()
    assert told["usage"]["input_tokens"] == stats["billed_tokens_in"] > 0
    assert told["usage"]["output_tokens"] == stats["billed_tokens_out"] > 0
    assert stats["last_path"] == "/v1/messages"


def test_claude_fills_a_schema_by_a_forced_tool(server: RunningServer) -> None:
    told = message(server, tools=[TOOL], tool_choice={"type": "tool", "name": "json_tool_call"}).json
    [block] = told["content"]
    assert (block["type"], block["name"], told["stop_reason"]) == ("tool_use", "json_tool_call", "tool_use")
    assert is_record(block["input"])


@pytest.mark.parametrize(
    ("fault", "stop_reason", "n_blocks"),
    [
        ("refusal", "refusal", 1),
        ("cut_off", "max_tokens", 1),
        ("content_filter", "refusal", 0),
        ("empty_choices", "end_turn", 0),
        ("malformed_json", "end_turn", 1),
    ],
)
def test_claude_gives_no_record(server: RunningServer, fault: str, stop_reason: str, n_blocks: int) -> None:
    server.set_dials(faults={fault: 2})
    for asked in ({"output_format": FORMAT}, {"tools": [TOOL], "tool_choice": {"type": "tool", "name": TOOL["name"]}}):
        told = message(server, **asked).json
        assert (told["stop_reason"], len(told["content"])) == (stop_reason, n_blocks)
        assert {block["type"] for block in told["content"]} <= {"text"}


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("rate_limit", 429, "rate_limit_error"),
        ("overloaded", 529, "overloaded_error"),
        ("unauthorized", 401, "authentication_error"),
        ("server_error", 500, "api_error"),
    ],
)
def test_claude_fails_in_its_own_words(server: RunningServer, fault: str, status: int, kind: str) -> None:
    server.set_dials(faults={fault: 1}, retry_after=2)
    told = message(server)
    assert (told.status, told.json["type"], told.json["error"]["type"]) == (status, "error", kind)
    assert told.headers.get("retry-after") == ("2" if status in (429, 529) else None)


@pytest.mark.parametrize(
    "changes", [{"max_tokens": None}, {"messages": []}, {"output_format": {"type": "json_object"}}]
)
def test_claude_takes_no_request_that_anthropic_would_not(server: RunningServer, changes: dict[str, Any]) -> None:
    told = message(server, **changes)
    assert (told.status, told.json["error"]["type"]) == (400, "invalid_request_error")


# ------------------------------------------------------------------------------------------ Gemini


def test_gemini_fills_a_schema(server: RunningServer) -> None:
    told = generate(server).json
    [candidate] = told["candidates"]
    assert (candidate["finishReason"], candidate["content"]["role"]) == ("STOP", "model")
    assert is_record(json.loads(candidate["content"]["parts"][0]["text"]))
    stats = server.stats()
    assert told["usageMetadata"]["promptTokenCount"] == stats["billed_tokens_in"]
    assert told["usageMetadata"]["candidatesTokenCount"] == stats["billed_tokens_out"]
    assert told["modelVersion"] == "gemini-2.5-flash"


def test_gemini_reads_a_schema_in_googles_own_words(server: RunningServer) -> None:
    properties = {"note": {"type": "STRING"}, "weight_g": {"type": "INTEGER"}}
    own = {"type": "OBJECT", "properties": properties, "required": ["note", "weight_g"]}
    told = generate(server, responseJsonSchema=None, response_schema=own).json
    assert is_record(json.loads(told["candidates"][0]["content"]["parts"][0]["text"]))


def test_gemini_cuts_off_at_the_most_tokens(server: RunningServer) -> None:
    [candidate] = generate(server, maxOutputTokens=5).json["candidates"]
    assert (candidate["finishReason"], len(candidate["content"]["parts"][0]["text"])) == ("MAX_TOKENS", 20)


def test_gemini_gives_no_record(server: RunningServer) -> None:
    server.set_dials(faults={"refusal": 1, "content_filter": 1, "empty_choices": 1})
    blocked = generate(server).json
    assert (blocked["promptFeedback"], "candidates" in blocked) == ({"blockReason": "PROHIBITED_CONTENT"}, False)
    assert generate(server).json["candidates"] == [{"finishReason": "SAFETY", "index": 0}]
    assert generate(server).json["candidates"] == []


def test_gemini_fails_in_its_own_words(server: RunningServer) -> None:
    server.set_dials(faults={"rate_limit": 1})
    told = generate(server)
    assert told.json["error"] == {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}


# ------------------------------------------------------------------------------------------ all alike


def test_the_same_request_is_written_the_same_in_every_format(server: RunningServer) -> None:
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}]
    openai = ask(server.base_url, messages=said, seed=0).content
    assert message(server, output_format=FORMAT).json["content"][0]["text"] == openai
    assert generate(server).json["candidates"][0]["content"]["parts"][0]["text"] == openai


def test_litellm_reads_every_format(server: RunningServer) -> None:
    told = run_apart("complete_all", server.root_url)
    assert sorted(told) == sorted(MODELS)
    for model, answer in told.items():
        assert is_record(json.loads(answer["content"])), model
        assert answer["finish_reason"] == "stop", model
        assert answer["tokens_in"] > 0 < answer["tokens_out"], model
    stats = server.stats()
    assert (stats["answered"], stats["requests"]) == (len(MODELS), len(MODELS))
