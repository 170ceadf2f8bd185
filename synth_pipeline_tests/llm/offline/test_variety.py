"""The law of variety: no two abstracts alike, no sentence frame that comes back, whatever the voice."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from synth_pipeline.llm.offline import answer, load_voices
from synth_pipeline_tests.llm.offline.planned import ask, grammars, planned_values

VOICES = ("terse", "formal", "messy")
N = 500
MOST_SHARE = 0.05
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
CUES = {
    "rct": r"random",
    "cluster_rct": r"cluster",
    "psm": r"propensity|match",
    "did": r"difference-in-differences|diff-in-diff|parallel trends|before and after",
    "staggered_did": r"stagger|group-time|event study|not-yet-treated|not yet reached",
    "iv": r"instrument|two-stage",
    "rdd": r"discontinuity|cutoff",
    "scm": r"synthetic|donor",
    "its": r"interrupted|segmented|level and trend",
}


@cache
def written(voice: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    known, writer = grammars(), load_voices()[voice].without_faults()
    plan = [planned_values(ordinal) for ordinal in range(N)]
    return [(given, json.loads(answer(ask(given), writer, known).text)) for given in plan]


def whole(number: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\d.,]){re.escape(number)}(?!\d|[.,]\d)")


def frame(sentence: str, given: Mapping[str, Any]) -> str:
    texts = sorted((v for v in given.values() if isinstance(v, str)), key=len, reverse=True)
    for text in texts:
        sentence = re.sub(rf"\b{re.escape(text)}\b", "#", sentence, flags=re.IGNORECASE)
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*", "#", sentence)).strip().lower()


@pytest.mark.parametrize("voice", VOICES)
def test_no_two_abstracts_of_a_voice_are_alike(voice: str) -> None:
    assert len({record["abstract"] for _, record in written(voice)}) == N


@pytest.mark.parametrize("voice", VOICES)
def test_no_sentence_frame_stands_in_more_than_a_twentieth_of_the_abstracts(voice: str) -> None:
    frames: Counter[str] = Counter()
    for given, record in written(voice):
        frames.update({frame(sentence, given) for sentence in SENTENCE_END.split(record["abstract"])})
    worst, n = frames.most_common(1)[0]
    assert n <= MOST_SHARE * N, worst


@pytest.mark.parametrize("voice", VOICES)
def test_abstracts_do_not_begin_alike(voice: str) -> None:
    openings = Counter(" ".join(record["abstract"].split()[:4]) for _, record in written(voice))
    assert openings.most_common(1)[0][1] <= MOST_SHARE * N


@pytest.mark.parametrize("voice", VOICES)
def test_the_sample_size_years_effect_and_country_stand_in_the_text(voice: str) -> None:
    for given, record in written(voice):
        text = record["abstract"]
        assert whole(str(given["sample_size"])).search(text) or f"{given['sample_size']:,}" in text
        assert str(given["study_start"]) in text
        assert str(given["study_end"]) in text
        assert f"{given['effect_size']:g}" in text
        assert given["country"] in text


@pytest.mark.parametrize("voice", VOICES)
def test_the_healthy_value_stands_in_one_sentence(voice: str) -> None:
    stated = [len(whole(given["healthy_value"]).findall(record["abstract"])) for given, record in written(voice)]
    assert min(stated) == 1
    assert sum(n == 1 for n in stated) >= 0.99 * N


@pytest.mark.parametrize("voice", VOICES)
def test_every_base_design_is_recognisable(voice: str) -> None:
    for given, record in written(voice):
        for design in given["base_designs"]:
            assert re.search(CUES[design], record["abstract"], re.IGNORECASE), (design, record["abstract"])


@pytest.mark.parametrize("voice", VOICES)
def test_lengths_follow_the_planned_words(voice: str) -> None:
    gaps = [abs(len(record["abstract"].split()) - given["words"]) for given, record in written(voice)]
    assert max(gaps) <= 60
    assert sum(gaps) / N <= 20


def test_voices_differ_in_every_abstract() -> None:
    columns = [[record["abstract"] for _, record in written(voice)] for voice in VOICES]
    assert all(len(set(row)) == len(VOICES) for row in zip(*columns, strict=True))


def test_the_messy_voice_speaks_in_the_first_person_and_the_formal_one_in_the_passive() -> None:
    def share(voice: str, pattern: str) -> float:
        return sum(bool(re.search(pattern, record["abstract"])) for _, record in written(voice)) / N

    assert share("messy", r"\b(We|we|Our|our|I)\b") > 0.9 > share("terse", r"\b(We|we|Our|our|I)\b")
    assert share("formal", r"\b(is|was|were|are) \w+ed\b") > 0.9
