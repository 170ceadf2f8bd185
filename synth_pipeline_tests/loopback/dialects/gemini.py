"""Gemini's content generation."""

from typing import Any

from synth_pipeline_tests.loopback.dialects.ask import Ask, read_messages, text_of
from synth_pipeline_tests.loopback.faults import Completion, Json, TurnedAway

FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
ROLES = {"model": "assistant", "user": "user"}
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Gemini:
    """`POST /v1beta/models/{model}:generateContent`."""

    def read(self, body: Json, model: str) -> Ask:
        """Return what the body asks for; names may be written as in JSON or as in the protocol's files."""
        system = _either(body, "systemInstruction", "system_instruction")
        said = [_message(content) for content in read_messages(body.get("contents"))]
        config = _either(body, "generationConfig", "generation_config") or {}
        own = _either(config, "responseSchema", "response_schema")
        schema = _either(config, "responseJsonSchema", "response_json_schema") or (_lower_types(own) if own else None)
        return Ask(
            model=model,
            messages=[{"role": "system", "content": text_of(system["parts"])}, *said] if system else said,
            schema=schema,
            seed=int(config.get("seed") or 0),
            max_tokens=_either(config, "maxOutputTokens", "max_output_tokens"),
        )

    def write(self, ask: Ask, completion: Completion, name: str) -> Json:
        """Return a `GenerateContentResponse`; a refusal is a blocked prompt, which has no candidates."""
        usage = {"promptTokenCount": completion.tokens_in, "candidatesTokenCount": completion.tokens_out}
        told: Json = {
            "usageMetadata": {**usage, "totalTokenCount": sum(usage.values())},
            "modelVersion": ask.model,
            "responseId": name,
        }
        if completion.refusal is not None:
            return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **told}
        return {"candidates": [_candidate(completion)] if completion.has_choice else [], **told}

    def refuse(self, refused: TurnedAway, text: str) -> Json:
        """Return Google's error."""
        status = STATUSES.get(refused.status, "UNKNOWN")
        return {"error": {"code": refused.status, "message": text, "status": status}}


def _candidate(completion: Completion) -> Json:
    reason = FINISH_REASONS[completion.finish_reason]
    if reason == "SAFETY":
        return {"finishReason": reason, "index": 0}
    content = {"parts": [{"text": completion.content}], "role": "model"}
    return {"content": content, "finishReason": reason, "index": 0}


def _message(content: Json) -> Json:
    return {"role": ROLES[content.get("role", "user")], "content": text_of(content["parts"])}


def _either(values: Json, *names: str) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _lower_types(schema: Any) -> Any:
    """Return a schema of OpenAPI's, whose types are in capitals, as JSON schema writes it."""
    if isinstance(schema, list):
        return [_lower_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    lowered = {name: _lower_types(value) for name, value in schema.items()}
    return {**lowered, "type": lowered["type"].lower()} if isinstance(lowered.get("type"), str) else lowered


GEMINI = Gemini()
