"""The provider as LiteLLM calls it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pipeline.contracts.errors import ProviderError
from synth_pipeline.llm.offline import find_voice, load_voices, register_offline_provider
from synth_pipeline_tests.llm.offline.planned import RECORD_SCHEMA, grammars, planned_values

GIVEN = planned_values(0)


@pytest.fixture(autouse=True)
def litellm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm  # heavy

    yield litellm
    litellm.custom_provider_map = []


def register(**dials: float) -> None:
    voices = {name: v.without_faults().with_dials(**dials) for name, v in load_voices().items()}
    register_offline_provider(grammars(), voices=voices)


def call(litellm: Any, seed: int = 7, voice: str = "terse", **more: Any) -> Any:
    schema = {"name": "evidence__write", "schema": RECORD_SCHEMA, "strict": True}
    prompt = f"Write.\n```json\n{json.dumps(GIVEN)}\n```"
    return asyncio.run(
        litellm.acompletion(
            model=f"offline/{voice}",
            messages=[{"role": "user", "content": prompt}],
            response_format={"type": "json_schema", "json_schema": schema},
            seed=seed,
            temperature=1.0,
            num_retries=0,
            **more,
        )
    )


def test_a_call_is_answered_with_text_tokens_and_finish_reason(litellm: Any) -> None:
    register()
    response = call(litellm, max_tokens=1500)
    record = json.loads(response.choices[0].message.content)
    assert record["sample_size"] == GIVEN["sample_size"]
    assert response.choices[0].finish_reason == "stop"
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens > 0
    assert response.model == "offline/terse"


def test_seed_schema_and_max_tokens_reach_the_voice(litellm: Any) -> None:
    register()
    texts = [call(litellm, seed).choices[0].message.content for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]
    assert call(litellm, max_tokens=10).choices[0].finish_reason == "length"


def test_a_rate_limit_comes_once_and_the_retry_succeeds(litellm: Any) -> None:
    register(rate_limit=1)
    with pytest.raises(litellm.RateLimitError, match="asks to wait"):
        call(litellm)
    assert call(litellm).choices[0].finish_reason == "stop"


def test_registering_again_takes_the_place_of_the_first(litellm: Any) -> None:
    register(refusal=1)
    register()
    assert len(litellm.custom_provider_map) == 1
    assert call(litellm).choices[0].message.content.startswith("{")


def test_an_unknown_voice_names_those_there_are() -> None:
    with pytest.raises(ProviderError, match=r"no voice is called 'loud'\n  fix: use one of formal, messy, terse"):
        find_voice("offline/loud", load_voices())
