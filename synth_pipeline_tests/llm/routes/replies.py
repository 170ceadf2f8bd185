"""What the providers send, as they send it: OpenAI and its kin, Anthropic and Gemini, each with its own errors."""

import json
from typing import Any

KEY = "sk-canary-86420"
TEXT = '{"note": "The parcel was wet.", "city": "Bern"}'
HALF = TEXT[:-1] + "\ud83d"
TOKENS_IN, TOKENS_OUT = 19, 10


class LikeOpenAI:
    """OpenAI's chat completions."""

    model = "gpt-4.1"

    def answer(self, content: str | None, finish_reason: str = "stop", refusal: str | None = None) -> dict[str, Any]:
        """Return a completion with one choice."""
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        return self.completion([choice])

    def completion(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a completion."""
        return {
            "id": "chatcmpl-CgXz0pPqW2",
            "object": "chat.completion",
            "created": 1_764_000_000,
            "model": "gpt-4.1-2025-04-14",
            "choices": choices,
            "usage": {
                "prompt_tokens": TOKENS_IN,
                "completion_tokens": TOKENS_OUT,
                "total_tokens": TOKENS_IN + TOKENS_OUT,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 4,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
            "service_tier": "default",
            "system_fingerprint": "fp_3502f4eb73",
        }

    def replies(self) -> dict[str, dict[str, Any]]:
        """Return the replies with status 200, by case."""
        return {
            "ok": self.answer(TEXT),
            "refusal": self.answer(None, refusal="I will not write that."),
            "length": self.answer(TEXT[:20], "length"),
            "content_filter": self.answer("", "content_filter"),
            "empty_choices": self.completion([]),
            "empty_content": self.answer(""),
            "lone_surrogate": self.answer(HALF),
        }

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return the body of an error response."""
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": str(status)}}


class LikeMistral(LikeOpenAI):
    """Mistral: OpenAI's completions, errors of its own."""

    model = "mistral-large-latest"

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return the body of an error response."""
        if status == 422:
            return {"detail": [{"type": "extra_forbidden", "loc": ["body", "colour"], "msg": message, "input": 1}]}
        return {"object": "error", "message": message, "type": "invalid_model", "param": None, "code": "1500"}


class LikeXai(LikeOpenAI):
    """xAI: OpenAI's completions, where reasoning is counted beside the completion; errors of its own."""

    model = "grok-4.3"

    def completion(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a completion."""
        completion = super().completion(choices)
        usage = {**completion["usage"], "completion_tokens": TOKENS_OUT - 4, "total_tokens": TOKENS_IN + TOKENS_OUT}
        return {**completion, "usage": usage}

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return the body of an error response."""
        return {"code": "Client specified an invalid argument", "error": message}


class LikeVllm(LikeOpenAI):
    """vLLM: OpenAI's completions, with fields of its own."""

    model = "llama3.1"

    def completion(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a completion."""
        own = {"stop_reason": None, "token_ids": None}
        kept = {"prompt_tokens": TOKENS_IN, "total_tokens": TOKENS_IN + TOKENS_OUT, "completion_tokens": TOKENS_OUT}
        return {
            "id": "chatcmpl-9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d",
            "object": "chat.completion",
            "created": 1_764_000_000,
            "model": "llama3.1",
            "choices": [{**choice, **own} for choice in choices],
            "usage": {**kept, "prompt_tokens_details": None},
            "prompt_logprobs": None,
            "kv_transfer_params": None,
        }


class LikeAnthropic:
    """Anthropic's messages."""

    model = "claude-sonnet-4-5"

    def answer(self, content: list[dict[str, Any]], stop_reason: str = "end_turn") -> dict[str, Any]:
        """Return a message."""
        return {
            "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {
                "input_tokens": TOKENS_IN - 3,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 3,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": TOKENS_OUT,
                "service_tier": "standard",
            },
        }

    def replies(self) -> dict[str, dict[str, Any]]:
        """Return the replies with status 200, by case."""
        return {
            "ok": self.answer([{"type": "text", "text": TEXT}]),
            "refusal": self.answer([], "refusal"),
            "length": self.answer([{"type": "text", "text": TEXT[:20]}], "max_tokens"),
            "content_filter": self.answer([{"type": "text", "text": "I"}], "refusal"),
            "empty_choices": self.answer([]),
            "empty_content": self.answer([{"type": "text", "text": ""}]),
            "lone_surrogate": self.answer([{"type": "text", "text": HALF}]),
        }

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return the body of an error response."""
        return {"type": "error", "error": {"type": f"error_{status}", "message": message}, "request_id": "req_011"}


class LikeGemini:
    """Google's generateContent."""

    model = "gemini-2.5-flash"

    def answer(self, parts: list[dict[str, Any]], finish_reason: str = "STOP") -> dict[str, Any]:
        """Return an answer with one candidate."""
        candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": finish_reason, "index": 0}
        return self.content(candidates=[candidate])

    def content(self, **fields: Any) -> dict[str, Any]:
        """Return an answer with `fields`."""
        return {
            **fields,
            "usageMetadata": {
                "promptTokenCount": TOKENS_IN,
                "candidatesTokenCount": TOKENS_OUT - 4,
                "totalTokenCount": TOKENS_IN + TOKENS_OUT,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": TOKENS_IN}],
                "thoughtsTokenCount": 4,
            },
            "modelVersion": "gemini-2.5-flash",
            "responseId": "3UvQaN6pB5Wo",
        }

    def replies(self) -> dict[str, dict[str, Any]]:
        """Return the replies with status 200, by case."""
        return {
            "ok": self.answer([{"text": TEXT}]),
            "refusal": self.content(promptFeedback={"blockReason": "PROHIBITED_CONTENT"}),
            "length": self.answer([{"text": TEXT[:20]}], "MAX_TOKENS"),
            "content_filter": self.content(candidates=[{"finishReason": "SAFETY", "index": 0, "safetyRatings": []}]),
            "empty_choices": self.content(),
            "empty_content": self.answer([{"text": ""}]),
            "lone_surrogate": self.answer([{"text": HALF}]),
        }

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return the body of an error response."""
        return {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}


SPEAKERS: dict[str, Any] = {
    "anthropic": LikeAnthropic(),
    "gemini": LikeGemini(),
    "hosted_vllm": LikeVllm(),
    "mistral": LikeMistral(),
    "openai": LikeOpenAI(),
    "xai": LikeXai(),
}


def as_text(body: dict[str, Any]) -> str:
    """Return a body as JSON, with the half character as it comes over the wire."""
    return json.dumps(body)
