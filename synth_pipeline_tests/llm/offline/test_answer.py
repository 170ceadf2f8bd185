"""An answer: the same request, the same bytes; what each role gives back; what each dial does."""

import json
import re
from typing import Any

import pytest
from hypothesis import given as holds_for
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from synth_pipeline.llm.offline import OfflineAnswer, OfflineRequest, Voice, answer, load_voices
from synth_pipeline.llm.parsing import parse_completion
from synth_pipeline.llm.purchases import Answer
from synth_pipeline_tests.llm.offline.planned import RECORD_SCHEMA, ask, grammars, planned_values

GRAMMARS = grammars()
CALM = {name: voice.without_faults() for name, voice in load_voices().items()}
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
VERDICT_SCHEMA = {
    "type": "object",
    "properties": {"accepted": {"type": "array", "items": {"type": "string"}}},
    "required": ["accepted"],
}


def write(voice: Voice, ordinal: int = 0, seed: int = 1) -> OfflineAnswer:
    return answer(ask(planned_values(ordinal), seed=seed), voice, GRAMMARS)


def record(voice: Voice, ordinal: int = 0, seed: int = 1) -> dict[str, Any]:
    loaded = json.loads(write(voice, ordinal, seed).text)
    assert isinstance(loaded, dict)
    return loaded


@settings(max_examples=30, deadline=None)
@holds_for(ordinal=st.integers(0, 10_000), seed=st.integers(0, 2**31 - 1), name=st.sampled_from(sorted(CALM)))
def test_the_same_request_gets_the_same_answer(ordinal: int, seed: int, name: str) -> None:
    voice = load_voices()[name]
    assert write(voice, ordinal, seed) == write(voice, ordinal, seed)


@settings(max_examples=30, deadline=None)
@holds_for(ordinal=st.integers(0, 10_000), name=st.sampled_from(sorted(CALM)))
def test_another_seed_gets_another_text(ordinal: int, name: str) -> None:
    assert record(CALM[name], ordinal, 1)["abstract"] != record(CALM[name], ordinal, 2)["abstract"]


def test_numbers_and_names_of_the_record_echo_what_is_given() -> None:
    given = planned_values(3)
    answered = record(CALM["formal"], 3)
    assert list(answered) == list(RECORD_SCHEMA["properties"])
    for field in ("country", "sample_size", "study_start", "study_end", "publication_year"):
        assert answered[field] == given[field]


def test_the_title_and_the_outcomes_speak_of_what_the_abstract_speaks_of() -> None:
    answers = [record(CALM["formal"], ordinal) for ordinal in range(50)]
    assert all(a["outcomes"][0].lower() in a["abstract"].lower() for a in answers)


def test_tokens_are_counted_and_a_whole_answer_stops() -> None:
    given = write(CALM["terse"])
    assert given.finish_reason == "stop"
    assert given.completion_tokens == -(-len(given.text) // 4)
    assert given.prompt_tokens > 50


def test_an_answer_past_max_tokens_is_cut_off_there() -> None:
    whole = ask(planned_values(0))
    asked = OfflineRequest(whole.messages, whole.schema_name, whole.schema, whole.seed, max_tokens=20)
    given = answer(asked, CALM["formal"], GRAMMARS)
    assert (given.finish_reason, len(given.text)) == ("length", 80)


@settings(max_examples=60, deadline=None)
@holds_for(ordinal=st.integers(0, 10_000), name=st.sampled_from(sorted(CALM)))
def test_a_flaw_changes_one_sentence_and_nothing_else(ordinal: int, name: str) -> None:
    planned = planned_values(ordinal)
    source = record(CALM[name], ordinal)
    keys = ("quantity", "quantity_label", "healthy_value")
    asked = ask({"source": source, "sick_value": "77.77", **{k: planned[k] for k in keys}}, "flaw")
    variant = json.loads(answer(asked, CALM[name], GRAMMARS).text)
    assert {**variant, "abstract": ""} == {**source, "abstract": ""}
    before, after = SENTENCE_END.split(source["abstract"]), SENTENCE_END.split(variant["abstract"])
    changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert len(changed) == 1
    assert changed[0][0].replace(planned["healthy_value"], "77.77") == changed[0][1]


def test_a_flaw_without_its_healthy_value_leaves_the_source_as_it_is() -> None:
    source = {"title": "A title", "abstract": "Nothing is counted here."}
    asked = ask({"source": source, "healthy_value": "3.4", "sick_value": "20"}, "flaw")
    assert json.loads(answer(asked, CALM["terse"], {}).text)["abstract"] == source["abstract"]


def test_a_flaw_prefers_the_sentence_that_names_the_quantity() -> None:
    source = {"abstract": "Follow-up took 12 months. The number of clusters was 12. It ended."}
    given = {
        "source": source,
        "healthy_value": "12",
        "sick_value": "5",
        "quantity_label": "number of clusters",
    }
    schema = {"type": "object", "properties": {"abstract": {"type": "string"}}}
    changed = json.loads(answer(ask(given, "flaw", schema), CALM["terse"], {}).text)["abstract"]
    assert changed == "Follow-up took 12 months. The number of clusters was 5. It ended."


def test_a_voice_accepts_the_same_candidates_for_every_seed() -> None:
    given = {"axis": "colour", "candidates": [f"shade {n}" for n in range(200)]}
    voice = CALM["messy"]
    first, second = (
        json.loads(answer(ask(given, "structure", VERDICT_SCHEMA, seed), voice, {}).text)["accepted"] for seed in (1, 2)
    )
    assert first == second
    assert 160 <= len(first) <= 196
    assert [c for c in given["candidates"] if c in first] == first


def test_a_voice_that_accepts_all_accepts_all() -> None:
    given = {"axis": "colour", "candidates": ["red", "blue"]}
    asked = ask(given, "structure", VERDICT_SCHEMA)
    assert json.loads(answer(asked, CALM["terse"].with_dials(accept=1), {}).text) == {"accepted": ["red", "blue"]}


@pytest.mark.parametrize("name", sorted(CALM))
def test_dials_at_zero_show_no_fault(name: str) -> None:
    assert all(write(CALM[name], ordinal).faults == frozenset() for ordinal in range(200))


class AnyRecord(BaseModel):
    """A record that takes any object."""

    model_config = ConfigDict(extra="allow")


def test_malformed_json_at_one_never_parses() -> None:
    for ordinal in range(60):
        text = write(CALM["terse"].with_dials(malformed_json=1), ordinal).text
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
        assert parse_completion(Answer(content=text, finish_reason="stop"), AnyRecord).state == "unparsable"


def test_refusals_at_one_are_plain_text() -> None:
    texts = {write(CALM["formal"].with_dials(refusal=1), ordinal).text for ordinal in range(60)}
    assert len(texts) == 4
    assert not any("{" in text for text in texts)


def test_cut_offs_at_one_end_early_and_say_so() -> None:
    for ordinal in range(30):
        whole = write(CALM["formal"], ordinal)
        cut = write(CALM["formal"].with_dials(cut_off=1), ordinal)
        assert cut.finish_reason == "length"
        assert whole.text.startswith(cut.text)


def test_rate_limits_at_one_are_told_with_an_answer_for_the_retry() -> None:
    limited = write(CALM["formal"].with_dials(rate_limit=1))
    assert limited.rate_limited
    assert limited.text == write(CALM["formal"]).text


def test_an_implausible_number_is_off_by_powers_of_ten() -> None:
    for ordinal in range(60):
        clean = planned_values(ordinal)["sample_size"]
        wrong = record(CALM["terse"].with_dials(implausible=1), ordinal)["sample_size"]
        assert wrong in {clean * 100, clean * 1000, max(1, clean // 1000)}


def test_a_temporal_inversion_swaps_two_years() -> None:
    for ordinal in range(60):
        answered = record(CALM["terse"].with_dials(temporal_inversion=1), ordinal)
        years = [answered[name] for name in ("study_start", "study_end", "publication_year")]
        assert years != sorted(years)


def test_a_misstated_number_stands_in_the_field_alone() -> None:
    for ordinal in range(60):
        answered = record(CALM["terse"].with_dials(misstated_number=1), ordinal)
        clean = record(CALM["terse"], ordinal)
        assert answered["sample_size"] == clean["sample_size"]
        assert answered["abstract"] != clean["abstract"]
        assert not re.search(rf"(?<![\d.,]){clean['sample_size']}(?![\d.,]*\d)", answered["abstract"])


def test_near_duplicates_share_most_of_their_words() -> None:
    voice = CALM["formal"].with_dials(near_duplicate=1)
    shingles = [_shingles(record(voice, ordinal)["abstract"]) for ordinal in range(12)]
    pairs = [(a, b) for n, a in enumerate(shingles) for b in shingles[n + 1 :]]
    alike = [len(a & b) / len(a | b) for a, b in pairs]
    assert max(alike) > 0.6
    assert sum(share > 0.4 for share in alike) >= len(pairs) // 10


def test_latency_is_the_dial() -> None:
    assert write(CALM["terse"].with_dials(latency_s=0.25)).latency_s == 0.25


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))
