"""From a response to LiteLLM's response object, and from that to an answer."""

import json
import re
from collections.abc import Mapping
from typing import Any

from synth_pipeline.llm.purchases import Answer
from synth_pipeline.llm.routes.errors import request_id_of
from synth_pipeline.llm.routes.headers import read_rate

NO_CHOICES = "no_choices"
# LiteLLM makes up a name of this form where the provider gives none.
MADE_UP = re.compile(r"chatcmpl-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


class WholeReply:
    """A whole response, with the names by which LiteLLM's transforms read one of httpx's; its JSON is parsed once."""

    def __init__(self, status_code: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status_code, self.headers, self.content = status_code, headers, content
        self._parsed: Any = None

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the parsed body."""
        if self._parsed is None:
            self._parsed = json.loads(self.content)
        return self._parsed


def read_answer(response: Any, headers: Mapping[str, str]) -> Answer:
    """Return the answer in LiteLLM's response object.

    Args:
        response: a ModelResponse.
        headers: of the HTTP response.
    """
    usage, named = getattr(response, "usage", None), getattr(response, "id", None)
    choices = getattr(response, "choices", None)
    content = refusal = None
    finish_reason = NO_CHOICES
    if choices:
        message = choices[0].message
        told = getattr(message, "provider_specific_fields", None) or {}
        content, refusal = storable(message.content), storable(told.get("refusal"))
        finish_reason = choices[0].finish_reason or "unknown"
    return Answer(
        content=content,
        refusal=refusal,
        finish_reason=finish_reason,
        tokens_in=getattr(usage, "prompt_tokens", 0) or 0,
        tokens_out=getattr(usage, "completion_tokens", 0) or 0,
        provider_request_id=request_id_of(headers) if not named or MADE_UP.fullmatch(named) else named,
        rate=read_rate(headers),
    )


def storable(text: str | None) -> str | None:
    """Return `text` with half characters, which a cut-off answer may end in and UTF-8 cannot hold, as `?`."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")
