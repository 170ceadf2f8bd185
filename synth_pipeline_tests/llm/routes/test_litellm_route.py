"""What is LiteLLM's alone: one event loop at a time, no second request behind our back, and the offline voices."""

import asyncio
import threading
import traceback
from collections.abc import Iterator

import pytest

from synth_pipeline.contracts.errors import PermanentCallError, ProviderError, TransientCallError
from synth_pipeline.llm.offline import load_voices, register_offline_provider
from synth_pipeline.llm.purchases import Answer
from synth_pipeline.llm.routes import LiteLLMRoute, prepare_litellm
from synth_pipeline.llm.routes.one_loop import OneLoop
from synth_pipeline_tests.llm.routes.desk import BASE_NAME, KEY_NAME, purchase, row_of
from synth_pipeline_tests.llm.routes.replies import SPEAKERS
from synth_pipeline_tests.llm.routes.scripted import Reply, scripted_server

KEY = "sk-canary-86420"
WAIT_S = 20


@pytest.fixture
def _voices() -> Iterator[None]:
    litellm = prepare_litellm()
    before = litellm.custom_provider_map
    register_offline_provider({})
    yield
    litellm.custom_provider_map = before


async def ask_once(route: LiteLLMRoute, **changes: object) -> Answer:
    """Return one answer of a route that is closed after it."""
    try:
        return await route.ask(purchase(**changes))
    finally:
        await route.close()


def test_nothing_is_looked_up_in_the_network() -> None:
    prepared = prepare_litellm()
    assert prepared.telemetry is False
    assert prepared.drop_params is False


@pytest.mark.usefixtures("_voices")
def test_an_offline_voice_answers() -> None:
    row = row_of("offline", "terse", api_key_env=None, api_base_env=None)
    answer = asyncio.run(ask_once(LiteLLMRoute(row, "offline/terse")))
    assert answer.finish_reason == "stop"
    assert answer.tokens_out > 0
    assert answer.content is not None
    assert '"note"' in answer.content


@pytest.mark.usefixtures("_voices")
def test_a_voice_that_asks_to_wait_is_a_rate_limit() -> None:
    register_offline_provider({}, voices={"terse": load_voices()["terse"].with_dials(rate_limit=1.0)})
    row = row_of("offline", "terse", api_key_env=None, api_base_env=None)
    with pytest.raises(TransientCallError, match="the voice asks to wait") as caught:
        asyncio.run(ask_once(LiteLLMRoute(row, "offline/terse")))
    assert caught.value.fault == "rate_limit"


@pytest.mark.usefixtures("_voices")
def test_our_own_error_comes_through() -> None:
    row = row_of("offline", "nobody", api_key_env=None, api_base_env=None)
    with pytest.raises(ProviderError, match="no voice is called 'nobody'"):
        asyncio.run(ask_once(LiteLLMRoute(row, "offline/nobody")))


@pytest.mark.parametrize("family", ["hosted_vllm", "openai"])
def test_a_request_that_cannot_be_processed_is_not_sent_again(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> list[object]:
        async with scripted_server() as server:
            monkeypatch.setenv(KEY_NAME, KEY)
            monkeypatch.setenv(BASE_NAME, server.address)
            body = {"error": {"message": {"detail": [{"loc": ["body", "seed"], "msg": f"not with {KEY}"}]}}}
            server.reply = Reply(body, 422)
            row = row_of(family, "m")
            with pytest.raises(PermanentCallError, match=r"body\.seed: not with <CANARY_KEY>") as caught:
                await ask_once(LiteLLMRoute(row, row.models["default"]))
            assert KEY not in "".join(traceback.format_exception(caught.value))
            return list(server.requests)

    assert len(asyncio.run(ask())) == 1


def test_a_model_that_litellm_does_not_know_is_refused() -> None:
    row = row_of("nobody", "m", api_key_env=None, api_base_env=None)
    with pytest.raises(PermanentCallError, match="LLM Provider NOT provided"):
        asyncio.run(ask_once(LiteLLMRoute(row, "nobody/m")))


def test_two_models_of_one_loop_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> list[str]:
        async with scripted_server() as server:
            monkeypatch.setenv(KEY_NAME, KEY)
            monkeypatch.setenv(BASE_NAME, server.address)
            server.reply = Reply(SPEAKERS["openai"].replies()["ok"])
            rows = [row_of("openai", name) for name in ("gpt-4.1", "gpt-4.1-mini")]
            routes = [LiteLLMRoute(row, row.models["default"]) for row in rows]
            async with asyncio.timeout(WAIT_S):
                answers = await asyncio.gather(*(route.ask(purchase()) for route in routes))
            for route in routes:
                await route.close()
            return [answer.finish_reason for answer in answers]

    assert asyncio.run(ask()) == ["stop", "stop"]


# ------------------------------------------------------------------------------------------ one loop at a time


def test_another_loop_waits_until_the_first_has_left() -> None:
    one_loop, order, first_is_in = OneLoop(), list[str](), threading.Event()
    may_leave = threading.Event()

    async def first() -> None:
        await one_loop.enter("a")
        await one_loop.enter("b")
        first_is_in.set()
        await asyncio.to_thread(may_leave.wait, WAIT_S)
        await one_loop.leave("a")
        order.append("first")
        await one_loop.leave("b")

    async def second() -> None:
        await asyncio.to_thread(first_is_in.wait, WAIT_S)
        entering = asyncio.create_task(one_loop.enter("c"))
        await asyncio.sleep(0.1)
        assert not entering.done()
        may_leave.set()
        await entering
        order.append("second")
        await one_loop.leave("c")

    threads = [threading.Thread(target=asyncio.run, args=(run(),)) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert order == ["first", "second"]


def test_a_loop_that_ended_without_leaving_gives_way() -> None:
    one_loop = OneLoop()

    async def enter() -> None:
        async with asyncio.timeout(WAIT_S):
            await one_loop.enter("a")

    asyncio.run(enter())
    asyncio.run(enter())
