"""How a schema is asked for: the mode by row and model, the note in the prompt, and what strict modes demand."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from synth_pipeline.contracts.providers import Structured
from synth_pipeline.contracts.records import RecordDeclaration
from synth_pipeline.llm.routes.structured import Structure, explicit_mode, strict_schema, structured_mode, with_note
from synth_pipeline.stages.ontology import AcceptedValues
from synth_pipeline_tests.llm.routes.desk import PROMPT, Note, purchase, row_of
from synth_pipeline_tests.scenario import RECIPE

ALL_TYPES = RecordDeclaration.model_validate(
    {
        "text": "a",
        "fields": {
            "a": {"type": "string", "description": "text", "min_length": 2, "max_length": 9},
            "b": {"type": "string_list", "description": "list", "min_length": 1},
            "c": {"type": "integer", "description": "whole", "minimum": 1},
            "d": {"type": "number", "description": "any", "maximum": 2},
            "e": {"type": "boolean", "description": "yes or no"},
        },
    }
)


@pytest.mark.parametrize(
    ("family", "model", "mode"),
    [
        ("openai", "gpt-4.1", "json_schema"),
        ("openai", "gpt-4", "prompt"),
        ("openai", "a-model-that-nobody-knows", "json_schema"),
        ("anthropic", "claude-sonnet-4-5", "json_schema"),
        ("gemini", "gemini-2.5-flash", "json_schema"),
        ("mistral", "mistral-small-latest", "json_schema"),
        ("xai", "grok-4.3", "json_schema"),
        ("hosted_vllm", "llama3.1", "json_schema"),
        ("deepseek", "deepseek-v3", "json_object"),
        ("offline", "terse", "json_schema"),
    ],
)
def test_the_mode_is_the_best_that_is_known_of_a_model(family: str, model: str, mode: Structured) -> None:
    assert structured_mode(row_of(family, model), f"{family}/{model}") == mode


def test_a_row_that_names_a_mode_is_obeyed() -> None:
    row = row_of("openai", "gpt-4.1", structured="prompt")
    assert structured_mode(row, "openai/gpt-4.1") == explicit_mode(row) == "prompt"
    assert explicit_mode(row_of("openai", "gpt-4.1")) is None


@pytest.mark.parametrize(
    ("mode", "response_format"),
    [
        (
            "json_schema",
            {
                "type": "json_schema",
                "json_schema": {"name": "parcels__write", "schema": Note.model_json_schema(), "strict": True},
            },
        ),
        ("json_object", {"type": "json_object"}),
        ("prompt", None),
    ],
)
def test_each_mode_has_its_response_format(mode: Structured, response_format: dict[str, Any] | None) -> None:
    structure = Structure(row_of("hosted_vllm", "m", structured=mode), "hosted_vllm/m")
    asked = structure.ask(purchase())
    assert asked.response_format == response_format
    assert (asked.messages == list(PROMPT)) == (mode == "json_schema")


def test_the_note_follows_the_system_message() -> None:
    first, *others = with_note(PROMPT, {"type": "object"})
    assert first["role"] == "system"
    assert first["content"].startswith("You write notes.\n\nAnswer with one JSON object")
    assert first["content"].endswith('{"type": "object"}')
    assert others == list(PROMPT[1:])
    assert PROMPT[0]["content"] == "You write notes."


def test_the_note_is_a_system_message_where_there_is_none() -> None:
    noted = with_note(PROMPT[1:], {"type": "object"})
    assert [message["role"] for message in noted] == ["system", "user"]


@pytest.mark.parametrize(
    "record_class", [RECIPE.record.record_class("r"), ALL_TYPES.record_class("r"), AcceptedValues], ids=str
)
def test_the_records_that_we_ask_for_are_strict_as_they_are(record_class: type[BaseModel]) -> None:
    schema = record_class.model_json_schema()
    assert strict_schema(schema, keep_lengths=True) == schema


class Inner(BaseModel):
    """A part."""

    default: str = "x"


class Loose(BaseModel):
    """Not strict by itself."""

    name: str | None = Field(None, min_length=2)
    parts: list[Inner] = []


def test_a_loose_schema_is_made_strict() -> None:
    strict = strict_schema(Loose.model_json_schema(), keep_lengths=True)
    assert strict["required"] == ["name", "parts"]
    assert strict["additionalProperties"] is False
    assert strict["properties"]["name"] == {
        "anyOf": [{"minLength": 2, "type": "string"}, {"type": "null"}],
        "title": "Name",
    }
    assert strict["$defs"]["Inner"]["required"] == ["default"]
    assert strict["$defs"]["Inner"]["properties"] == {"default": {"title": "Default", "type": "string"}}


def test_lengths_are_said_in_words_where_a_provider_may_refuse_them() -> None:
    strict = strict_schema(ALL_TYPES.record_class("r").model_json_schema(), keep_lengths=False)
    assert strict["properties"]["a"] == {
        "description": "text (at least 2 and at most 9 characters)",
        "title": "A",
        "type": "string",
    }
    assert strict["properties"]["b"]["minItems"] == 1
    assert strict["properties"]["c"]["minimum"] == 1


@pytest.mark.parametrize(("family", "kept"), [("hosted_vllm", True), ("offline", True), ("openai", False)])
def test_a_server_of_your_own_is_sent_the_lengths(family: str, kept: bool) -> None:
    structure = Structure(row_of(family, "m", structured="json_schema"), f"{family}/m")
    sent = structure.response_format(purchase())
    assert sent is not None
    assert ("minLength" in str(sent)) == kept
