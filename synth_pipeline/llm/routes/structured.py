"""How a record's JSON schema is asked for: as the provider's own JSON schema, as JSON, or in the prompt alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synth_pipeline.contracts.protocols import Messages
from synth_pipeline.contracts.providers import Provider, Structured
from synth_pipeline.contracts.records import Record
from synth_pipeline.llm.purchases import Purchase
from synth_pipeline.llm.routes.preparing import prepare_litellm

NOTE = "Answer with one JSON object and nothing else. It must fit this JSON schema:\n"
# Servers that hold a text to its length while it is written. Others may refuse such a bound, so it is said in words.
KEEPS_LENGTHS = frozenset({"hosted_vllm", "llamafile", "lm_studio", "offline", "ollama", "ollama_chat"})
SHORTEST, LONGEST = "minLength", "maxLength"
NAMED_SCHEMAS, LISTED_SCHEMAS = ("properties", "$defs"), ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True)
class Asked:
    """What a request sends of the prompt and of the schema.

    Args:
        messages: the prompt, with the note on the schema where the mode needs it; made anew for each request.
        response_format: what goes under that name; None where nothing does.
    """

    messages: list[dict[str, str]]
    response_format: dict[str, Any] | None


def explicit_mode(provider: Provider) -> Structured | None:
    """Return the mode that the row names; then the note is part of the prompt, and so of the call's key."""
    return provider.structured


def split_model(model: str) -> tuple[str, str]:
    """Return LiteLLM's provider of `model` and the name that the provider knows it by."""
    litellm = prepare_litellm()
    try:
        name, provider, _, _ = litellm.get_llm_provider(model)
    except litellm.exceptions.BadRequestError:  # a provider of our own that is not registered yet
        provider, _, name = model.partition("/")
    return provider, name


def structured_mode(provider: Provider, model: str) -> Structured:
    """Return how `model` is asked for a record: as the row says, else in the best way that LiteLLM knows of it.

    A model that LiteLLM does not know, as on a server of your own, is asked by its JSON schema.
    """
    if provider.structured is not None:
        return provider.structured
    litellm = prepare_litellm()
    family, name = split_model(model)
    row = litellm.model_cost.get(name, {})
    known = row.get("litellm_provider") == family or f"{family}/{name}" in litellm.model_cost
    if not known or litellm.supports_response_schema(name, family):
        return "json_schema"
    taken = litellm.get_supported_openai_params(name, family) or []
    return "json_object" if "response_format" in taken else "prompt"


class Structure:
    """Asks one model for records; keeps what each record class sends.

    Args:
        provider: the row.
        model: the LiteLLM model.
    """

    def __init__(self, provider: Provider, model: str) -> None:
        self.mode = structured_mode(provider, model)
        self._keep_lengths = split_model(model)[0] in KEEPS_LENGTHS
        self._schemas: dict[type[Record], dict[str, Any]] = {}

    def ask(self, purchase: Purchase) -> Asked:
        """Return what a purchase sends. The response format is shared between calls: read it, never write to it."""
        return Asked(self.messages(purchase), self.response_format(purchase))

    def messages(self, purchase: Purchase) -> list[dict[str, str]]:
        """Return the prompt as it is sent."""
        if self.mode == "json_schema":
            return [dict(message) for message in purchase.messages]
        return with_note(purchase.messages, self._schema(purchase.request.record_class))

    def response_format(self, purchase: Purchase) -> dict[str, Any] | None:
        """Return what goes under `response_format`; None where nothing does."""
        if self.mode == "prompt":
            return None
        if self.mode == "json_object":
            return {"type": "json_object"}
        schema = self._schema(purchase.request.record_class)
        named = {"name": purchase.request.schema_name, "schema": schema, "strict": True}
        return {"type": "json_schema", "json_schema": named}

    def _schema(self, record_class: type[Record]) -> dict[str, Any]:
        if record_class not in self._schemas:
            self._schemas[record_class] = strict_schema(
                record_class.model_json_schema(), keep_lengths=self._keep_lengths
            )
        return self._schemas[record_class]


def with_note(messages: Messages, schema: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return `messages` with the schema in words: after the system message, or in one of its own before all others."""
    note = NOTE + json.dumps(schema, ensure_ascii=False)
    copied = [dict(message) for message in messages]
    if not copied or copied[0]["role"] != "system":
        return [{"role": "system", "content": note}, *copied]
    copied[0]["content"] += f"\n\n{note}"
    return copied


def strict_schema(schema: Mapping[str, Any], *, keep_lengths: bool) -> dict[str, Any]:
    """Return `schema` as strict modes take it: every field required, none beside them, no defaults.

    Args:
        schema: a record class's, or a part of it.
        keep_lengths: whether bounds on a text's length stay; else the field's description says them.
    """
    strict = {name: value for name, value in schema.items() if name != "default"}
    for group in NAMED_SCHEMAS:
        if group in strict:
            strict[group] = {
                name: strict_schema(part, keep_lengths=keep_lengths) for name, part in strict[group].items()
            }
    for group in LISTED_SCHEMAS:
        if group in strict:
            strict[group] = [strict_schema(part, keep_lengths=keep_lengths) for part in strict[group]]
    if isinstance(strict.get("items"), Mapping):
        strict["items"] = strict_schema(strict["items"], keep_lengths=keep_lengths)
    if "properties" in strict:
        strict |= {"required": list(strict["properties"]), "additionalProperties": False}
    return strict if keep_lengths else _lengths_in_words(strict)


def _lengths_in_words(schema: dict[str, Any]) -> dict[str, Any]:
    least, most = schema.pop(SHORTEST, None), schema.pop(LONGEST, None)
    bounds = [f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None)
    if bounds:
        said = f"({' and '.join(bounds)} characters)"
        schema["description"] = f"{schema.get('description', '')} {said}".strip()
    return schema
