"""Which way calls to a model go: LiteLLM's transforms over our own session where they can, LiteLLM itself where not.

SYNTH_ROUTE=direct or SYNTH_ROUTE=litellm in the environment forces one.
"""

import os
from functools import cache

from synth_pipeline.contracts.errors import ProviderError
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.llm.purchases import Route
from synth_pipeline.llm.routes.canned import require_expected
from synth_pipeline.llm.routes.dialects import DIALECTS, reason_of, unexpected
from synth_pipeline.llm.routes.direct import DirectRoute
from synth_pipeline.llm.routes.forms import MORE_SLOWLY, Notice
from synth_pipeline.llm.routes.litellm_route import LiteLLMRoute
from synth_pipeline.llm.routes.preparing import prepare_litellm
from synth_pipeline.llm.routes.structured import split_model

VARIABLE, DIRECT, LITELLM = "SYNTH_ROUTE", "direct", "litellm"


def choose_route(provider: Provider, model: str, notice: Notice) -> Route:
    """Return the way to `model`: the direct one where LiteLLM's transforms do what is known of them.

    Args:
        provider: the row.
        model: the LiteLLM model.
        notice: told why a model of a provider that has a direct way does not take it.

    Raises:
        ProviderError: the environment forces a way that there is not.
    """
    prepare_litellm()
    forced = os.environ.get(VARIABLE, "")
    if forced not in ("", DIRECT, LITELLM):
        fix = f"use {DIRECT} or {LITELLM}, or unset it"
        raise ProviderError(f"{VARIABLE} is {forced!r}", where="the environment", fix=fix)
    family, _ = split_model(model)
    if forced == LITELLM or (family not in DIALECTS and forced != DIRECT):
        return LiteLLMRoute(provider, model)
    where = f"provider {provider.name}, model {model}"
    reason = why_not(family)
    if reason is None:
        try:
            return DirectRoute(provider, model, lambda what: notice(f"{where}: {what}"))
        except unexpected() as error:
            reason = reason_of(error)
    if forced == DIRECT:
        raise ProviderError(f"there is no direct way: {reason}", where=where, fix=f"unset {VARIABLE}")
    notice(f"{where}: {reason}; {MORE_SLOWLY}")
    return LiteLLMRoute(provider, model)


@cache
def why_not(family: str) -> str | None:
    """Return why models of LiteLLM's provider `family` have no direct way; None where they have."""
    if family not in DIALECTS:
        return f"{family!r} is not among {', '.join(DIALECTS)}"
    try:
        require_expected(family)
    except unexpected() as error:
        return reason_of(error)
    return None
