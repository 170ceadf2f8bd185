"""Anthropic's messages, with structured output by `output_format`, `output_config` or a forced tool."""

import json
from collections.abc import Mapping

from synth_pipeline_tests.loopback.dialects.ask import Ask, read_messages, text_of
from synth_pipeline_tests.loopback.faults import Completion, Json, TurnedAway

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Anthropic:
    """`POST /v1/messages`."""

    def read(self, body: Json, model: str) -> Ask:
        """Return what the body asks for."""
        system = [{"role": "system", "content": text_of(body["system"])}] if body.get("system") else []
        said = [{**message, "content": text_of(message["content"])} for message in read_messages(body.get("messages"))]
        choice = body.get("tool_choice") or {}
        tool = choice.get("name") if choice.get("type") == "tool" else None
        return Ask(
            model=str(body["model"]) or model,
            messages=[*system, *said],
            schema=_schema_of(body, tool),
            max_tokens=int(body["max_tokens"]),
            tool=tool,
        )

    def write(self, ask: Ask, completion: Completion, name: str) -> Json:
        """Return a `message`."""
        return {
            "id": name,
            "type": "message",
            "role": "assistant",
            "model": ask.model,
            "content": _blocks(ask, completion),
            "stop_reason": _stop_reason(ask, completion),
            "stop_sequence": None,
            "usage": {
                "input_tokens": completion.tokens_in,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": completion.tokens_out,
                "service_tier": "standard",
            },
        }

    def refuse(self, refused: TurnedAway, text: str) -> Json:
        """Return Anthropic's error."""
        return {"type": "error", "error": {"type": ERROR_TYPES.get(refused.status, "api_error"), "message": text}}


def _schema_of(body: Json, tool: str | None) -> Json | None:
    asked = body.get("output_format") or (body.get("output_config") or {}).get("format")
    if asked:
        if asked["type"] != "json_schema":
            raise ValueError(f"output_format.type: {asked['type']!r} is not json_schema")
        return dict(asked["schema"])
    schemas: Mapping[str, Json] = {row["name"]: row["input_schema"] for row in body.get("tools") or []}
    return schemas[tool] if tool else None


def _blocks(ask: Ask, completion: Completion) -> list[Json]:
    if not completion.has_choice or completion.finish_reason == "content_filter":
        return []
    given = _tool_input(ask, completion)
    if given is not None:
        return [{"type": "tool_use", "id": "toolu_loopback", "name": ask.tool, "input": given}]
    return [{"type": "text", "text": completion.content if completion.refusal is None else completion.refusal}]


def _stop_reason(ask: Ask, completion: Completion) -> str:
    if completion.refusal is not None:
        return "refusal"
    return "tool_use" if _tool_input(ask, completion) is not None else STOP_REASONS[completion.finish_reason]


def _tool_input(ask: Ask, completion: Completion) -> Json | None:
    """Return the completion as a tool's input; None where no tool is asked for, or it is no object: then it is text."""
    if ask.tool is None or not completion.has_choice:
        return None
    try:
        given = json.loads(completion.content or "")
    except ValueError:
        return None
    return given if isinstance(given, dict) else None


ANTHROPIC = Anthropic()
