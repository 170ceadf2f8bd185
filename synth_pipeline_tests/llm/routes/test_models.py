"""Models that LiteLLM asks otherwise than their kin, and every way of asking for a schema: the same request is sent."""

import asyncio
from typing import Any

import pytest

from synth_pipeline.contracts.providers import Structured
from synth_pipeline.llm.purchases import Answer
from synth_pipeline_tests.llm.routes.desk import REPAIR, Desk, Outcome, open_desk, purchase
from synth_pipeline_tests.llm.routes.replies import SPEAKERS, TEXT
from synth_pipeline_tests.llm.routes.scripted import Reply

MODELS = (
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5-mini"),  # max_completion_tokens, no temperature
    ("openai", "o3"),
    ("openai", "gpt-4"),  # no response_format
    ("openai", "a-proxys-own-name"),
    ("anthropic", "claude-3-haiku-20240307"),  # a tool in the place of a schema
    ("anthropic", "claude-opus-4-5"),
    ("gemini", "gemini-2.0-flash"),
    ("gemini", "gemini-3-pro-preview"),  # another version of the API
    ("mistral", "magistral-medium-latest"),
    ("mistral", "mistral-small-latest"),
    ("xai", "grok-3-mini"),
    ("xai", "grok-4"),
    ("hosted_vllm", "Qwen/Qwen3-8B"),
)


def outcome_of(environment: pytest.MonkeyPatch, family: str, model: str, **changes: Any) -> Outcome:
    """Return what both routes make of a sound answer, the same request of both before it."""
    reply, bought = changes.pop("reply", None), changes.pop("bought", None)

    async def ask() -> Outcome:
        async with open_desk(family, model, environment, **changes) as desk:
            direct, litellm = await desk.both(reply or Reply(SPEAKERS[family].replies()["ok"]), bought)
        assert direct == litellm
        assert len(direct.sent) == 1
        return direct

    return asyncio.run(ask())


@pytest.mark.parametrize(("family", "model"), MODELS)
def test_every_model_is_asked_the_same(family: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome_of(monkeypatch, family, model).answer is not None


@pytest.mark.parametrize("structured", ["json_object", "prompt"])
@pytest.mark.parametrize("family", sorted(SPEAKERS))
def test_every_way_of_asking_for_a_schema_is_sent_the_same(
    family: str, structured: Structured, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = outcome_of(
        monkeypatch, family, SPEAKERS[family].model, structured=structured, bought=purchase(messages=REPAIR)
    )
    assert outcome.answer is not None
    assert outcome.answer.content == TEXT
    sent = str(outcome.sent[0].body)
    assert "It must fit this JSON schema" in sent
    assert "'json_schema'" not in sent


def test_a_tool_in_the_place_of_a_schema_answers_with_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"type": "tool_use", "id": "toolu_1", "name": "json_tool_call", "input": {"note": "wet", "city": "Bern"}}
    reply = Reply(SPEAKERS["anthropic"].answer([used], "tool_use"))
    answer = outcome_of(monkeypatch, "anthropic", "claude-3-haiku-20240307", reply=reply).answer
    assert answer is not None
    assert answer.content == '{"note": "wet", "city": "Bern"}'
    assert answer.finish_reason == "stop"


def test_an_answer_cut_off_before_its_first_token_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    message = "Could not finish the message because max_tokens or model output limit was reached. Please try again."
    reply = Reply(SPEAKERS["openai"].error(400, message), 400, {"x-request-id": "req_9"})
    answer = outcome_of(monkeypatch, "openai", "gpt-5-mini", reply=reply).answer
    assert isinstance(answer, Answer)
    assert (answer.content, answer.finish_reason, answer.provider_request_id) == ("", "length", "req_9")
    assert answer.tokens_in > 0


def test_the_account_that_the_environment_names_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    headers = outcome_of(monkeypatch, "openai", "gpt-4.1").sent[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


def test_a_server_of_your_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome_of(monkeypatch, "hosted_vllm", "llama3.1", api_key_env=None).answer is not None


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_an_error_object_in_a_sound_response_is_told_the_same(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Reply({"error": {"message": "no such upstream", "code": status}})
    error = outcome_of(monkeypatch, "hosted_vllm", "llama3.1", reply=reply).error
    assert error is not None
    assert error[2]["http_status"] == status
    assert "no such upstream" in error[1]


def test_one_connection_serves_call_after_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(desk: Desk) -> None:
        desk.server.reply = Reply(SPEAKERS["openai"].replies()["ok"])
        for _ in range(5):
            await desk.direct.ask(purchase())

    async def connections() -> int:
        async with open_desk("openai", "gpt-4.1", monkeypatch) as desk:
            await ask(desk)
            return desk.server.n_connections

    assert asyncio.run(connections()) == 1
