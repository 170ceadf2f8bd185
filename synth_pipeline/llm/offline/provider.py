"""The offline provider as LiteLLM sees it: `offline/<voice>`, with no network and no key.

A stand-in for demos and tests: what it writes shows that the pipeline runs, never what a model can do.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synth_pipeline.contracts.errors import ProviderError
from synth_pipeline.llm.offline.answer import OfflineAnswer, answer
from synth_pipeline.llm.offline.grammar import Grammar
from synth_pipeline.llm.offline.prompt import OfflineRequest
from synth_pipeline.llm.offline.voices import Voice, load_voices

if TYPE_CHECKING:
    from litellm.llms.custom_llm import CustomLLM
    from litellm.types.utils import ModelResponse

PROVIDER = "offline"


def register_offline_provider(
    grammars: Mapping[str, Grammar], *, voices: Mapping[str, Voice] | None = None
) -> "CustomLLM":
    """Return the handler that now answers `offline/<voice>` in this process, in the place of an earlier one.

    Args:
        grammars: by recipe; a recipe without one gets the generic grammar.
        voices: by name; None for those of `voices.yaml`.
    """
    import litellm

    handler = _make_handler(grammars, voices or load_voices())
    others = [row for row in litellm.custom_provider_map if row["provider"] != PROVIDER]
    litellm.custom_provider_map = [*others, {"provider": PROVIDER, "custom_handler": handler}]
    return handler


def find_voice(model: str, voices: Mapping[str, Voice]) -> Voice:
    """Return the voice that `model` (`offline/terse` or `terse`) names.

    Raises:
        ProviderError: no voice has that name.
    """
    name = model.rpartition("/")[2]
    if name not in voices:
        known = ", ".join(sorted(voices))
        raise ProviderError(f"no voice is called {name!r}", where=f"model {model!r}", fix=f"use one of {known}")
    return voices[name]


def _make_handler(grammars: Mapping[str, Grammar], voices: Mapping[str, Voice]) -> "CustomLLM":
    from litellm.exceptions import RateLimitError
    from litellm.llms.custom_llm import CustomLLM

    turned_away: set[tuple[str, str]] = set()

    class OfflineHandler(CustomLLM):
        """Answers calls to `offline/<voice>`."""

        def completion(self, *_: Any, **call: Any) -> "ModelResponse":
            """Return the answer to one call."""
            given = self._answer(call)
            time.sleep(given.latency_s)
            return _fill_response(call["model_response"], given, call["model"])

        async def acompletion(self, *_: Any, **call: Any) -> "ModelResponse":
            """Return the answer to one call, after the voice's latency."""
            given = self._answer(call)
            if given.latency_s:
                await asyncio.sleep(given.latency_s)
            return _fill_response(call["model_response"], given, call["model"])

        def _answer(self, call: Mapping[str, Any]) -> OfflineAnswer:
            voice = find_voice(call["model"], voices)
            request = OfflineRequest.from_params(call["messages"], call["optional_params"])
            given = answer(request, voice, grammars)
            asked = (voice.name, request.fingerprint)
            if given.rate_limited and asked not in turned_away:
                turned_away.add(asked)
                raise RateLimitError("the voice asks to wait", llm_provider=PROVIDER, model=call["model"])
            return given

    return OfflineHandler()


def _fill_response(response: "ModelResponse", given: OfflineAnswer, model: str) -> "ModelResponse":
    from litellm.types.utils import Usage

    choice = response.choices[0]
    choice.message.content = given.text
    choice.finish_reason = given.finish_reason
    response.model = f"{PROVIDER}/{model}"
    n_tokens = given.prompt_tokens + given.completion_tokens
    usage = Usage(prompt_tokens=given.prompt_tokens, completion_tokens=given.completion_tokens, total_tokens=n_tokens)
    setattr(response, "usage", usage)  # noqa: B010  # the field is there only at run time
    return response
