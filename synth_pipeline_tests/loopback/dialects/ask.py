"""A request for a completion in no provider's format, and what a provider's format can do."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from synth_pipeline.contracts.identity import digest
from synth_pipeline.llm.offline import OfflineRequest
from synth_pipeline.llm.offline.answer import estimate_tokens
from synth_pipeline_tests.loopback.faults import Completion, Json, TurnedAway

RECORD = "_record"


@dataclass(frozen=True)
class Ask:
    """A request for a completion.

    Args:
        model: the model's name.
        messages: the prompt as OpenAI's chat messages.
        schema: the JSON schema that the answer must fill; None where the request names none.
        schema_name: its name; None where the provider's format has none.
        seed: the sampling seed.
        max_tokens: where the answer is cut off; None for no limit.
        tool: the tool that must be called with the answer; None: the answer is text.
    """

    model: str
    messages: Sequence[Mapping[str, Any]]
    schema: Json | None = None
    schema_name: str | None = None
    seed: int = 0
    max_tokens: int | None = None
    tool: str | None = None

    @property
    def identity(self) -> str:
        """Equal for equal model, messages and seed."""
        return digest(self.model, [dict(message) for message in self.messages], self.seed)

    def for_voice(self) -> OfflineRequest:
        """Return the request as a voice sees it; a schema that is not asked for is looked for in the prompt.

        A format without a name for the schema leaves recipe and role to the schema's title and to what is given.
        """
        schema = self.schema or _schema_in(self.messages)
        wanted = {"json_schema": {"name": self.schema_name, "schema": schema}} if schema else None
        params = {"response_format": wanted, "seed": self.seed, "max_tokens": self.max_tokens}
        request = OfflineRequest.from_params(self.messages, params)
        title = str((schema or {}).get("title", ""))
        if self.schema_name or not title.endswith(RECORD):
            return request
        role = "flaw" if isinstance(request.given.get("source"), dict) else "write"
        return replace(request, schema_name=f"{title.removesuffix(RECORD)}__{role}")

    @property
    def most_tokens(self) -> int:
        """What a provider counts towards its limit before it answers: the prompt's tokens and `max_tokens`."""
        n_chars = sum(len(str(message.get("content") or "")) for message in self.messages)
        return estimate_tokens(n_chars) + (self.max_tokens or 0)


class Dialect(Protocol):
    """A provider's format."""

    def read(self, body: Json, model: str) -> Ask:
        """Return what the body asks for; `model` is the one in the path, where the format has it there.

        Raises:
            ValueError: the body is not what the provider takes (also KeyError, TypeError, AttributeError).
        """

    def write(self, ask: Ask, completion: Completion, name: str) -> Json:
        """Return the body of an answer; `name` is its id."""

    def refuse(self, refused: TurnedAway, text: str) -> Json:
        """Return the body of an error."""


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, or parts that hold `text`."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ValueError(f"content is neither text nor a list of parts: {content!r}")
    return "\n".join(part["text"] for part in content if "text" in part)


def read_messages(messages: object) -> list[Json]:
    """Return `messages` where they are a list with something in it.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages must be a list with something in it")
    return messages


def _schema_in(messages: Sequence[Mapping[str, Any]]) -> Json | None:
    """Return the last JSON schema of an object in the messages; None where there is none."""
    texts = [text_of(message.get("content") or "") for message in messages]
    found = (value for text in reversed(texts) if '"properties"' in text for value in _objects_in(text))
    return next((value for value in found if isinstance(value.get("properties"), dict)), None)


def _objects_in(text: str) -> Iterator[Json]:
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            end = at + 1
        else:
            yield value
        at = text.find("{", end)
