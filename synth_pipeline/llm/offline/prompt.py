"""What an offline voice reads of a call: the given values, the recipe, the role and the schema to fill."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from synth_pipeline.contracts.identity import canonical_json, sha256_text

JSON_BLOCK = re.compile(r"```json[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
KEY_LINE = re.compile(r"^[ \t]*[-*]?[ \t]*([A-Za-z_][A-Za-z0-9_ ]{0,40}):[ \t]+(\S.*)$", re.MULTILINE)
ANY_TEXT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
}


@dataclass(frozen=True)
class OfflineRequest:
    """One call as a voice sees it.

    Args:
        messages: role and text of each message, in order.
        schema_name: `<recipe>__<role>`, or a bare role.
        schema: the JSON schema that the answer must fill.
        seed: the seed of the call.
        max_tokens: where the answer is cut off; None for no limit.
    """

    messages: tuple[tuple[str, str], ...]
    schema_name: str
    schema: Mapping[str, Any]
    seed: int = 0
    max_tokens: int | None = None

    @classmethod
    def from_params(cls, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> "OfflineRequest":
        """Return the request that chat `messages` and their parameters make.

        Args:
            messages: OpenAI chat messages.
            params: `response_format`, `seed` and `max_tokens`, as the body of a chat call names them.
        """
        wanted = (params.get("response_format") or {}).get("json_schema") or {}
        return cls(
            messages=tuple((str(m.get("role", "user")), _text_of(m.get("content"))) for m in messages),
            schema_name=str(wanted.get("name") or "text"),
            schema=wanted.get("schema") or ANY_TEXT,
            seed=int(params.get("seed") or 0),
            max_tokens=params.get("max_completion_tokens") or params.get("max_tokens"),
        )

    @cached_property
    def given(self) -> dict[str, Any]:
        """The values that the first user message with a json block gives; else its `key: value` lines."""
        asked = [text for role, text in self.messages if role == "user"]
        blocks = (values for text in asked if (values := _json_block(text)) is not None)
        return next(blocks, None) or _key_lines(asked)

    @property
    def recipe(self) -> str:
        """The recipe in the schema's name; empty where it names a role alone."""
        return self.schema_name.rpartition("__")[0]

    @property
    def role(self) -> str:
        """The role in the schema's name."""
        return self.schema_name.rpartition("__")[2]

    @cached_property
    def fingerprint(self) -> str:
        """The identity of the whole request: equal requests, equal answers."""
        return sha256_text(canonical_json([self.messages, self.schema_name, self.schema, self.seed]))

    @property
    def prompt_chars(self) -> int:
        """How many characters the prompt holds."""
        return sum(len(text) for _, text in self.messages)


def _text_of(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _json_block(text: str) -> dict[str, Any] | None:
    found = JSON_BLOCK.search(text)
    if found is None:
        return None
    try:
        values = json.loads(found.group(1))
    except json.JSONDecodeError:
        return None
    return values if isinstance(values, dict) else None


def _key_lines(texts: Sequence[str]) -> dict[str, Any]:
    pairs = (pair for text in texts for pair in KEY_LINE.findall(text))
    return {key.strip().lower().replace(" ", "_"): _scalar(value.strip()) for key, value in pairs}


def _scalar(text: str) -> object:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return text if value is None else value
