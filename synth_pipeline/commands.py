"""What the `synth` commands do: plain functions over the code location, each returning what is to be shown."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console

from synth_pipeline.components.console import ConsoleReporter, make_table
from synth_pipeline.components.declaration import Declaration, list_recipes, load_declaration
from synth_pipeline.components.models import LogProgress, Models
from synth_pipeline.components.partitions import count_seeds
from synth_pipeline.components.places import LEDGER_VARIABLE, Places, find_places, find_project_folder
from synth_pipeline.components.reference import Reference, load_reference
from synth_pipeline.components.runs import Runner, RunReport, project_instance, relative, run_job
from synth_pipeline.components.status import list_statuses
from synth_pipeline.components.store import DuckDBStore
from synth_pipeline.components.summary import CHAIN, Funnel, read_funnel, read_scores
from synth_pipeline.contracts.errors import InputError
from synth_pipeline.definitions import defs as code_location
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.providers import (
    find_provider,
    find_providers_file,
    load_providers,
    missing_variables,
    require_environment,
)

MERGED = "merged"
MEMORY_LEDGER = "sqlite://"
FUNNEL = ("provider", "planned", "written", "twins", "valid", "rejected", "flagged", "exported", "cost_usd")
SCORE = ("provider", "family", "AUC [95 %]", "n real", "n synth", "floor", "shuffled", "verdict")


@dataclass(frozen=True)
class RecipeReport:
    """What `synth run` did: its runs, the funnel of each provider, the discriminator's figures, the files."""

    recipe: str
    seed: int
    reference: str
    runs: tuple[RunReport, ...]
    funnels: tuple[Funnel, ...]
    scores: tuple[Mapping[str, Any], ...]

    @property
    def success(self) -> bool:
        """Whether every run succeeded."""
        return all(run.success for run in self.runs)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        plain = {name: value for name, value in asdict(self).items() if name != "scores"}
        return {"success": self.success, **plain, "scores": [dict(score) for score in self.scores]}

    def show(self, console: Console) -> None:
        """Print the funnel, the figures with their n, where the files are, and what to do next."""
        title = f"{self.recipe}, seed {self.seed}: planned → written → valid → exported; twins are flawed copies"
        console.print(make_table(title, [funnel.as_dict() for funnel in self.funnels], FUNNEL))
        if self.scores:
            title = "Telling synthetic from real: AUC, 0.5 = cannot tell; floor: real from real"
            console.print(make_table(title, [_score_row(score) for score in self.scores], SCORE))
        for line in self._lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _lines(self) -> list[str]:
        merged = [score for score in self.scores if score["provider"] == MERGED]
        verdicts = [
            f"merged, {score['family']}: {score['verdict']}; {score['verdict_reason']}{_needed(score)}"
            for score in merged
        ]
        offline = any(funnel.offline for funnel in self.funnels)
        stand_in = ["These records were written by the offline stand-in, not by an LLM: no figure here is an LLM's."]
        return [
            f"reference: {self.reference}",
            *verdicts,
            *(stand_in if offline else []),
            _bought(self.runs),
            *(
                f"{_told(check.severity)} {run.partition} {check.asset}:{check.name}{_weight(check.blocking)}: "
                f"{check.description}"
                for run in self.runs
                for check in run.failed_checks
            ),
            *(f"failed: {run.job} {run.partition}: {error}" for run in self.runs for error in run.errors),
            *(f"files: {relative(folder)}" for run in self.runs for folder in run.folders),
            *(f"verify: synth verify {relative(folder)}" for run in self.runs[-1:] for folder in run.folders),
            "look: `make dev` opens the Dagster UI on http://127.0.0.1:3000",
        ]


def _score_row(score: Mapping[str, Any]) -> dict[str, Any]:
    auc = score["auc"]
    return {
        "provider": score["provider"],
        "family": score["family"],
        "AUC [95 %]": None if auc is None else f"{auc:.3f} [{score['low']:.3f}, {score['high']:.3f}]",
        "n real": score["n_real"],
        "n synth": score["n_synthetic"],
        "floor": score["floor_auc"],
        "shuffled": score["shuffled_auc"],
        "verdict": score["verdict"],
    }


def _needed(score: Mapping[str, Any]) -> str:
    return f"; {score['n_needed']} a side would decide" if score["n_needed"] else ""


def _told(severity: str) -> str:
    return "warning:" if severity == "WARN" else "failed check:"


def _weight(blocking: bool) -> str:
    return " (blocking)" if blocking else ""


def _bought(runs: Sequence[RunReport]) -> str:
    bought, held = sum(run.n_calls_bought for run in runs), sum(run.n_calls_from_ledger for run in runs)
    spent = sum(run.spent_now_usd for run in runs)
    if bought == held == 0:
        return "calls: none"
    if bought == 0:
        return f"calls: nothing was bought; all {held} completions were in the call ledger already"
    return f"calls: {bought} completions bought now for ${spent:.4f}, {held} found in the call ledger"


@dataclass(frozen=True)
class RunRequest:
    """What `synth run` was asked to do.

    Args:
        recipe: the recipe's name.
        providers: who writes.
        seed: the partition's seed.
        limit: records to plan; the recipe's number where None.
        reference: another file of real examples, or a YAML file that maps one.
    """

    recipe: str
    providers: Sequence[str]
    seed: int = 0
    limit: int | None = None
    reference: str | None = None


def run_recipe(request: RunRequest, console: Console) -> RecipeReport:
    """Materialize the chain of a recipe for each provider, then its merge; return what came of it.

    Everything that a user can get wrong is refused before the first run: recipe, provider, key, seed, reference.

    Raises:
        InputError: one of them is wrong; says which and what to do.
    """
    recipe, names, seed = request.recipe, list(dict.fromkeys(request.providers)), request.seed
    override = str(Path(request.reference).expanduser().resolve()) if request.reference else None
    os.chdir(find_project_folder())
    declaration = load_declaration(recipe)
    read = _require_input(declaration, names, seed, override)
    config = _run_config(recipe, request.limit, override)
    with project_instance() as instance:
        runner = Runner(_definitions(), instance, ConsoleReporter(console))
        runs = []
        for name in names:
            console.print(f"{recipe}: {name}, seed {seed}", style="bold", markup=False)
            runs.append(run_job(runner, f"{recipe}_chain", f"{name}|{seed}", config["chain"]))
        if any(run.success for run in runs):
            runs.append(run_job(runner, f"{recipe}_merge", str(seed), config["merge"]))
    store = DuckDBStore(database=find_places().database)
    funnels = tuple(read_funnel(store, recipe, name, seed) for name in names)
    scores = [row for name in names for row in read_scores(store, recipe, "discriminator_score", name, seed)]
    scores += read_scores(store, recipe, "merged_discriminator_score", MERGED, seed)
    return RecipeReport(recipe, seed, read.summary(), tuple(runs), funnels, tuple(scores))


def _definitions() -> dg.Definitions:
    """Return the code location; it holds all recipes, so a broken one is refused here with its file, line and fix."""
    for name in list_recipes():
        load_declaration(name)
    return code_location()


def _require_input(declaration: Declaration, names: Sequence[str], seed: int, override: str | None) -> Reference:
    for name in names:
        require_environment(find_provider(declaration.providers, name))
    for member in declaration.recipe.panel.providers:
        require_environment(find_provider(declaration.providers, member))
    if seed >= count_seeds():
        raise InputError(
            f"seed {seed} is no partition; there are {count_seeds()}", where="--seed", fix="raise SYNTH_SEEDS"
        )
    return load_reference(declaration, override)


def _run_config(recipe: str, limit: int | None, override: str | None) -> dict[str, dict[str, dict[str, Any]]]:
    planned = {f"{recipe}__sampling_plan": {"n_records": limit}} if limit else {}
    given = {"reference": override} if override else {}
    reads = {"chain": ("validated_set", "discriminator_score"), "merge": ("merged_discriminator_score",)}
    configured = {job: {f"{recipe}__{asset}": given for asset in assets if given} for job, assets in reads.items()}
    return configured | {"chain": {**planned, **configured["chain"]}}


def preview_recipe(recipe: str, provider: str, *, seed: int, n: int) -> list[dict[str, Any]]:
    """Return `n` records as the provider would write them, each with its end and reasons; no table is written.

    Raises:
        InputError: the recipe, the provider or its key is wrong.
    """
    os.chdir(find_project_folder())
    declaration = load_declaration(recipe)
    row = find_provider(declaration.providers, provider)
    ledger_url = MEMORY_LEDGER if row.free else find_places().ledger_url
    silent = LogProgress(lambda _line: None)
    kind = declaration.kind
    plan = kind.sampling_plan(provider=provider, seed=seed, n=n)
    with Models(ledger_url=ledger_url).completers(declaration, [provider], silent) as completers:
        raw = kind.raw_generations(plan, completers[0])
        variants = kind.flawed_variants(raw, plan, completers[0])
    validated = kind.validated_set(raw, variants, plan, load_reference(declaration).frame)
    return validated.select("planned_id", "label", "flaw", "state", "offline", "text", "reasons").to_dicts()


def list_providers() -> list[dict[str, Any]]:
    """Return one row a provider: name, family, the writer's model, how it is priced, what is missing."""
    rows = load_providers(find_providers_file()).values()
    return [
        {
            "name": row.name,
            "family": row.family,
            "writes with": row.model_for("write"),
            "price": "free" if row.free else "own" if row.prices else "LiteLLM's table",
            "ready": not missing_variables(row),
            "missing": missing_variables(row),
            "offline": row.offline,
        }
        for row in rows
    ]


def read_status(recipe: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return what is materialized, stale and pending by partition, and what was spent by role and provider.

    Raises:
        RecipeError: no recipe has that name.
    """
    os.chdir(find_project_folder())
    recipes = [load_declaration(recipe).name] if recipe else list_recipes()
    places = find_places()
    store = DuckDBStore(database=places.database)
    partitions: list[dict[str, Any]] = []
    with project_instance() as instance:
        definitions = _definitions()
        for name in recipes:
            for one in list_statuses(name, definitions, instance):
                provider, seed = one.partition.split("|")
                partitions.append(
                    {
                        "recipe": name,
                        "partition": one.partition,
                        "materialized": f"{len(one.made)}/{len(CHAIN)}",
                        "stale": list(one.stale),
                        "pending": list(one.pending),
                        "flagged": read_funnel(store, name, provider, int(seed)).flagged,
                    }
                )
    spent = _spending(places)
    kept = [dict(row) for row in spent if recipe is None or str(row["recipe_role"]).startswith(f"{recipe}__")]
    return {"partitions": partitions, "spent": kept}


def _spending(places: Places) -> list[Mapping[str, Any]]:
    """Return what the ledger says was spent; nothing, and no file made, where there is none yet."""
    if LEDGER_VARIABLE not in os.environ and not places.ledger_file.exists():
        return []
    with closing(Ledger.open(places.ledger_url)) as ledger:
        return ledger.spending()
