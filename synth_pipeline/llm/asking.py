"""One call to a model through LiteLLM, with its errors in our words."""

import asyncio
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from synth_pipeline.contracts.errors import CallError, PermanentCallError, TransientCallError
from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.protocols import CallRequest, Messages
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.llm.ledger import LedgerEntry
from synth_pipeline.llm.providers import mask_secrets

PER_MILLION = 1e-6
SHOWN = 400
CLIENT_ERRORS, ASK_AGAIN = range(400, 500), (408, 409, 425, 429)
FILTER_MARKS = ("content_policy_violation", "content_filter", "safety system")


def prepare_litellm() -> Any:
    """Return LiteLLM, imported with its network look-ups, telemetry and debug prints off."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    return litellm


async def close_connections() -> None:
    """Close what LiteLLM opened in this event loop and would leave to the garbage collector.

    It keeps clients by the id of their loop, which a later loop may get again, and a worker that logs behind the calls.
    """
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    await GLOBAL_LOGGING_WORKER.flush()
    await GLOBAL_LOGGING_WORKER.stop()
    cache = prepare_litellm().in_memory_llm_clients_cache
    mine = f"-{id(asyncio.get_running_loop())}"
    for key in [key for key in cache.cache_dict if key.endswith(mine)]:
        client = cache.cache_dict[key]
        cache.delete_cache(key)
        await client.close()


def call_parameters(request: CallRequest) -> dict[str, Any]:
    """Return the parameters that shape the answer; they are part of the call's key."""
    return {"temperature": request.temperature, "max_tokens": request.max_tokens, "seed": request.seed}


@dataclass(frozen=True)
class Purchase:
    """One completion to be bought: the request, the prompt as it stands now, its key, attempt and price."""

    request: CallRequest
    messages: Messages
    key: str
    attempt: int
    price: Price


async def ask(provider: Provider, purchase: Purchase) -> LedgerEntry:
    """Return one fresh completion, not yet kept or parsed.

    Raises:
        TransientCallError: a rate limit, time-out, broken connection or server error.
        PermanentCallError: the provider refuses the request itself; carries its own message, secrets masked.
    """
    litellm = prepare_litellm()
    started = time.perf_counter()
    try:
        response = await litellm.acompletion(**_arguments(provider, purchase))
    except tuple(litellm.exceptions.LITELLM_EXCEPTION_TYPES) as error:
        answer = _refused(litellm, error, provider)
        if answer is None:
            raise _in_our_words(error, provider, purchase.request) from None
    else:
        answer = _read(response)
    return _entry(provider, purchase, answer, time.perf_counter() - started)


def _arguments(provider: Provider, purchase: Purchase) -> dict[str, Any]:
    request = purchase.request
    schema = {"name": request.schema_name, "schema": request.record_class.model_json_schema(), "strict": True}
    return {
        "model": provider.model_for(request.role),
        "messages": [dict(message) for message in purchase.messages],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "api_key": os.environ.get(provider.api_key_env) if provider.api_key_env else None,
        "api_base": os.environ.get(provider.api_base_env) if provider.api_base_env else None,
        "timeout": provider.timeout_s,
        "num_retries": 0,
        "max_retries": 0,
        **call_parameters(request),
    }


def _read(response: Any) -> dict[str, Any]:
    choices, usage = getattr(response, "choices", None), getattr(response, "usage", None)
    answer = {
        "tokens_in": getattr(usage, "prompt_tokens", 0) or 0,
        "tokens_out": getattr(usage, "completion_tokens", 0) or 0,
        "provider_request_id": getattr(response, "id", None),
    }
    if not choices:
        return answer | {"finish_reason": "no_choices"}
    message = choices[0].message
    told = getattr(message, "provider_specific_fields", None) or {}
    return answer | {
        "content": _storable(message.content),
        "refusal": _storable(told.get("refusal")),
        "finish_reason": choices[0].finish_reason or "unknown",
    }


def _storable(text: str | None) -> str | None:
    """Return `text` with half characters, which a cut-off answer may end in and UTF-8 cannot hold, as `?`."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


def _refused(litellm: Any, error: Exception, provider: Provider) -> Mapping[str, Any] | None:
    """Return the answer that an error is, where it says that a filter stopped the prompt; else None."""
    text = str(error)
    by_filter = isinstance(error, litellm.exceptions.BadRequestError) and any(mark in text for mark in FILTER_MARKS)
    if not by_filter and not isinstance(error, litellm.exceptions.ContentPolicyViolationError):
        return None
    return {"refusal": mask_secrets(text, provider)[:SHOWN], "finish_reason": "content_filter"}


def _entry(provider: Provider, purchase: Purchase, answer: Mapping[str, Any], latency_s: float) -> LedgerEntry:
    request, price = purchase.request, purchase.price
    tokens_in, tokens_out = answer.get("tokens_in", 0), answer.get("tokens_out", 0)
    cost = (tokens_in * price.usd_per_mtok_in + tokens_out * price.usd_per_mtok_out) * PER_MILLION
    return LedgerEntry(
        call_key=purchase.key,
        recipe_role=request.schema_name,
        provider=provider.name,
        model=provider.model_for(request.role),
        template=request.template.path,
        template_version=request.template.version,
        template_sha256=request.template.sha256,
        sample=request.sample,
        attempt=purchase.attempt,
        messages=canonical_json([dict(message) for message in purchase.messages]),
        content=answer.get("content"),
        refusal=answer.get("refusal"),
        finish_reason=answer["finish_reason"],
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost_usd=cost,
        completed_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        latency_s=round(latency_s, 4),
        provider_request_id=answer.get("provider_request_id"),
    )


def _in_our_words(error: Exception, provider: Provider, request: CallRequest) -> CallError:
    message = mask_secrets(str(error), provider).partition("\n")[0][:SHOWN]
    where = f"provider {provider.name}, model {provider.model_for(request.role)}"
    status = getattr(error, "status_code", None)  # its class says less: a 403 comes as a plain APIError
    if status in CLIENT_ERRORS and status not in ASK_AGAIN:
        return PermanentCallError(
            message, where=where, fix="check the key, the model's name and the row in providers.yaml"
        )
    return TransientCallError(message, where=where, fix="run again later", retry_after_s=_retry_after(error))


def _retry_after(error: Exception) -> float | None:
    headers = getattr(error, "litellm_response_headers", None) or {}
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
