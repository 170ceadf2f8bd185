"""Every planned record is asked for once and ends in exactly one state."""

import json
from typing import get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.identity import canonical_json, record_id, sha256_text
from synth_pipeline.contracts.protocols import State
from synth_pipeline.stages.generation import prompt_values, write_records
from synth_pipeline.stages.sampling import plan_records
from synth_pipeline_tests.scenario import (
    NAME,
    NOTES,
    PROVIDER,
    RECIPE,
    SEED,
    TEMPLATES,
    Answer,
    GivenAnswers,
    OfflineVoice,
    plan_frame,
    planned_rows,
    record_of,
)

STATES: tuple[State, ...] = get_args(State)
ANSWERS: dict[str, Answer] = {
    **{f"p{index}": record_of(f"p{index}") for index in range(3)},
    "p3": ("cut_off", "after 50 tokens"),
}


def write(complete: GivenAnswers | OfflineVoice, plan: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return what the completer writes for the plan of the scenario, or for another."""
    return write_records(plan_frame() if plan is None else plan, RECIPE, NAME, TEMPLATES["write"], complete)


@settings(deadline=None)
@given(st.lists(st.sampled_from(STATES), min_size=4, max_size=4))
def test_every_planned_record_ends_in_exactly_one_state(states: list[State]) -> None:
    answers = {
        f"p{index}": record_of(f"p{index}") if state == "ok" else (state, f"it is {state}")
        for index, state in enumerate(states)
    }
    raw = write(GivenAnswers(answers))
    assert raw["planned_id"].to_list() == ["p0", "p1", "p2", "p3"]
    assert raw["state"].to_list() == states
    assert [reason is None for reason in raw["state_reason"]] == [state == "ok" for state in states]


def test_an_error_is_never_data() -> None:
    refused = write(GivenAnswers(ANSWERS)).row(3, named=True)
    assert (refused["state"], refused["state_reason"]) == ("cut_off", "after 50 tokens")
    assert [refused[column] for column in ("text", "record", "checksum")] == [None, None, None]


def test_what_was_written_stands_with_its_text_its_record_and_its_checksum() -> None:
    row = write(GivenAnswers(ANSWERS)).row(0, named=True)
    assert row["text"] == NOTES["p0"]
    assert json.loads(row["record"]) == ANSWERS["p0"]
    assert row["checksum"] == sha256_text(canonical_json(ANSWERS["p0"]))
    assert (row["cell_id"], row["provider"], row["seed"]) == ("c0", PROVIDER, SEED)


def test_a_record_that_was_not_written_keeps_what_it_cost() -> None:
    row = write(GivenAnswers(ANSWERS)).row(3, named=True)
    assert (row["cost_usd"], row["attempts"], row["tokens_out"], row["call_key"]) == (0.002, 1, 50, "key of p3")


def test_a_record_is_named_after_its_plan_and_its_provider() -> None:
    anna = write(GivenAnswers(ANSWERS))
    bert = write(GivenAnswers(ANSWERS, provider="bert"), plan_frame(provider="bert"))
    assert anna["record_id"].to_list() == [record_id(f"p{index}", "anna") for index in range(4)]
    assert set(anna["record_id"]).isdisjoint(bert["record_id"])
    assert anna["planned_id"].equals(bert["planned_id"])


def test_each_request_carries_the_planned_id_as_its_sample_and_a_seed_of_its_own() -> None:
    completer = GivenAnswers(ANSWERS)
    write(completer)
    assert [request.sample for request in completer.asked] == ["p0", "p1", "p2", "p3"]
    assert len({request.seed for request in completer.asked}) == 4
    assert {(request.role, request.schema_name) for request in completer.asked} == {("write", "parcels__write")}
    assert {(request.temperature, request.max_tokens) for request in completer.asked} == {(1.0, 1500)}


def test_a_prompt_shows_every_planned_value_and_nothing_of_the_flaw() -> None:
    completer = GivenAnswers(ANSWERS)
    write(completer)
    system, user = completer.asked[0].messages
    assert system == {"role": "system", "content": "You write."}
    assert user["content"].startswith("A parcel came late in Bern.")
    given = json.loads(user["content"].split("```json\n")[1].removesuffix("\n```"))
    assert given == {
        "topic": "late",
        "city": "Bern",
        "tone": "calm",
        "topic_name": "parcel came late",
        "urgent": False,
        "weight_g": 1200,
        "came_on": 120,
        "days": 4,
        "sent_on": 116,
        "price": 5.5,
        "quantity": "scans",
        "quantity_label": "number of scans on the way",
        "healthy_value": "8",
    }


@pytest.mark.parametrize("column", ["flaw", "severity", "sick_value"])
def test_a_writer_cannot_know_the_flaw_that_a_twin_will_get(column: str) -> None:
    values = prompt_values(RECIPE, planned_rows()[0])
    assert column not in values
    assert column not in values["given"]


def test_a_record_without_a_design_check_is_given_none() -> None:
    row = planned_rows()[0] | dict.fromkeys(("quantity", "healthy_value", "flaw", "severity", "sick_value"))
    values = prompt_values(RECIPE, row)
    assert {"quantity", "quantity_label", "healthy_value"}.isdisjoint(values["given"])
    assert (values["quantity"], values["quantity_label"]) == (None, None)


def test_an_empty_plan_gives_an_empty_table() -> None:
    assert write(GivenAnswers(), plan_frame().clear()).height == 0


@pytest.mark.parametrize("voice", ["terse", "formal", "messy"])
def test_an_offline_voice_writes_every_record_and_says_so(voice: str) -> None:
    plan = plan_records(RECIPE, NAME, provider=PROVIDER, seed=SEED, n=8)
    raw = write(OfflineVoice(voice), plan)
    assert raw["state"].to_list() == ["ok"] * 8
    assert raw["offline"].all()
    cities = [json.loads(record)["city"] for record in raw["record"]]
    assert cities == plan["city"].to_list()
