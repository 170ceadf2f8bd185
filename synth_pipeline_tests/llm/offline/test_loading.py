"""A broken grammar says which file, which rule and what to do."""

from pathlib import Path

import pytest

from synth_pipeline.contracts.errors import RecipeError
from synth_pipeline.llm.offline import load_grammar, parse_grammar
from synth_pipeline_tests.llm.offline.planned import GRAMMAR_FILE

HEAD = "given: [place]\nfields: {text: '{start}'}\nonce: []\n"


def message(rules: str, head: str = HEAD) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_grammar(f"{head}rules:\n{rules}", where="grammar.yaml")
    return str(caught.value)


def test_the_grammar_of_the_recipe_loads_and_speaks_in_three_voices() -> None:
    assert set(load_grammar(GRAMMAR_FILE).by_voice) == {"terse", "formal", "messy"}


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "grammar.yaml"
    path.write_text("rules: [unclosed")
    with pytest.raises(RecipeError, match=r"grammar\.yaml: this is not YAML"):
        load_grammar(path)


def test_an_unknown_hole_names_the_rule_and_the_likely_meaning() -> None:
    said = message("  start: ['Off to {plcae}.']")
    assert said.startswith("grammar.yaml: rule 'start': the hole {plcae} is neither a rule nor a given value")
    assert "fix: write a rule of that name or list it under given; did you mean 'place'?" in said


def test_an_unknown_hole_of_a_field_is_found_too() -> None:
    said = message("  start: [x]", HEAD.replace("{start}", "{strat}"))
    assert "rule 'text': the hole {strat}" in said
    assert "did you mean 'start'?" in said


def test_a_rule_that_never_ends_is_refused() -> None:
    said = message("  start: ['{echo}']\n  echo: ['{start} again']")
    assert "never ends" in said
    assert "fix: add one without that hole" in said


def test_a_bracket_that_is_not_closed_is_refused() -> None:
    said = message("  start: ['[this|that']")
    assert "rule 'start': '[' is not closed" in said


def test_an_unknown_filter_lists_those_there_are() -> None:
    said = message("  start: ['{place|shout}']")
    assert "no filter is called 'shout'" in said
    assert "count" in said


def test_a_part_that_no_alternative_has_lists_the_parts() -> None:
    said = message("  start: ['{thing.colour}']\n  thing: [{name: ball}]", HEAD.replace("[]", "[thing]"))
    assert "{thing.colour}" in said
    assert "its parts are name" in said


def test_a_rule_with_parts_is_chosen_once() -> None:
    said = message("  start: ['{thing.name}']\n  thing: [{name: ball}]")
    assert "rule 'thing': has parts, but is not chosen once" in said


def test_a_weight_below_zero_is_refused() -> None:
    said = message("  start: [{text: a, weight: -1}, b]")
    assert "rule 'start': weight -1" in said


def test_an_empty_rule_is_refused_by_name() -> None:
    said = message("  start: []")
    assert said.startswith("grammar.yaml: rule 'start'")


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"grammar\.yaml: wrong"):
        parse_grammar(HEAD + "wrong: 1\nrules: {start: [x]}", where="grammar.yaml")


def test_a_voice_adds_to_plain_lists_only() -> None:
    head = HEAD + "voices: {loud: {also: {start: [b]}}}\n"
    said = message("  start: {by: place, cases: {home: [a]}}", head)
    assert "use `instead`" in said


def test_a_part_of_an_order_must_be_written() -> None:
    said = message("  start: [x]", HEAD.replace("'{start}'", "{orders: ['start finish?']}"))
    assert "rule 'finish': is named but not written" in said
