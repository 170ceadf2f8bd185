"""The expander on grammars of a few lines."""

from typing import Any

import pytest
from hypothesis import given as holds_for
from hypothesis import strategies as st

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.offline import parse_grammar
from synth_pipeline.llm.offline.expander import Expander, Hand, MissingValue


def expand(rules: str, given: dict[str, Any], *, seed: int = 0, once: str = "[]", numbers: str = "plain") -> str:
    known = ", ".join(["value", "other", *given])
    text = f"given: [{known}]\nfields: {{text: '{{start}}'}}\nonce: {once}\nrules:\n{rules}"
    grammar = parse_grammar(text, where="grammar.yaml")
    rng = rng_for("test", seed)
    hand = Hand(lambda _: rng, numbers)
    return Expander(grammar.base, frozenset(grammar.spec.once), given, hand).rule("start")


def test_a_hole_takes_the_given_value() -> None:
    assert expand("  start: ['It is {value}.']", {"value": 3.5}) == "It is 3.5."


def test_a_list_reads_as_a_sentence_would_have_it() -> None:
    assert expand("  start: ['{value}']", {"value": ["a", "b", "c"]}) == "a, b and c"


def test_a_keyed_rule_takes_each_value_of_a_list_in_its_order() -> None:
    rules = "  start: {by: value, cases: {x: [ex], y: [why]}, join: ' then '}"
    assert expand(rules, {"value": ["y", "x"]}) == "why then ex"


def test_a_keyed_rule_without_the_case_takes_the_else() -> None:
    assert expand("  start: {by: value, cases: {x: [ex]}, else: ['{value}?']}", {"value": "z"}) == "z?"


def test_cases_of_true_and_null_need_no_quotes() -> None:
    rules = "  start: {by: value, cases: {true: [yes it is], null: [nothing]}}"
    assert expand(rules, {"value": True}) == "yes it is"
    assert expand(rules, {"value": "null"}) == "nothing"


def test_what_is_chosen_once_stays() -> None:
    rules = "  start: ['{pet.name} {pet.name}']\n  pet: [{name: cat}, {name: dog}, {name: hen}]"
    assert {expand(rules, {}, seed=n, once="[pet]") for n in range(40)} == {"cat cat", "dog dog", "hen hen"}


def test_counts_follow_the_number_style() -> None:
    rules = "  start: ['{value|count}']"
    assert expand(rules, {"value": 18420}) == "18420"
    assert expand(rules, {"value": 18420}, numbers="comma") == "18,420"
    assert {expand(rules, {"value": 18420}, seed=n, numbers="mixed") for n in range(20)} == {
        "18420",
        "18,420",
    }


def test_a_missing_value_is_said() -> None:
    with pytest.raises(MissingValue, match="value"):
        expand("  start: ['{value}']", {})


def test_weights_are_shares() -> None:
    rules = "  start: [{text: often, weight: 9}, seldom]"
    often = sum(expand(rules, {}, seed=n) == "often" for n in range(400))
    assert 330 <= often <= 385


@holds_for(st.integers(0, 10_000))
def test_a_rule_that_holds_itself_comes_to_an_end(seed: int) -> None:
    text = expand("  start: ['({start}{start})', '({start})', x]", {}, seed=seed)
    assert text.count("(") == text.count(")")
    assert len(text) < 10**6


@holds_for(st.integers(0, 10_000))
def test_an_interval_near_an_estimate_leaves_out_zero_and_a_wide_one_holds_it(seed: int) -> None:
    near = expand("  start: ['{value|near}']", {"value": 4.25}, seed=seed)
    wide = expand("  start: ['{value|wide}']", {"value": 4.25}, seed=seed)
    assert all(float(end) > 0 for end in near.split(" to "))
    low, high = wide.split(" to ")
    assert float(low) < 0 < float(high)
