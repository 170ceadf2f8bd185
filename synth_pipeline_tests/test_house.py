"""The house holds: no module knows a recipe, loading is light, and the stand-in shares no sentence with the real."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import polars as pl
import pytest

import synth_pipeline
from synth_pipeline.components.declaration import Declaration, list_recipes, load_declaration
from synth_pipeline.components.reference import load_reference
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.llm.offline import load_grammar, load_voices
from synth_pipeline.stages.generation import write_records
from synth_pipeline_tests.scenario import OfflineVoice

PACKAGE = Path(synth_pipeline.__file__).parent
RECIPES = list_recipes()
HEAVY = ("litellm", "torch", "sentence_transformers", "great_expectations", "sklearn", "pandas")

# Loading takes about 1.1 CPU seconds beyond Dagster. CPU time is not wall time, but two processes on the halves of one
# core, or a cold disk, still make it half as long again: hence the best of three, and that much over the limit of 1.5.
MAX_CPU_S, TOLERANCE, TRIES = 1.5, 1.5, 3
LOADING = f"""
import json, sys, time
import dagster
started = time.process_time()
from synth_pipeline.definitions import defs
n_assets = len(list(defs().resolve_all_asset_keys()))
spent = time.process_time() - started
print(json.dumps([spent, n_assets, [name for name in {HEAVY!r} if name in sys.modules]]))
"""

N_WRITTEN = 300
NUMBER, SENTENCE_END = re.compile(r"\d+(?:[.,]\d+)*"), re.compile(r"(?<=[.!?])\s+")


# ------------------------------------------------------------------------------------------ who knows what


def test_recipes_are_shipped() -> None:
    assert RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_module_names_a_recipe(recipe: str) -> None:
    word = re.compile(rf"\b{recipe}\b", re.IGNORECASE)
    lines = [
        f"{file.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert lines == []


# ------------------------------------------------------------------------------------------ what loading costs


def load() -> tuple[float, int, list[str]]:
    """Load the definitions in a fresh process; return CPU seconds beyond Dagster, assets, and heavy modules loaded."""
    command = [sys.executable, "-c", LOADING]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True, timeout=120)
    spent, n_assets, heavy = json.loads(done.stdout.splitlines()[-1])
    return spent, n_assets, heavy


def test_loading_the_definitions_is_light() -> None:
    spent = []
    for _ in range(TRIES):
        seconds, n_assets, heavy = load()
        assert n_assets >= 7 * len(RECIPES)
        assert heavy == []
        spent.append(seconds)
        if seconds <= MAX_CPU_S:
            break
    assert min(spent) <= MAX_CPU_S * TOLERANCE


# ------------------------------------------------------------------------------------------ the stand-in and the real


@cache
def declaration_of(name: str) -> Declaration:
    """Return a shipped recipe."""
    return load_declaration(name)


def planned_words(recipe: Recipe) -> re.Pattern[str]:
    """Return the pattern that finds any value of the recipe's axes or of their attributes."""
    declared = [(name, value) for axis in recipe.axes.values() for name, value in axis.values.items()]
    attributes = [text for _, value in declared for text in value.attributes.values() if isinstance(text, str)]
    words = {text.replace("_", " ") for text in (*(name for name, _ in declared), *attributes)}
    return re.compile(r"\b(" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + r")\b", re.IGNORECASE)


def frames_of(texts: pl.Series, planned: re.Pattern[str]) -> set[str]:
    """Return the sentences of texts, each without its numbers and planned values."""
    masked = [NUMBER.sub("#", planned.sub("_", text)) for text in texts]
    return {" ".join(sentence.lower().split()) for text in masked for sentence in SENTENCE_END.split(text)}


WITH_GRAMMAR = [name for name in RECIPES if declaration_of(name).grammar_file.exists()]
WITH_REFERENCE = [name for name in RECIPES if declaration_of(name).recipe.reference is not None]


def test_a_sentence_with_other_numbers_and_planned_values_has_the_same_frame() -> None:
    planned = re.compile(r"\b(Kenya|health)\b", re.IGNORECASE)
    one, other = "In Kenya, 1,204 families took part.  Health was better.", "In health, 9.5  families took part. So!"
    frames = frames_of(pl.Series([one]), planned), frames_of(pl.Series([other]), planned)
    assert frames[0] & frames[1] == {"in _, # families took part."}


@pytest.mark.parametrize("voice", sorted(load_voices()))
@pytest.mark.parametrize("name", [name for name in WITH_GRAMMAR if name in WITH_REFERENCE])
def test_a_voice_shares_no_sentence_with_the_reference(name: str, voice: str) -> None:
    declared = declaration_of(name)
    planned = planned_words(declared.recipe)
    plan = declared.kind.sampling_plan(provider=voice, seed=0, n=N_WRITTEN)
    completer = OfflineVoice(voice, grammars={name: load_grammar(declared.grammar_file)})
    raw = write_records(plan, declared.recipe, name, declared.templates["write"], completer)
    written = frames_of(raw["text"], planned)
    assert raw["text"].n_unique() == N_WRITTEN
    assert written & frames_of(load_reference(declared).frame["text"], planned) == set()


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_the_reference_holds_each_label_equally_often(name: str) -> None:
    declared = declaration_of(name)
    reference = load_reference(declared)
    counts = dict(reference.frame.group_by("label").len().iter_rows())
    assert counts.keys() == set(declared.recipe.labels)
    assert len(set(counts.values())) == 1
    assert reference.unmapped == {}
