"""Which way a model goes, and that a LiteLLM which is not as known is noticed before it is used."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pipeline.contracts.errors import ProviderError
from synth_pipeline.llm.routes import DirectRoute, LiteLLMRoute, choose_route, prepare_litellm
from synth_pipeline.llm.routes.canned import CANNED
from synth_pipeline.llm.routes.choosing import why_not
from synth_pipeline.llm.routes.dialects import DIALECTS
from synth_pipeline_tests.llm.routes.desk import BASE_NAME, KEY_NAME, purchase, row_of
from synth_pipeline_tests.llm.routes.replies import SPEAKERS
from synth_pipeline_tests.llm.routes.scripted import Reply, scripted_server


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(KEY_NAME, "sk-canary-86420")
    monkeypatch.setenv(BASE_NAME, "http://127.0.0.1:1")
    monkeypatch.delenv("SYNTH_ROUTE", raising=False)
    why_not.cache_clear()
    yield
    why_not.cache_clear()


def choose(family: str, model: str, **changes: Any) -> tuple[type, list[str]]:
    """Return the class of the route that is chosen, and what was said of it."""
    notices: list[str] = []
    row = row_of(family, model, **changes)
    return type(choose_route(row, row.models["default"], notices.append)), notices


def test_every_dialect_has_its_canned_request() -> None:
    assert CANNED.keys() == DIALECTS.keys() == SPEAKERS.keys()


@pytest.mark.parametrize("family", sorted(DIALECTS))
def test_a_known_provider_goes_directly(family: str) -> None:
    assert choose(family, SPEAKERS[family].model) == (DirectRoute, [])


@pytest.mark.parametrize(("family", "model"), [("offline", "terse"), ("groq", "llama-3.3-70b-versatile")])
def test_any_other_provider_goes_by_litellm_without_a_word(family: str, model: str) -> None:
    assert choose(family, model) == (LiteLLMRoute, [])


def test_a_model_with_another_api_goes_by_litellm() -> None:
    route, [notice] = choose("openai", "o1-pro")
    assert route is LiteLLMRoute
    assert notice == (
        "provider row, model openai/o1-pro: 'o1-pro' has the responses API alone; "
        "asked through LiteLLM itself, more slowly"
    )


def test_a_key_that_litellm_is_left_to_find_is_left_to_it() -> None:
    route, [notice] = choose("openai", "gpt-4.1", api_key_env=None)
    assert route is LiteLLMRoute
    assert "the row names no key" in notice


def test_the_environment_forces_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ROUTE", "litellm")
    assert choose("openai", "gpt-4.1") == (LiteLLMRoute, [])


def test_the_environment_cannot_force_what_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ROUTE", "direct")
    assert choose("openai", "gpt-4.1") == (DirectRoute, [])
    with pytest.raises(ProviderError, match="there is no direct way: 'groq' is not among anthropic, gemini"):
        choose("groq", "llama-3.3-70b-versatile")


def test_the_environment_knows_two_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_ROUTE", "sideways")
    with pytest.raises(ProviderError, match="SYNTH_ROUTE is 'sideways'") as caught:
        choose("openai", "gpt-4.1")
    assert caught.value.fix == "use direct or litellm, or unset it"


# ------------------------------------------------------------------------------------------ LiteLLM has changed


def test_a_part_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("litellm.utils.ProviderConfigManager.get_provider_chat_config")
    for family in DIALECTS:
        route, [notice] = choose(family, SPEAKERS[family].model)
        assert route is LiteLLMRoute
        assert "LiteLLM is not as expected (AttributeError" in notice


def test_a_module_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm.litellm_core_utils.get_litellm_params", None)
    route, [notice] = choose("mistral", SPEAKERS["mistral"].model)
    assert route is LiteLLMRoute
    assert "LiteLLM is not as expected (ModuleNotFoundError" in notice


def test_another_signature_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_litellm().OpenAIGPTConfig, "transform_response", lambda self, raw: raw)
    route, [notice] = choose("hosted_vllm", "llama3.1")
    assert route is LiteLLMRoute
    assert "LiteLLM is not as expected (TypeError" in notice


def test_another_body_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare_litellm().OpenAIGPTConfig.transform_request

    def otherwise(*args: Any, **named: Any) -> dict[str, Any]:
        return {**made(*args, **named), "temperature": 0}

    monkeypatch.setattr(prepare_litellm().OpenAIGPTConfig, "transform_request", otherwise)
    route, [notice] = choose("openai", "gpt-4.1")
    assert route is LiteLLMRoute
    assert "LiteLLM makes the body of a openai request other than known" in notice


def test_a_body_that_is_written_to_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def otherwise(self: Any, model: str, messages: Any, optional_params: Any, **_: Any) -> dict[str, Any]:
        optional_params["response_format"]["json_schema"]["used"] = True
        return {"model": model, "messages": messages, **optional_params}

    monkeypatch.setattr(prepare_litellm().OpenAIGPTConfig, "transform_request", otherwise)
    _, [notice] = choose("hosted_vllm", "llama3.1")
    assert "a request changes the options that the next one shares" in notice


def test_a_shape_that_cannot_be_shared_goes_by_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare_litellm().utils.get_optional_params

    def with_the_seed_in_words(**named: Any) -> dict[str, Any]:
        return {**made(**named), "user": f"seed {named['seed']}"}

    async def ask() -> None:
        async with scripted_server() as server:
            monkeypatch.setenv(BASE_NAME, server.address)
            server.reply = Reply(SPEAKERS["hosted_vllm"].replies()["ok"])
            row, notices = row_of("hosted_vllm", "llama3.1"), list[str]()
            route = choose_route(row, row.models["default"], notices.append)
            monkeypatch.setattr("litellm.utils.get_optional_params", with_the_seed_in_words)
            try:
                answers = [await route.ask(purchase(seed=seed)) for seed in (1, 2)]
            finally:
                await route.close()
            assert isinstance(route, DirectRoute)
            assert [answer.finish_reason for answer in answers] == ["stop", "stop"]
            assert [request.body["seed"] for request in server.requests] == [1, 2]
            [notice] = notices
            assert "parcels__write: the seed changes more of a request than itself" in notice

    asyncio.run(ask())
