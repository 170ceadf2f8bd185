"""Export formats: each turns the items of one split into the bytes of one file."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.protocols import Template
from synth_pipeline.contracts.recipe import Recipe

PARQUET_COLUMNS = (
    "item_id",
    "record_id",
    "planned_id",
    "provider",
    "seed",
    "label",
    "flaw",
    "severity",
    "text",
    "record",
    "offline",
)


@dataclass(frozen=True)
class Format:
    """A format: its name, its files' ending, and what makes the file; one line or row an item, in the items' order."""

    name: str
    ending: str
    write: Callable[[pl.DataFrame, Recipe, Template], bytes]


def conversation_lines(items: pl.DataFrame, recipe: Recipe, template: Template) -> list[str]:
    """Return one JSON line an item: the export template's messages, as OpenAI and TRL read them."""
    return [canonical_json({"messages": list(template.render(export_values(row, recipe)))}) for row in items.to_dicts()]


def export_values(row: dict[str, object], recipe: Recipe) -> dict[str, object]:
    """Return what an export template may name: text, label, flaw, the answer to learn, and the record's fields."""
    answer = {recipe.label: row["label"]} | ({"flaw": row["flaw"]} if recipe.flaws else {})
    fields = json.loads(str(row["record"]))
    return {**fields, "text": row["text"], "label": row["label"], "flaw": row["flaw"], "answer": answer}


def _conversational(items: pl.DataFrame, recipe: Recipe, template: Template) -> bytes:
    return "".join(line + "\n" for line in conversation_lines(items, recipe, template)).encode("utf-8")


def _parquet(items: pl.DataFrame, recipe: Recipe, _template: Template) -> bytes:
    axes = [name for name in recipe.axes if name not in PARQUET_COLUMNS]
    buffer = io.BytesIO()
    items.select(*PARQUET_COLUMNS, *axes).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


FORMATS = (Format("conversational", "jsonl", _conversational), Format("parquet", "parquet", _parquet))
