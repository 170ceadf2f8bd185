"""Calls through `litellm.acompletion`: any provider that LiteLLM knows, and our own offline voices."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from synth_pipeline.contracts.providers import Provider
from synth_pipeline.llm.purchases import Answer, Purchase
from synth_pipeline.llm.routes.errors import Place
from synth_pipeline.llm.routes.faults import in_our_words
from synth_pipeline.llm.routes.one_loop import ONE_LOOP
from synth_pipeline.llm.routes.preparing import prepare_litellm
from synth_pipeline.llm.routes.reading import read_answer
from synth_pipeline.llm.routes.structured import Structure

FORWARDED = "llm_provider-"
MARGIN_S = 10.0  # LiteLLM's own deadline comes after ours, so that it is always ours which ends a call


class LiteLLMRoute:
    """A way to one model through `litellm.acompletion`.

    Args:
        provider: the row; its key and address are read from the environment now.
        model: the LiteLLM model.
    """

    def __init__(self, provider: Provider, model: str) -> None:
        self._litellm = prepare_litellm()
        self._place = Place(provider, model)
        self._structure = Structure(provider, model)
        self._raised = tuple(self._litellm.exceptions.LITELLM_EXCEPTION_TYPES)
        self._inside = False
        self._fixed = {
            "model": model,
            "api_key": os.environ.get(provider.api_key_env) if provider.api_key_env else None,
            "api_base": os.environ.get(provider.api_base_env) if provider.api_base_env else None,
            "timeout": provider.timeout_s + MARGIN_S,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": True,
        }

    async def ask(self, purchase: Purchase) -> Answer:
        """Return one fresh answer.

        Raises:
            TransientCallError: a rate limit, time-out, broken connection, server error or truncated body.
            PermanentCallError: the provider refuses the request itself; carries its own message, secrets masked.
        """
        if not self._inside:
            await ONE_LOOP.enter(self)
            self._inside = True
        seconds = self._place.provider.timeout_s
        try:
            async with asyncio.timeout(seconds):
                response = await self._litellm.acompletion(**self._arguments(purchase))
        except TimeoutError:
            raise self._place.too_late(seconds) from None
        except self._raised as error:
            answer = in_our_words(error, self._place)
            if isinstance(answer, Answer):
                return answer
            raise answer from None
        return read_answer(response, _headers_of(response))

    async def close(self) -> None:
        """Let go of connections."""
        self._inside = False
        await ONE_LOOP.leave(self)

    def _arguments(self, purchase: Purchase) -> dict[str, Any]:
        request, asked = purchase.request, self._structure.ask(purchase)
        return {
            **self._fixed,
            "messages": asked.messages,
            "response_format": asked.response_format,
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "seed": request.seed,
        }


def _headers_of(response: Any) -> Mapping[str, str]:
    """Return the HTTP response's headers, which LiteLLM forwards under a prefix."""
    hidden = getattr(response, "_hidden_params", None) or {}
    forwarded = hidden.get("additional_headers") or {}
    return {name.lower().removeprefix(FORWARDED): str(value) for name, value in forwarded.items()}
