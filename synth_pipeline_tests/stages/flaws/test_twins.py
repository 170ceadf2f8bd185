"""Every planned flaw whose source was written gets a twin, with proof of what changed."""

import json
from typing import Any

import polars as pl

from synth_pipeline.contracts.identity import variant_id
from synth_pipeline.stages.flaws import damage_records
from synth_pipeline.stages.flaws.twins import damage_values
from synth_pipeline.stages.generation import write_records
from synth_pipeline.stages.sampling import plan_records
from synth_pipeline_tests.scenario import (
    NAME,
    NOTES,
    PROVIDER,
    RECIPE,
    SEED,
    TEMPLATES,
    TWINS,
    Answer,
    GivenAnswers,
    OfflineVoice,
    plan_frame,
    planned_rows,
    raw_frame,
    recipe_with,
    record_of,
)

GOOD: dict[str, Answer] = {planned: record_of(planned, note=note) for planned, note in TWINS.items()}


def damage(complete: GivenAnswers, raw: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the twins of the scenario's records."""
    sources = raw_frame() if raw is None else raw
    return damage_records(sources, plan_frame(), RECIPE, NAME, TEMPLATES["flaw"], complete)


def twin_of(planned: str, answer: Answer) -> dict[str, Any]:
    """Return the row of a planned record's twin, where the completer answers it so."""
    return damage(GivenAnswers({**GOOD, planned: answer})).filter(pl.col("planned_id") == planned).row(0, named=True)


def test_each_written_record_with_a_planned_flaw_gets_one_twin_in_the_plans_order() -> None:
    # p1 has no flaw, and p3 was refused
    assert damage(GivenAnswers(GOOD))["planned_id"].to_list() == ["p0", "p2"]
    assert damage(GivenAnswers(GOOD), raw_frame().reverse())["planned_id"].to_list() == ["p0", "p2"]


def test_a_twin_names_its_flaw_its_source_and_where_it_sits() -> None:
    twin = twin_of("p0", GOOD["p0"])
    told = ("record_id", "quantity", "healthy_value", "flaw", "severity", "sick_value", "domain")
    assert [twin[name] for name in told] == ["w0", "scans", "8", "missing_scans", "low", "3", "tracking"]
    assert twin["variant_id"] == variant_id("w0", "missing_scans", "low")
    assert (twin["proof"], twin["span_before"], twin["span_after"]) == ("proven", "8", "3")
    assert TWINS["p0"][twin["span_start"] : twin["span_end"]] == "3"


def test_a_twin_differs_from_its_source() -> None:
    for row in damage(GivenAnswers(GOOD)).to_dicts():
        assert row["text"] != NOTES[row["planned_id"]]


def test_a_twin_that_did_not_change_is_kept_without_proof() -> None:
    twin = twin_of("p0", record_of("p0"))
    assert (twin["state"], twin["proof"]) == ("ok", "the text did not change")


def test_a_twin_whose_other_fields_moved_is_not_proven() -> None:
    moved = record_of("p0", note=TWINS["p0"], city="Lyon", weight_g=9)
    assert twin_of("p0", moved)["proof"] == "fields ['city', 'weight_g'] changed; only the text may"


def test_a_refused_twin_has_its_reason_and_no_proof() -> None:
    twin = twin_of("p2", ("refused", "I do not break things"))
    assert (twin["state"], twin["state_reason"]) == ("refused", "I do not break things")
    assert [twin[name] for name in ("text", "record", "proof", "span_start", "span_after")] == [None] * 5


def test_a_request_shows_the_source_and_both_values_and_has_a_seed_of_its_own() -> None:
    completer = GivenAnswers(GOOD)
    damage(completer)
    first, second = completer.asked
    assert (first.role, first.sample, first.schema_name) == ("flaw", "p0", "parcels__flaw")
    assert first.seed != second.seed
    asked = first.messages[0]["content"]
    assert asked.startswith("Let the parcel have been scanned far too rarely. From 8 to 3.")
    given = json.loads(asked.split("```json\n")[1].removesuffix("\n```"))
    assert given == {
        "flaw": "missing_scans",
        "quantity": "scans",
        "quantity_label": "number of scans on the way",
        "healthy_value": "8",
        "sick_value": "3",
        "source": record_of("p0"),
    }


def test_the_instruction_is_told_beside_what_is_given() -> None:
    values = damage_values(RECIPE, planned_rows()[2], record_of("p2"))
    assert values["instruction"] == "Let the parcel have hardly any padding."
    assert "instruction" not in values["given"]


def test_nothing_written_gives_no_twins_and_asks_nobody() -> None:
    completer = GivenAnswers(GOOD)
    refused = raw_frame().with_columns(pl.lit("refused").alias("state"))
    assert damage(completer, refused).height == 0
    assert completer.asked == []


def test_a_recipe_without_flaws_needs_no_template() -> None:
    bare = recipe_with(flaws_by=None, flaws=None, quantities=None)
    assert damage_records(raw_frame(), plan_frame(), bare, NAME, None, GivenAnswers()).height == 0


def test_the_offline_voices_make_twins_that_are_proven() -> None:
    plan = plan_records(recipe_with(flaw_share=1), NAME, provider=PROVIDER, seed=SEED, n=12)
    voice = OfflineVoice("formal")
    raw = write_records(plan, RECIPE, NAME, TEMPLATES["write"], voice)
    twins = damage_records(raw, plan, RECIPE, NAME, TEMPLATES["flaw"], voice)
    assert twins.height == 12
    assert twins["proof"].to_list() == ["proven"] * 12
