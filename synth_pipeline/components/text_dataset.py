"""The component `TextDataset`: a folder with a defs.yaml becomes seven partitioned assets with checks and jobs."""

from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import BaseModel

from synth_pipeline.components.assets import build_assets
from synth_pipeline.components.checks import build_checks
from synth_pipeline.components.declaration import DEFS_FILE, Declaration, declare, read_recipe
from synth_pipeline.components.scaffold import TextDatasetScaffolder
from synth_pipeline.contracts.recipe import Recipe


@dg.scaffold_with(TextDatasetScaffolder)
@dataclass
class TextDataset(dg.Component):
    """A dataset of structured texts, declared in YAML: axes with shares, flaws, rules, a reference.

    Its folder below `defs/` names the recipe; its prompts stand in `prompts/<recipe>/`.
    """

    declaration: Declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the recipe: what the YAML's attributes must be."""
        return Recipe

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "TextDataset":
        """Return the component of the recipe in the folder; its prompts and providers are checked here.

        Dagster has held `attributes` against the model; the file is read again, because Dagster misses doubled keys.
        """
        folder = context.path if context.path.is_dir() else context.path.parent
        return cls(declare(folder.name, folder, read_recipe(folder / DEFS_FILE)))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the recipe's assets, checks and its two jobs: the chain of a partition, and the merge of a seed."""
        name = self.declaration.name
        assets = build_assets(self.declaration)
        made = [asset for asset in assets if isinstance(asset, dg.AssetsDefinition)]
        chain = [asset.key for asset in made if not asset.key.path[-1].startswith("merged")]
        merge = [asset.key for asset in made if asset.key.path[-1].startswith("merged")]
        checks = build_checks(self.declaration)
        jobs = [
            dg.define_asset_job(
                f"{name}_chain",
                dg.AssetSelection.assets(*chain),
                description="All seven assets of a partition.",
            ),
            dg.define_asset_job(
                f"{name}_merge",
                dg.AssetSelection.assets(*merge),
                description="All providers of a seed together.",
            ),
        ]
        return dg.Definitions(assets=assets, asset_checks=checks, jobs=jobs)
