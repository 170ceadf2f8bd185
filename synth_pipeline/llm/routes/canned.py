"""One request and one reply of each provider in DIALECTS, written down: LiteLLM is held against them before it is used.

No network: what LiteLLM's transforms make of the request is compared with what such a provider was sent when this was
written, and what they read from the reply with what it says.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from synth_pipeline.contracts.protocols import CallRequest
from synth_pipeline.contracts.providers import Price, Provider, Structured
from synth_pipeline.llm.prompts import PromptTemplate
from synth_pipeline.llm.purchases import Answer, Purchase, RateHeaders
from synth_pipeline.llm.routes.dialects import DIALECTS, NotDrivable, Target
from synth_pipeline.llm.routes.forms import Forms
from synth_pipeline.llm.routes.reading import WholeReply, read_answer
from synth_pipeline.llm.routes.structured import Structure

KEY, BASE, SEED = "canned-key", "http://127.0.0.1:9/base", 7
PROMPT = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say yes."})
SCHEMA = {
    "additionalProperties": False,
    "description": "What is asked for.",
    "properties": {"yes": {"title": "Yes", "type": "boolean"}},
    "required": ["yes"],
    "title": "Yes",
    "type": "object",
}
TEXT = '{"yes": true}'
MODE: Structured = "json_schema"


class Yes(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")

    yes: bool


@dataclass(frozen=True)
class Canned:
    """What a provider is sent for the canned purchase, and a reply of it. More may be sent than is written here."""

    model: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    reply: Mapping[str, Any]


def canned_purchase() -> Purchase:
    """Return the purchase that all providers are asked for here."""
    template = PromptTemplate("canned", "1", "write", "", (("user", "Say yes."),))
    request = CallRequest("write", "canned", PROMPT, Yes, "canned", template, 0.5, 64, SEED)
    return Purchase(request, PROMPT, "canned", 0, Price(usd_per_mtok_in=0, usd_per_mtok_out=0))


def _like_openai(model: str, **otherwise: Any) -> Canned:
    named = {"name": "canned", "schema": SCHEMA, "strict": True}
    body = {
        "model": model,
        "messages": list(PROMPT),
        "temperature": 0.5,
        "max_tokens": 64,
        "response_format": {"type": "json_schema", "json_schema": named},
        "seed": SEED,
    }
    return Canned(
        model,
        "/chat/completions",
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        {name: value for name, value in (body | otherwise).items() if value is not None},
        {
            "id": "reply-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
        },
    )


CANNED: Mapping[str, Canned] = {
    "hosted_vllm": _like_openai("llama3.1"),
    "openai": _like_openai("gpt-4.1"),
    "mistral": _like_openai("mistral-large-latest", seed=None, random_seed=SEED),
    "xai": _like_openai("grok-4.3"),
    "anthropic": Canned(
        "claude-sonnet-4-5",
        "/v1/messages",
        {"x-api-key": KEY, "anthropic-version": "2023-06-01", "anthropic-beta": "structured-outputs-2025-11-13"},
        {
            "model": "claude-sonnet-4-5",
            "system": [{"type": "text", "text": "Be brief."}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Say yes."}]}],
            "temperature": 0.5,
            "max_tokens": 64,
            "output_format": {"type": "json_schema", "schema": SCHEMA},
        },
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": [{"type": "text", "text": TEXT}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 11, "output_tokens": 5},
        },
    ),
    "gemini": Canned(
        "gemini-2.5-flash",
        "/models/gemini-2.5-flash:generateContent",
        {"x-goog-api-key": KEY, "Content-Type": "application/json"},
        {
            "system_instruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": [{"text": "Say yes."}]}],
            "generationConfig": {
                "temperature": 0.5,
                "max_output_tokens": 64,
                "response_mime_type": "application/json",
                "response_json_schema": SCHEMA,
                "seed": SEED,
            },
        },
        {
            "candidates": [
                {"content": {"parts": [{"text": TEXT}], "role": "model"}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {
                "promptTokenCount": 11,
                "candidatesTokenCount": 2,
                "thoughtsTokenCount": 3,
                "totalTokenCount": 16,
            },
            "modelVersion": "gemini-2.5-flash",
            "responseId": "reply-1",
        },
    ),
}
HEADERS = {"request-id": "reply-1", "x-ratelimit-remaining-requests": "9"}  # Anthropic's name is in the header alone
ANSWER = Answer(
    content=TEXT,
    finish_reason="stop",
    tokens_in=11,
    tokens_out=5,
    provider_request_id="reply-1",
    rate=RateHeaders(requests_left=9),
)


def require_expected(family: str) -> None:
    """Refuse LiteLLM's transforms of a provider where they do otherwise than is written here.

    Args:
        family: LiteLLM's name of the provider, one of DIALECTS.

    Raises:
        NotDrivable: says what differs.
    """
    canned, purchase = CANNED[family], canned_purchase()
    model, differences = f"{family}/{canned.model}", list[str]()
    dialect = DIALECTS[family](Target(family, canned.model, KEY, BASE))
    structure = Structure(Provider(name="canned", family=family, models={"default": model}, structured=MODE), model)
    form = Forms(dialect, structure, differences.append).find(purchase)
    if form is None:
        raise NotDrivable(differences[0])
    messages, options = structure.messages(purchase), form.options_for(SEED)
    body = dialect.body(messages, options)
    reply = WholeReply(200, HEADERS, json.dumps(canned.reply).encode())
    answer = read_answer(dialect.read(reply, messages, options), HEADERS)
    for what, expected, found in (
        ("the address", BASE + canned.path, form.url),
        ("the headers", canned.headers, {name: form.headers.get(name) for name in canned.headers}),
        ("the body", canned.body, {name: body.get(name) for name in canned.body}),
        ("the answer", ANSWER, answer),
    ):
        if found != expected:
            raise NotDrivable(f"LiteLLM makes {what} of a {family} request other than known: {found!r}")
