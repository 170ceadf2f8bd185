"""The kind `text` binds a recipe to its seven stages, and they fit each other end to end."""

import json

import polars as pl
import pytest

from synth_pipeline.contracts.planned import plan_table, validated_table
from synth_pipeline.contracts.tables import (
    DISCRIMINATOR_SCORE,
    FINETUNE_EXPORT,
    FLAWED_VARIANTS,
    ONTOLOGY,
    RAW_GENERATIONS,
)
from synth_pipeline.kinds.text import TextKind, known_holes, template_roles
from synth_pipeline_tests.scenario import (
    NAME,
    RECIPE,
    SEED,
    TEMPLATES,
    GivenAnswers,
    OfflineVoice,
    plan_frame,
    raw_frame,
    recipe_with,
    reference_frame,
    variant_frame,
)

KIND = TextKind(NAME, RECIPE, TEMPLATES)
BARE = recipe_with(flaws=None, quantities=None, flaws_by=None, axes__topic__question=None)


def test_a_recipe_with_questions_and_flaws_needs_all_four_templates() -> None:
    assert template_roles(RECIPE) == ("structure", "write", "flaw", "export")


def test_a_recipe_needs_no_template_for_what_it_lacks() -> None:
    assert template_roles(BARE) == ("write", "export")


@pytest.mark.parametrize("role", ["structure", "write", "flaw", "export"])
def test_the_templates_of_the_tests_ask_for_nothing_that_is_not_given(role: str) -> None:
    assert TEMPLATES[role].holes <= set(known_holes(RECIPE, role))


def test_a_write_template_may_name_what_is_planned_and_not_the_flaw() -> None:
    holes = known_holes(RECIPE, "write")
    assert {"topic", "urgent", "weight_g", "healthy_value", "quantity_label", "given"} <= set(holes)
    assert {"flaw", "severity", "sick_value"}.isdisjoint(holes)


def test_an_export_template_may_name_the_records_fields_and_the_answer() -> None:
    assert {"note", "price", "text", "label", "flaw", "answer"} <= set(known_holes(RECIPE, "export"))


def test_the_recipes_number_of_records_is_planned_unless_another_is_asked_for() -> None:
    assert KIND.sampling_plan(provider="anna", seed=SEED).height == 40
    assert KIND.sampling_plan(provider="anna", seed=SEED, n=12).height == 12
    assert KIND.sampling_plan(provider="anna", seed=SEED, n=0).height == 0


def test_a_recipe_without_questions_asks_no_panel() -> None:
    silent = GivenAnswers()
    templates = {role: TEMPLATES[role] for role in template_roles(BARE)}
    ontology = TextKind(NAME, BARE, templates).ontology([silent], provider="anna", seed=SEED)
    assert silent.asked == []
    assert ontology.filter(pl.col("fact") == "axis_value")["status"].unique().to_list() == ["declared"]


def test_a_recipe_without_flaws_makes_no_twins() -> None:
    templates = {role: TEMPLATES[role] for role in template_roles(BARE)}
    kind = TextKind(NAME, BARE, templates)
    assert kind.flawed_variants(raw_frame(), plan_frame(), GivenAnswers()).height == 0


def test_the_checks_that_are_declared_are_those_that_are_concluded() -> None:
    validated = KIND.validated_set(raw_frame(), variant_frame(), plan_frame(), reference_frame())
    assert [check.name for check in KIND.declared_checks] == [found.name for found in KIND.conclude(validated)]


def test_the_seven_stages_fit_each_other() -> None:
    anna, bert = OfflineVoice("terse", "anna"), OfflineVoice("formal", "bert")
    validated = []
    for voice in (anna, bert):
        ontology = KIND.ontology([anna, bert], provider=voice.provider, seed=SEED)
        plan = KIND.sampling_plan(provider=voice.provider, seed=SEED, n=20)
        raw = KIND.raw_generations(plan, voice)
        variants = KIND.flawed_variants(raw, plan, voice)
        validated.append(KIND.validated_set(raw, variants, plan, reference_frame()))
        assert ONTOLOGY.check(ontology).height == 32
        assert plan_table(RECIPE).check(plan).height == RAW_GENERATIONS.check(raw).height == 20
        assert FLAWED_VARIANTS.check(variants).height == plan["flaw"].drop_nulls().len()
        assert validated_table(RECIPE).check(validated[-1]).height == 20 + variants.height
    merged = KIND.merged_set(pl.concat(validated))
    assert merged.height == sum(frame.height for frame in validated)
    n_valid = merged.filter(pl.col("state") == "valid").height
    assert n_valid > 0
    score = KIND.discriminator_score(merged, reference_frame(), provider="merged", seed=SEED)
    assert DISCRIMINATOR_SCORE.check(score)["verdict"].unique().to_list() == ["undecided"]
    bundle = KIND.finetune_export(merged, identity={"provider": "merged", "seed": SEED})
    assert FINETUNE_EXPORT.check(bundle.frame).height == 2 * n_valid
    assert json.loads(bundle.files["manifest.json"])["offline"] is True
