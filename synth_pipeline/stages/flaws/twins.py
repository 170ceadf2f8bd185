"""Flawed variants: for every planned flaw, the damaged twin of the record that was written."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from synth_pipeline.contracts.identity import seed_for, variant_id
from synth_pipeline.contracts.protocols import CallRequest, CallResult, Completer, Template
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.records import Record
from synth_pipeline.contracts.tables import FLAW, FLAWED_VARIANTS
from synth_pipeline.contracts.written import written_columns
from synth_pipeline.stages.flaws.proof import Span, find_span, prove

IDS = ("record_id", "planned_id", "cell_id", "provider", "seed")
NO_SPAN = {"span_start": None, "span_end": None, "span_before": None, "span_after": None, "proof": None}


def damage_records(  # noqa: PLR0913  # two frames, the recipe and its name, who writes and by what
    raw: pl.DataFrame,
    plan: pl.DataFrame,
    recipe: Recipe,
    name: str,
    template: Template | None,
    complete: Completer,
) -> pl.DataFrame:
    """Return FLAWED_VARIANTS: one row for every planned flaw whose source record was written.

    Args:
        raw: RAW_GENERATIONS of one provider and seed.
        plan: its SAMPLING_PLAN.
        recipe: flaws and quantities.
        name: the recipe's name.
        template: the flaw template; None where the recipe declares no flaws.
        complete: asks the provider.
    """
    planned = plan.select("planned_id", "position", *(column.name for column in FLAW)).filter(
        pl.col("flaw").is_not_null()
    )
    sources = raw.filter(pl.col("state") == "ok").join(planned, on="planned_id").sort("position")
    if sources.is_empty() or template is None:
        return FLAWED_VARIANTS.empty()
    record_class = recipe.record.record_class(f"{name}_record")
    requests = (_request(recipe, name, template, source, record_class) for source in sources.iter_rows(named=True))
    results = zip(sources.iter_rows(named=True), complete(requests, sources.height), strict=True)
    return FLAWED_VARIANTS.frame(_row(recipe, source, result, record_class) for source, result in results)


def damage_values(recipe: Recipe, source: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a flaw template may name, one by one and as `given`."""
    flaw = recipe.flaws[source["flaw"]]
    named = {
        "flaw": source["flaw"],
        "quantity": flaw.quantity,
        "quantity_label": recipe.quantities[flaw.quantity].label,
        "healthy_value": source["healthy_value"],
        "sick_value": source["sick_value"],
        "source": dict(record),
    }
    return {**named, "given": named, "instruction": flaw.instruction, "description": recipe.description}


def _request(
    recipe: Recipe, name: str, template: Template, source: Mapping[str, Any], record_class: type[Record]
) -> CallRequest:
    record = record_class.model_validate_json(source["record"]).model_dump(mode="json")
    settings = recipe.roles.flaw
    return CallRequest(
        role="flaw",
        sample=source["planned_id"],
        messages=template.render(damage_values(recipe, source, record)),
        record_class=record_class,
        schema_name=f"{name}__flaw",
        template=template,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=seed_for("flaw", source["planned_id"], source["flaw"]),
    )


def _row(recipe: Recipe, source: Mapping[str, Any], result: CallResult, record_class: type[Record]) -> dict[str, Any]:
    written = written_columns(result, recipe.record.text)
    proof = NO_SPAN if result.value is None else _proof(recipe, source, result.value, record_class)
    return {
        "variant_id": variant_id(source["record_id"], source["flaw"], source["severity"]),
        **{column: source[column] for column in IDS},
        **{column.name: source[column.name] for column in FLAW},
        "domain": recipe.flaws[source["flaw"]].domain,
        **written,
        **proof,
    }


def _proof(
    recipe: Recipe, source: Mapping[str, Any], variant: Mapping[str, Any], record_class: type[Record]
) -> dict[str, Any]:
    text_field = recipe.record.text
    text = str(variant[text_field])
    span: Span = find_span(source["text"], text)
    original = record_class.model_validate_json(source["record"]).model_dump(mode="json")
    moved = sorted(field for field in original if field != text_field and original[field] != variant[field])
    verdict = (
        f"fields {moved} changed; only the text may"
        if moved
        else prove(source["text"], text, healthy=source["healthy_value"], sick=source["sick_value"])
    )
    return {
        "span_start": span.start,
        "span_end": span.end,
        "span_before": span.before,
        "span_after": span.after,
        "proof": verdict,
    }
