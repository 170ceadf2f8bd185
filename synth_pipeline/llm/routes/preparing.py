"""LiteLLM as we use it: quiet, and asking no one and nothing by itself."""

import os
import sys
from contextlib import suppress
from typing import Any, NoReturn

SECOND_REQUEST = "single_connection_post_request"


def prepare_litellm() -> Any:
    """Return LiteLLM, imported with its network look-ups, telemetry, debug prints and hidden second requests off."""
    for look_up in ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS"):
        os.environ.setdefault(f"LITELLM_LOCAL_{look_up}", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = False  # told call by call: set here, a 422 makes LiteLLM ask again without what it names
    _ask_once()
    return litellm


def _ask_once() -> None:
    """Keep LiteLLM from asking a second time where a connection was reset: the first may have been billed."""
    with suppress(ImportError):  # a LiteLLM that has not got it asks once
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        if hasattr(AsyncHTTPHandler, SECOND_REQUEST):
            setattr(AsyncHTTPHandler, SECOND_REQUEST, _raise_again)


async def _raise_again(*_: Any, **__: Any) -> NoReturn:
    """Raise the error that LiteLLM is about to answer with a second request."""
    error = sys.exception()
    if error is None:
        raise RuntimeError("LiteLLM asks again without an error")
    raise error
