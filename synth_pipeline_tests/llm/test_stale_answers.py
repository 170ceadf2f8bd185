"""What is bought again and what is not, when something around a stage changes: the whole stage, over real HTTP."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import pytest
from pydantic import BaseModel, field_validator

from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.llm.prompts import PromptTemplate
from synth_pipeline.stages.generation import write_records
from synth_pipeline_tests.llm.asking import DEAR, Desk, request
from synth_pipeline_tests.scenario import NAME, RECIPE, TEMPLATES, plan_frame, planned_rows, recipe_with

N = len(planned_rows())


@dataclass(frozen=True)
class Work:
    """What a stage works with; a test changes one part of it."""

    plan: pl.DataFrame = field(default_factory=plan_frame)
    recipe: Recipe = RECIPE
    template: PromptTemplate = TEMPLATES["write"]
    row: dict[str, Any] = field(default_factory=dict)

    def do(self, desk: Desk) -> pl.DataFrame:
        completer = desk.completer(**self.row)
        return write_records(self.plan, self.recipe, NAME, self.template, completer)


def with_prompt(role: str, text: str) -> PromptTemplate:
    """Return the write template with one of its messages put otherwise; its bytes, and so its hash, differ."""
    template = TEMPLATES["write"]
    parts = tuple((name, text if name == role else said) for name, said in template.parts)
    return replace(template, parts=parts, sha256=f"{len(text):064d}")


def replaced(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the plan with the last record replaced by another one."""
    last = frame.tail(1).with_columns(planned_id=pl.lit("p9"), city=pl.lit("Bern"))
    return pl.concat([frame.head(N - 1), last])


def appended(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the plan with one record more."""
    return pl.concat([frame, frame.tail(1).with_columns(planned_id=pl.lit("p9"), position=pl.lit(N, pl.Int64))])


MATRIX: dict[str, tuple[Callable[[Work], Work], int]] = {
    "nothing": (lambda work: work, 0),
    "the system prompt": (lambda work: replace(work, template=with_prompt("system", "You write well.")), N),
    "the template": (lambda work: replace(work, template=with_prompt("user", "A letter. {{ given | json }}")), N),
    "the template's version": (lambda work: replace(work, template=replace(work.template, version="1.1")), N),
    "the schema": (lambda work: replace(work, recipe=recipe_with(record__fields__note__max_length=900)), N),
    "the model": (lambda work: replace(work, row={"models": {"default": "hosted_vllm/larger"}}), N),
    "the temperature": (lambda work: replace(work, recipe=recipe_with(roles={"write": {"temperature": 0.1}})), N),
    "the longest answer": (lambda work: replace(work, recipe=recipe_with(roles={"write": {"max_tokens": 999}})), N),
    "how the schema is asked for": (lambda work: replace(work, row={"structured": "json_object"}), N),
    "one row": (lambda work: replace(work, plan=replaced(work.plan)), 1),
    "a row more": (lambda work: replace(work, plan=appended(work.plan)), 1),
    "a row less": (lambda work: replace(work, plan=work.plan.head(N - 1)), 0),
    "the order of the rows": (lambda work: replace(work, plan=work.plan.reverse()), 0),
    "a rule": (lambda work: replace(work, recipe=recipe_with(rules=[])), 0),
    "the price": (lambda work: replace(work, row=DEAR), 0),
    "the concurrency": (lambda work: replace(work, row={"max_concurrency": 1}), 0),
}  # fmt: skip


@pytest.mark.parametrize("changed", MATRIX)
def test_a_change_buys_what_it_touches_and_nothing_else(desk: Desk, changed: str) -> None:
    change, n_bought = MATRIX[changed]
    first = Work().do(desk)
    assert (first["state"].to_list(), desk.n_requests) == (["ok"] * N, N)
    second = change(Work()).do(desk)
    assert set(second["state"]) == {"ok"}
    assert desk.n_requests == N + n_bought
    kept = set(first["call_key"]) & set(second["call_key"])
    assert len(kept) == second.height - n_bought


def test_what_was_bought_before_a_change_is_there_when_the_change_is_undone(desk: Desk) -> None:
    first = Work().do(desk)
    replace(Work(), template=with_prompt("system", "You write well.")).do(desk)
    again = Work().do(desk)
    assert again.equals(first)
    assert desk.n_requests == 2 * N


def note_class(complaint: str | None) -> type[BaseModel]:
    """Return a record class whose schema is always the same; its parser complains, or takes any note."""

    class Note(BaseModel):
        note: str

        @field_validator("note")
        @classmethod
        def judge(cls, note: str) -> str:
            if complaint:
                raise ValueError(complaint)
            return note

    return Note


def test_a_changed_parser_reads_the_old_answers_again_for_nothing(desk: Desk) -> None:
    [refused] = desk.ask(request(record_class=note_class("too plain")))
    assert (refused.state, desk.n_requests) == ("unparsable", 2)
    [worded_otherwise] = desk.ask(request(record_class=note_class("not fancy enough")))
    assert worded_otherwise.reason is not None
    assert "not fancy enough" in worded_otherwise.reason
    [read] = desk.ask(request(record_class=note_class(None)))
    assert (read.state, read.provenance["attempts"]) == ("ok", 1)
    assert desk.n_requests == 2
    told = desk.ledger.find([str(read.provenance["call_key"])])
    assert [entry.status for entry in told.values()] == ["ok"]
