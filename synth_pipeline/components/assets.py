"""The seven assets of a text recipe and its merged ones: read the inputs, call one function, return its frame."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import polars as pl

from synth_pipeline.components.budgets import SpendConfig, WritingConfig, spender_of
from synth_pipeline.components.declaration import Declaration
from synth_pipeline.components.export_files import ExportFolder
from synth_pipeline.components.failures import explained
from synth_pipeline.components.io_managers import contract_schema
from synth_pipeline.components.metadata import counts, generation_metadata, output, purchases, table
from synth_pipeline.components.models import Models
from synth_pipeline.components.partitions import cell_partitions, provider_of, seed_of, seed_partitions
from synth_pipeline.components.progress import Reporter
from synth_pipeline.components.reference import load_reference
from synth_pipeline.contracts.planned import plan_table, validated_table
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.table import Table
from synth_pipeline.contracts.tables import ASSET_TABLES

MERGED = "merged"
ENDS = ("valid", "rejected", "flagged")
STATUSES = ("confirmed", "contradicted", "no_consensus", "declared")
LAW = {
    "ontology": "What exists and how much of it: every axis value, constraint, number, flaw and rule, with its source "
    "and, for structure, the votes of the panel. A contradicted fact is reported, never silently dropped.",
    "sampling_plan": "Exactly what will be written: one row per planned record. Every margin is met to within one "
    "record, every constraint obeyed; the same plan for every provider of a seed.",
    "raw_generations": "What the provider wrote. Every planned record ends in exactly one state, and every completion "
    "is in the call ledger before it is parsed: materializing again buys nothing twice. **This asset spends money.**",
    "flawed_variants": "Twins of records, damaged on purpose under a known label, with proof that exactly one sentence "
    "changed and states the sick value. **This asset spends money.**",
    "validated_set": "Every record and variant as valid, rejected or flagged, with a verdict and a reason from every "
    "rule. Nothing is dropped: the three ends sum to the input.",
    "discriminator_score": "How well a classifier tells synthetic from real (AUC; 0.5 = cannot tell), with interval, "
    "floor and shuffled baseline. Under 200 examples a side it is undecided and says what n is needed.",
    "finetune_export": "The files that trainers read, split so that a record and its flawed twin stay together, with a "
    "manifest of SHA-256 sums.",
    "merged_set": "The validated sets of all providers that a seed has so far, without copies across providers. "
    "Materialize it again after another provider.",
    "merged_discriminator_score": "How well a classifier tells the merged set from real: all providers of a seed "
    "at once.",
    "merged_export": "The files that trainers read, from the merged set.",
}
KINDS = {
    "ontology": {"yaml", "duckdb"},
    "raw_generations": {"llm", "duckdb"},
    "flawed_variants": {"llm", "duckdb"},
    "discriminator_score": {"scikitlearn", "duckdb"},
    "merged_discriminator_score": {"scikitlearn", "duckdb"},
}


class PlanConfig(dg.Config):
    """How many records to plan; the recipe's number where None."""

    n_records: int | None = None


class ReferenceConfig(dg.Config):
    """Another reference than the recipe's: the path of a data file, or of a YAML file with a mapping."""

    reference: str | None = None


Wrapped = Callable[..., dg.Output[pl.DataFrame]]
Reader = Callable[[Wrapped], dg.AssetsDefinition]


def build_assets(declaration: Declaration) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the recipe's assets, and its reference as an external asset."""
    declared = declaration.recipe.reference
    reference = dg.AssetSpec(
        _key(declaration, "reference"),
        group_name=declaration.name,
        description="The real, labelled examples: a file of yours, named in the recipe and not made here. "
        "One run takes another by `synth run --reference FILE`.",
        metadata={"file": dg.MetadataValue.path(str(declaration.folder / declared.path))} if declared else {},
        kinds={"file"},
    )
    return [
        reference,
        _ontology(declaration),
        _sampling_plan(declaration),
        _raw_generations(declaration),
        _flawed_variants(declaration),
        _validated_set(declaration),
        _discriminator_score(declaration),
        _finetune_export(declaration),
        *_merged_assets(declaration),
    ]


def _key(declaration: Declaration, asset: str) -> dg.AssetKey:
    return dg.AssetKey([declaration.name, asset])


def _asset(
    declaration: Declaration, name: str, *roles: str, ins: tuple[str, ...] = (), deps: tuple[str, ...] = ()
) -> Reader:
    """Return the decorator of one asset: key, partitions, description, code version, inputs."""
    by_seed = name.startswith(MERGED)

    def decorate(function: Wrapped) -> dg.AssetsDefinition:
        return dg.asset(
            key=_key(declaration, name),
            ins={given: dg.AssetIn(_key(declaration, given)) for given in ins},
            deps=[_key(declaration, dep) for dep in deps],
            partitions_def=seed_partitions() if by_seed else cell_partitions(declaration.providers),
            group_name=declaration.name,
            description=LAW[name],
            code_version=declaration.code_version(*roles),
            kinds=KINDS.get(name, {"polars", "duckdb"}),
            owners=declaration.recipe.owners,
            metadata={"dagster/column_schema": contract_schema(_contract(declaration.recipe, name))},
            io_manager_key="frames",
        )(explained(function))

    return decorate


def _contract(recipe: Recipe, name: str) -> Table:
    """Return the contract of an asset's table, with the recipe's own columns where it has some."""
    own = {"sampling_plan": plan_table, "validated_set": validated_table, "merged_set": validated_table}
    if name in own:
        return own[name](recipe)
    kept_as = {"merged_discriminator_score": "discriminator_score", "merged_export": "finetune_export"}
    return next(table for table in ASSET_TABLES if table.name == kept_as.get(name, name))


def _ontology(declaration: Declaration) -> dg.AssetsDefinition:
    @_asset(declaration, "ontology", "structure")
    def ontology(
        context: dg.AssetExecutionContext, config: SpendConfig, models: Models, progress: dg.ResourceParam[Reporter]
    ) -> dg.Output[pl.DataFrame]:
        members, spender = declaration.recipe.panel.providers, spender_of(context, declaration, config)
        with models.completers(declaration, members, progress.for_log(context.log.info), spender=spender) as panel:
            frame = declaration.kind.ontology(panel, provider=provider_of(context), seed=seed_of(context))
        contradicted = frame.filter(pl.col("status") == "contradicted").select("name", "value", "votes", "voters")
        statuses = counts(frame, "status", STATUSES)
        return output(frame, {**statuses, **purchases(panel), "contradicted": table(contradicted)})

    return ontology


def _sampling_plan(declaration: Declaration) -> dg.AssetsDefinition:
    @_asset(declaration, "sampling_plan", deps=("ontology",))
    def sampling_plan(context: dg.AssetExecutionContext, config: PlanConfig) -> dg.Output[pl.DataFrame]:
        frame = declaration.kind.sampling_plan(provider=provider_of(context), seed=seed_of(context), n=config.n_records)
        margin = (
            frame.group_by(declaration.recipe.label)
            .len("n")
            .sort("n", declaration.recipe.label, descending=[True, False])
        )
        n_flawed = frame["flaw"].drop_nulls().len()
        return output(frame, {"n_planned": frame.height, "n_flaws_planned": n_flawed, "label_margin": table(margin)})

    return sampling_plan


def _raw_generations(declaration: Declaration) -> dg.AssetsDefinition:
    @_asset(declaration, "raw_generations", "write", ins=("sampling_plan",))
    def raw_generations(
        context: dg.AssetExecutionContext,
        config: WritingConfig,
        models: Models,
        progress: dg.ResourceParam[Reporter],
        sampling_plan: pl.DataFrame,
    ) -> dg.Output[pl.DataFrame]:
        writer, spender = [provider_of(context)], spender_of(context, declaration, config)
        told = progress.for_log(context.log.info)
        with models.completers(declaration, writer, told, spender, batch=config.batch) as completers:
            frame = declaration.kind.raw_generations(sampling_plan, completers[0])
        return output(frame, {**purchases(completers), **generation_metadata(frame)})

    return raw_generations


def _flawed_variants(declaration: Declaration) -> dg.AssetsDefinition:
    @_asset(declaration, "flawed_variants", "flaw", ins=("raw_generations", "sampling_plan"))
    def flawed_variants(  # noqa: PLR0913  # what Dagster hands an asset, each by its name
        context: dg.AssetExecutionContext,
        config: WritingConfig,
        models: Models,
        progress: dg.ResourceParam[Reporter],
        raw_generations: pl.DataFrame,
        sampling_plan: pl.DataFrame,
    ) -> dg.Output[pl.DataFrame]:
        writer, spender = [provider_of(context)], spender_of(context, declaration, config)
        told = progress.for_log(context.log.info)
        with models.completers(declaration, writer, told, spender, batch=config.batch) as completers:
            frame = declaration.kind.flawed_variants(raw_generations, sampling_plan, completers[0])
        n_proven = int((frame["proof"] == "proven").sum())
        return output(frame, {**purchases(completers), **generation_metadata(frame), "n_proven": n_proven})

    return flawed_variants


def _validated_set(declaration: Declaration) -> dg.AssetsDefinition:
    given = ("raw_generations", "flawed_variants", "sampling_plan")

    @_asset(declaration, "validated_set", ins=given, deps=("reference",))
    def validated_set(
        config: ReferenceConfig,
        raw_generations: pl.DataFrame,
        flawed_variants: pl.DataFrame,
        sampling_plan: pl.DataFrame,
    ) -> dg.Output[pl.DataFrame]:
        reference = load_reference(declaration, config.reference)
        frame = declaration.kind.validated_set(raw_generations, flawed_variants, sampling_plan, reference.frame)
        spent = sum(float(one["cost_usd"].sum()) for one in (raw_generations, flawed_variants))
        return output(frame, {**_acceptance(frame), **_cost_per_valid(frame, spent), "reference": reference.summary()})

    return validated_set


def _acceptance(frame: pl.DataFrame) -> dict[str, Any]:
    n_valid = frame.filter(pl.col("state") == "valid").height
    said = frame.filter(pl.col("state") != "valid").explode("reasons").drop_nulls("reasons")
    by_rule = said.group_by(pl.col("reasons").str.extract(r"^([^:]+)").alias("rule")).len("n")
    return {
        **counts(frame, "state", ENDS),
        "acceptance_rate": n_valid / max(frame.height, 1),
        "reasons": table(by_rule.sort("n", "rule", descending=[True, False])),
    }


def _cost_per_valid(frame: pl.DataFrame, spent_usd: float) -> dict[str, float]:
    n_valid = frame.filter(pl.col("state") == "valid").height
    return {"cost_per_valid_usd": spent_usd / n_valid} if n_valid else {}


def _discriminator_score(declaration: Declaration) -> dg.AssetsDefinition:
    @_asset(declaration, "discriminator_score", ins=("validated_set",), deps=("reference",))
    def discriminator_score(
        context: dg.AssetExecutionContext, config: ReferenceConfig, validated_set: pl.DataFrame
    ) -> dg.Output[pl.DataFrame]:
        return _score(declaration, config, validated_set, provider_of(context), seed_of(context))

    return discriminator_score


def _score(
    declaration: Declaration, config: ReferenceConfig, items: pl.DataFrame, provider: str, seed: int
) -> dg.Output[pl.DataFrame]:
    reference = load_reference(declaration, config.reference)
    frame = declaration.kind.discriminator_score(items, reference.frame, provider=provider, seed=seed)
    whole = frame.filter(pl.col("slice") == "all").select(
        "family", "auc", "low", "high", "n_real", "n_synthetic", "verdict"
    )
    aucs = {f"auc_{family}": auc for family, auc in whole.select("family", "auc").iter_rows() if auc is not None}
    return output(frame, {**aucs, "over_all_records": table(whole), "reference": reference.summary()})


def _finetune_export(declaration: Declaration) -> dg.AssetsDefinition:
    # discriminator_score stands before it, so that a gate that blocks stops the export
    @_asset(declaration, "finetune_export", "export", ins=("validated_set",), deps=("discriminator_score",))
    def finetune_export(
        context: dg.AssetExecutionContext, exports: ExportFolder, validated_set: pl.DataFrame
    ) -> dg.Output[pl.DataFrame]:
        return _export(declaration, exports, validated_set, provider_of(context), seed_of(context))

    return finetune_export


def _export(
    declaration: Declaration, exports: ExportFolder, items: pl.DataFrame, provider: str, seed: int
) -> dg.Output[pl.DataFrame]:
    identity: Mapping[str, object] = {**declaration.identity, "provider": provider, "seed": seed}
    bundle = declaration.kind.finetune_export(items, identity=identity)
    folder = exports.write(declaration.name, provider, seed, bundle.files)
    return output(
        bundle.frame,
        {
            **counts(bundle.frame, "split", declaration.recipe.export.splits),
            "folder": dg.MetadataValue.path(str(folder)),
            "n_files": len(bundle.files),
        },
    )


def _merged_assets(declaration: Declaration) -> list[dg.AssetsDefinition]:
    @_asset(declaration, "merged_set", ins=("validated_set",))
    def merged_set(validated_set: pl.DataFrame) -> dg.Output[pl.DataFrame]:
        frame = declaration.kind.merged_set(validated_set)
        providers = ", ".join(frame["provider"].unique().sort().to_list())
        return output(frame, {**_acceptance(frame), "providers": providers})

    @_asset(declaration, "merged_discriminator_score", ins=("merged_set",), deps=("reference",))
    def merged_discriminator_score(
        context: dg.AssetExecutionContext, config: ReferenceConfig, merged_set: pl.DataFrame
    ) -> dg.Output[pl.DataFrame]:
        return _score(declaration, config, merged_set, MERGED, seed_of(context))

    @_asset(declaration, "merged_export", "export", ins=("merged_set",), deps=("merged_discriminator_score",))
    def merged_export(
        context: dg.AssetExecutionContext, exports: ExportFolder, merged_set: pl.DataFrame
    ) -> dg.Output[pl.DataFrame]:
        return _export(declaration, exports, merged_set, MERGED, seed_of(context))

    return [merged_set, merged_discriminator_score, merged_export]
