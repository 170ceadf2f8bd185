"""The kind `text`: a record is one structured text. Which function does each stage, with the recipe bound to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from synth_pipeline.contracts.checks import Conclusion, DeclaredCheck
from synth_pipeline.contracts.protocols import Completer, Template
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.stages.discriminator import score_slices
from synth_pipeline.stages.export import Bundle, bundle_files
from synth_pipeline.stages.flaws import damage_records
from synth_pipeline.stages.generation import write_records
from synth_pipeline.stages.ontology import ask_panel, build_ontology
from synth_pipeline.stages.sampling import plan_records
from synth_pipeline.stages.validation import merge_sets, validate
from synth_pipeline.stages.validation.expectations import conclude_checks, declare_checks

TEMPLATE_ROLES = ("structure", "write", "flaw", "export")
STRUCTURE_HOLES = ("description", "axis", "question", "given")
FLAW_HOLES = (
    *("flaw", "quantity", "quantity_label", "healthy_value", "sick_value", "source"),
    *("given", "instruction", "description"),
)


def template_roles(recipe: Recipe) -> tuple[str, ...]:
    """Return the roles that need a template: none for flaws or questions that the recipe lacks."""
    asks = any(axis.question for axis in recipe.axes.values())
    skipped = {role for role, needed in (("flaw", bool(recipe.flaws)), ("structure", asks)) if not needed}
    return tuple(role for role in TEMPLATE_ROLES if role not in skipped)


def known_holes(recipe: Recipe, role: str) -> tuple[str, ...]:
    """Return the names that a template of `role` may ask for."""
    holes: Mapping[str, tuple[str, ...]] = {
        "structure": STRUCTURE_HOLES,
        "write": (*recipe.planned_names, "given", "description"),
        "flaw": FLAW_HOLES,
        "export": (*recipe.record.fields, "text", "label", "flaw", "answer"),
    }
    return holes[role]


@dataclass(frozen=True)
class TextKind:
    """The stages of one text recipe.

    Args:
        name: the recipe's name.
        recipe: the declaration.
        templates: by role.
    """

    name: str
    recipe: Recipe
    templates: Mapping[str, Template]

    def ontology(self, panel: Sequence[Completer], *, provider: str, seed: int) -> pl.DataFrame:
        """Return ONTOLOGY: the recipe's facts, its axis values with the panel's votes."""
        asks = "structure" in self.templates
        votes = ask_panel(self.recipe, self.name, self.templates["structure"], panel) if asks else []
        return build_ontology(self.recipe, votes, provider=provider, seed=seed)

    def sampling_plan(self, *, provider: str, seed: int, n: int | None = None) -> pl.DataFrame:
        """Return SAMPLING_PLAN: `n` planned records, the recipe's number where None."""
        n = self.recipe.n_records if n is None else n
        return plan_records(self.recipe, self.name, provider=provider, seed=seed, n=n)

    def raw_generations(self, plan: pl.DataFrame, complete: Completer) -> pl.DataFrame:
        """Return RAW_GENERATIONS: what the provider wrote for each planned record."""
        return write_records(plan, self.recipe, self.name, self.templates["write"], complete)

    def flawed_variants(self, raw: pl.DataFrame, plan: pl.DataFrame, complete: Completer) -> pl.DataFrame:
        """Return FLAWED_VARIANTS: the planned flawed twins."""
        return damage_records(raw, plan, self.recipe, self.name, self.templates.get("flaw"), complete)

    def validated_set(
        self, raw: pl.DataFrame, variants: pl.DataFrame, plan: pl.DataFrame, reference: pl.DataFrame
    ) -> pl.DataFrame:
        """Return VALIDATED_SET: every record and variant with every rule's verdict."""
        return validate(raw, variants, plan, self.recipe, reference)

    def merged_set(self, validated: pl.DataFrame) -> pl.DataFrame:
        """Return MERGED_SET: the validated sets of all providers of a seed."""
        return merge_sets(validated, self.recipe)

    def discriminator_score(
        self, validated: pl.DataFrame, reference: pl.DataFrame, *, provider: str, seed: int
    ) -> pl.DataFrame:
        """Return DISCRIMINATOR_SCORE: how well a classifier tells synthetic from real."""
        return score_slices(validated, reference, self.recipe, provider=provider, seed=seed)

    def finetune_export(self, validated: pl.DataFrame, *, identity: Mapping[str, object]) -> Bundle:
        """Return the export's files and FINETUNE_EXPORT."""
        return bundle_files(validated, self.recipe, self.templates["export"], identity=identity)

    @property
    def declared_checks(self) -> list[DeclaredCheck]:
        """The checks of the validated set."""
        return declare_checks(self.recipe)

    @property
    def conclude(self) -> Callable[[pl.DataFrame], list[Conclusion]]:
        """What concludes those checks on a validated set."""
        return lambda validated: conclude_checks(validated, self.recipe)
