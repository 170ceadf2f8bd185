"""The ontology holds what the recipe declares, and counts who of the panel confirms it."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.errors import PermanentCallError
from synth_pipeline.stages.ontology import Vote, ask_panel, build_ontology
from synth_pipeline_tests.scenario import NAME, RECIPE, TEMPLATES, GivenAnswers, OfflineVoice, recipe_with

LATE, LOST, BROKEN = "late (parcel came late)", "lost (parcel never came)", "broken (parcel came broken)"
VOTES = [
    Vote("anna", "topic", frozenset({LATE, LOST})),
    Vote("bert", "topic", frozenset({LATE})),
    Vote("carl", "topic", frozenset({LATE, BROKEN, "stolen"})),
]


def values_of(ontology: pl.DataFrame, axis: str = "topic") -> dict[str, dict[str, object]]:
    """Return the facts about the values of an axis, by value."""
    facts = ontology.filter((pl.col("fact") == "axis_value") & (pl.col("name") == axis))
    return {row["value"]: row for row in facts.to_dicts()}


def member(name: str, *accepted: str) -> GivenAnswers:
    """Return a member of the panel that accepts these candidates."""
    return GivenAnswers(default={"accepted": list(accepted)}, provider=name)


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from([LATE, LOST, BROKEN])), min_size=1, max_size=6))
def test_votes_are_counted_and_a_value_is_contradicted_when_more_than_half_deny_it(answers: list[set[str]]) -> None:
    votes = [Vote(f"member-{index}", "topic", frozenset(accepted)) for index, accepted in enumerate(answers)]
    facts = values_of(build_ontology(RECIPE, votes, provider="anna", seed=7))
    for value, spelled in (("late", LATE), ("lost", LOST), ("broken", BROKEN)):
        yes = sum(spelled in accepted for accepted in answers)
        assert (facts[value]["votes"], facts[value]["voters"]) == (yes, len(answers))
        assert (facts[value]["status"] == "contradicted") == (len(answers) - yes > len(answers) / 2)


def test_two_of_three_confirm_a_value_and_one_of_three_does_not() -> None:
    facts = values_of(build_ontology(RECIPE, VOTES, provider="bert", seed=7))
    assert facts["late"]["supporters"] == ["anna", "bert", "carl"]
    assert [facts[value]["status"] for value in ("late", "lost", "broken")] == [
        "confirmed",
        "contradicted",
        "contradicted",
    ]


def test_half_of_a_panel_is_no_consensus() -> None:
    facts = values_of(build_ontology(RECIPE, VOTES[:2], provider="anna", seed=7))
    assert (facts["lost"]["status"], facts["lost"]["votes"], facts["lost"]["voters"]) == ("no_consensus", 1, 2)


def test_one_voter_alone_makes_no_consensus() -> None:
    facts = values_of(build_ontology(recipe_with(panel={"providers": ["anna"]}), VOTES[:1], provider="anna", seed=7))
    assert facts["late"]["status"] == "no_consensus"


def test_a_partition_marks_its_own_providers_vote_and_nothing_else_differs() -> None:
    anna = build_ontology(RECIPE, VOTES, provider="anna", seed=7)
    bert = build_ontology(RECIPE, VOTES, provider="bert", seed=7)
    assert [values_of(anna)[value]["own_vote"] for value in RECIPE.labels] == [True, True, False]
    assert [values_of(bert)[value]["own_vote"] for value in RECIPE.labels] == [True, False, False]
    assert anna.drop("provider", "own_vote").equals(bert.drop("provider", "own_vote"))


def test_a_provider_that_is_not_on_the_panel_has_no_vote() -> None:
    facts = values_of(build_ontology(RECIPE, VOTES, provider="dora", seed=7))
    assert [facts[value]["own_vote"] for value in RECIPE.labels] == [None, None, None]


def test_an_axis_that_nobody_is_asked_about_is_declared_without_votes() -> None:
    fact = values_of(build_ontology(RECIPE, VOTES, provider="anna", seed=7), "city")["Bern"]
    assert (fact["status"], fact["votes"], fact["voters"], fact["share"]) == ("declared", None, None, 0.4)


def test_a_member_that_gave_no_answer_is_no_voter() -> None:
    votes = [*VOTES[:2], Vote("carl", "topic", None, "it refused")]
    facts = values_of(build_ontology(RECIPE, votes, provider="carl", seed=7))
    assert (facts["late"]["voters"], facts["late"]["own_vote"]) == (2, None)


def test_the_panel_is_asked_once_for_each_axis_with_a_question() -> None:
    anna, bert = member("anna", LATE), member("bert", LATE, LOST)
    votes = ask_panel(RECIPE, NAME, TEMPLATES["structure"], [anna, bert])
    assert votes == [
        Vote("anna", "topic", frozenset({LATE})),
        Vote("bert", "topic", frozenset({LATE, LOST})),
    ]
    assert [request.sample for request in anna.asked] == ["topic:0"]
    assert (anna.asked[0].role, anna.asked[0].schema_name) == ("structure", "parcels__structure")
    question = anna.asked[0].messages[0]["content"]
    assert question.startswith("Is this a topic that people complain to a parcel service about?")
    assert all(spelled in question for spelled in (LATE, LOST, BROKEN))


def test_every_member_gets_the_same_questions() -> None:
    anna, bert = member("anna"), member("bert")
    ask_panel(RECIPE, NAME, TEMPLATES["structure"], [anna, bert])
    assert [request.messages for request in anna.asked] == [request.messages for request in bert.asked]


def test_a_member_that_refuses_leaves_its_reason() -> None:
    refuser = GivenAnswers(default=("refused", "I would rather not"), provider="bert")
    votes = ask_panel(RECIPE, NAME, TEMPLATES["structure"], [member("anna", LATE), refuser])
    assert votes[1] == Vote("bert", "topic", None, "I would rather not", "refused")


def test_a_panel_of_which_nobody_answers_is_an_error_and_no_ontology() -> None:
    with pytest.raises(PermanentCallError) as caught:
        ask_panel(RECIPE, NAME, TEMPLATES["structure"], [GivenAnswers(default=("failed", "the line is dead"))])
    assert str(caught.value) == (
        "ontology: no member of the panel answered; first reason: the line is dead\n"
        "  fix: check the panel's providers, or take the axes' questions out of the recipe"
    )


def test_a_panel_that_no_budget_is_left_for_gives_no_votes_and_nothing_is_contradicted() -> None:
    broke = GivenAnswers(default=("out_of_budget", "the budget of run 1 is spent"), provider="anna")
    votes = ask_panel(RECIPE, NAME, TEMPLATES["structure"], [broke])
    assert {vote.accepted for vote in votes} == {None}
    facts = build_ontology(RECIPE, votes, provider="anna", seed=7)
    assert facts.filter(pl.col("status") == "contradicted").is_empty()


def test_a_recipe_without_questions_asks_nobody() -> None:
    silent = GivenAnswers()
    assert ask_panel(recipe_with(axes__topic__question=None), NAME, TEMPLATES["structure"], [silent]) == []
    assert silent.asked == []


def test_the_offline_voices_can_sit_on_the_panel() -> None:
    votes = ask_panel(
        RECIPE, NAME, TEMPLATES["structure"], [OfflineVoice("terse", "anna"), OfflineVoice("formal", "bert")]
    )
    assert [vote.provider for vote in votes] == ["anna", "bert"]
    assert all(vote.accepted is not None and vote.accepted <= {LATE, LOST, BROKEN} for vote in votes)


def test_every_declaration_of_the_recipe_is_a_fact_with_its_source() -> None:
    ontology = build_ontology(RECIPE, [], provider="anna", seed=7)
    counts = dict(ontology.group_by("fact").len().iter_rows())
    # 3 + 3 + 2 values; 1 constraint; weight by 3 topics, came_on, days by 2 tones, sent_on, price; 2 quantities;
    # 2 flaws of 2 severities; the plausible weight of 3 topics and six further rules.
    assert counts == {"axis_value": 8, "constraint": 1, "number": 8, "quantity": 2, "flaw": 4, "rule": 9}
    assert ontology["source"].null_count() == 0
    assert ontology["fact_id"].is_unique().all()


def test_ranges_stand_as_numbers_that_sql_can_compare() -> None:
    ontology = build_ontology(RECIPE, [], provider="anna", seed=7)
    bounds = {(row["fact"], row["name"], row["value"]): (row["low"], row["high"]) for row in ontology.to_dicts()}
    assert bounds["number", "weight_g", "lost"] == (100.0, 2000.0)
    assert bounds["number", "came_on", None] == (100.0, 200.0)
    assert bounds["quantity", "scans", "healthy"] == (6.0, 12.0)
    assert bounds["flaw", "thin_padding", "high"] == (0.1, 0.4)
    assert bounds["rule", "plausible_weight_g", "broken"] == (50.0, 40000.0)


def test_the_layer_tells_structure_from_parameters() -> None:
    ontology = build_ontology(RECIPE, VOTES, provider="anna", seed=7)
    layers = ontology.group_by("layer").agg(pl.col("fact").unique().sort()).sort("layer").rows()
    assert layers == [
        ("parameter", ["constraint", "flaw", "number", "quantity", "rule"]),
        ("structure", ["axis_value"]),
    ]
