"""The generic grammar fills any schema that pydantic writes, validly."""

import json
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

from hypothesis import given as holds_for
from hypothesis import settings
from hypothesis import strategies as st
from jsonschema import validate  # type: ignore[import-untyped]  # it ships no types
from pydantic import BaseModel, Field

from synth_pipeline.llm.offline import answer, load_voices
from synth_pipeline_tests.llm.offline.planned import ask

VOICES = {name: voice.without_faults() for name, voice in load_voices().items()}
INTS = st.builds(
    lambda low, span: {"type": "integer", "minimum": low, "maximum": low + span},
    st.integers(-1000, 1000),
    st.integers(0, 1000),
)
NUMBERS = st.builds(
    lambda low, span: {"type": "number", "minimum": low, "exclusiveMaximum": low + span},
    st.floats(-1000, 1000),
    st.floats(0.5, 1000),
)
STRINGS = st.builds(
    lambda low, span: {"type": "string", "minLength": low, "maxLength": low + span},
    st.integers(0, 300),
    st.integers(0, 300),
)
PLAIN = st.sampled_from(
    [{"type": "boolean"}, {"type": "integer"}, {"type": "number"}, {"type": "string"}, {"type": "null"}]
)
ENUMS = st.lists(st.sampled_from(["a", "b", "c", 1, 2]), min_size=1, unique=True).map(lambda options: {"enum": options})
LEAVES = INTS | NUMBERS | STRINGS | PLAIN | ENUMS
NAMES = st.from_regex(r"[a-z]{1,12}", fullmatch=True)


def _branches(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    arrays = st.builds(
        lambda items, low, span: {"type": "array", "items": items, "minItems": low, "maxItems": low + span},
        inner,
        st.integers(0, 4),
        st.integers(0, 4),
    )
    unions = st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
    return arrays | unions | _objects(inner)


def _objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    parts = st.dictionaries(NAMES, inner, min_size=1, max_size=5)
    return parts.map(lambda p: {"type": "object", "properties": p, "required": list(p), "additionalProperties": False})


SCHEMAS = _objects(st.recursive(LEAVES, _branches, max_leaves=8))
GIVEN = st.dictionaries(NAMES, st.integers() | st.text() | st.booleans() | st.lists(st.text(), max_size=3), max_size=4)


@settings(max_examples=80, deadline=None)
@holds_for(schema=SCHEMAS, given=GIVEN, voice=st.sampled_from(sorted(VOICES)))
def test_any_schema_is_filled_validly(schema: dict[str, Any], given: dict[str, Any], voice: str) -> None:
    asked = ask(given, "anything", schema)
    validate(json.loads(answer(asked, VOICES[voice], {}).text), schema)


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Turn(BaseModel):
    speaker: Literal["client", "coach"]
    said: Annotated[str, Field(min_length=5, max_length=200)]


class Talk(BaseModel):
    heading: str
    transcript: str
    mood: Mood
    held_on: date
    score: Annotated[int, Field(ge=1, le=5)]
    step: Annotated[int, Field(gt=0, multiple_of=5)]
    share: Annotated[float, Field(gt=0, lt=1)]
    turns: Annotated[list[Turn], Field(min_length=2, max_length=6)]
    note: str | None
    pair: tuple[int, str]
    reply_to: "Talk | None" = None


def talk(voice: str, seed: int = 0, **given: Any) -> Talk:
    asked = ask(given, "write", Talk.model_json_schema(), seed)
    return Talk.model_validate_json(answer(asked, VOICES[voice], {}).text)


def test_a_pydantic_class_that_holds_itself_is_filled() -> None:
    assert {talk("terse", seed).mood for seed in range(20)} == {Mood.GOOD, Mood.BAD}


def test_given_values_of_the_same_name_are_echoed_where_they_fit() -> None:
    filled = talk("formal", score=4, mood="bad", heading="My day", step=7)
    assert (filled.score, filled.mood, filled.heading) == (4, Mood.BAD, "My day")
    assert filled.step % 5 == 0


def test_the_prose_mentions_every_given_value() -> None:
    for seed in range(30):
        text = talk("messy", seed, client="Amina", session_number=12, goals=["sleep", "focus"]).transcript
        assert "Amina" in text
        assert "12" in text
        assert "sleep and focus" in text.lower()


def test_the_prose_is_as_long_as_words_asks() -> None:
    lengths = [len(talk("terse", seed, words=150).transcript.split()) for seed in range(20)]
    assert 130 <= min(lengths) <= max(lengths) <= 185


def test_the_prose_varies() -> None:
    texts = [talk("terse", seed, client="Amina", words=60).transcript for seed in range(300)]
    sentences = [sentence for text in texts for sentence in set(text.split(". "))]
    assert len(set(texts)) == 300
    assert max(sentences.count(s) for s in set(sentences)) <= 30


def test_a_recipe_that_has_a_grammar_is_not_needed_for_an_answer() -> None:
    asked = ask({}, "write", {})
    assert set(json.loads(answer(asked, VOICES["terse"], {}).text)) == {"text"}
