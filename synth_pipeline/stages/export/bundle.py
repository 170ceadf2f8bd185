"""The export bundle: all files as bytes, the manifest that proves them, and one table row a line."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from synth_pipeline.contracts.identity import digest
from synth_pipeline.contracts.protocols import Template
from synth_pipeline.contracts.recipe import SPLITS, Recipe
from synth_pipeline.contracts.tables import FINETUNE_EXPORT
from synth_pipeline.stages.export.formats import FORMATS, Format
from synth_pipeline.stages.export.manifest import MANIFEST, describe_files
from synth_pipeline.stages.export.splits import add_splits


@dataclass(frozen=True)
class Bundle:
    """An export: FINETUNE_EXPORT, and the bytes of every file by its path below the export's folder."""

    frame: pl.DataFrame
    files: Mapping[str, bytes]


def bundle_files(
    validated: pl.DataFrame, recipe: Recipe, template: Template, *, identity: Mapping[str, object]
) -> Bundle:
    """Return the export of all valid items, without clock or latency: equal items, equal bytes.

    Args:
        validated: VALIDATED_SET of one provider and seed, or a MERGED_SET; its row order does not matter.
        recipe: splits and label.
        template: the export template.
        identity: what the manifest says of where it comes from: recipe, provider, seed, hashes of the inputs.
    """
    valid = validated.filter(pl.col("state") == "valid").sort("planned_id", "provider", "variant_id", nulls_last=False)
    items = add_splits(valid, recipe.export.splits)
    files: dict[str, bytes] = {}
    frames = [FINETUNE_EXPORT.empty()]
    for form in FORMATS:
        for split in SPLITS:
            part = items.filter(pl.col("split") == split)
            path = f"{form.name}/{split}.{form.ending}"
            files[path] = form.write(part, recipe, template)
            frames.append(_lines(part, form, path, identity))
    frame = FINETUNE_EXPORT.check(pl.concat(frames))
    facts = {**identity, "offline": bool(items["offline"].any()), "n_items": items.height}
    files[MANIFEST] = describe_files(files, frame, facts)
    return Bundle(frame, files)


def _lines(part: pl.DataFrame, form: Format, path: str, identity: Mapping[str, object]) -> pl.DataFrame:
    ids = part["item_id"].to_list()
    return part.select(
        pl.Series("line_id", [digest("line", form.name, item) for item in ids], dtype=pl.String()),
        pl.lit(identity["provider"], dtype=pl.String()).alias("provider"),
        "seed",
        pl.lit(form.name).alias("format"),
        pl.lit(path).alias("file"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64()).alias("line_number"),
        "split",
        "item_id",
        "record_id",
        "planned_id",
        "cell_id",
        "label",
        "flaw",
        pl.col("checksum").alias("record_sha256"),
    )
