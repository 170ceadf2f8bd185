"""`synth`: a thin front over the same definitions that the Dagster UI loads.

Exit codes: 0 done; 1 a run, a blocking check or a verification failed; 2 bad input, with what, where and what to do;
3 a run came to a cap of its budget, and goes on from there under a higher one; 130 stopped by Ctrl-C.
"""

import json
import logging
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # prices come with LiteLLM, not from the network

import typer
from rich.console import Console

from synth_pipeline.contracts.errors import SynthError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
ledger = typer.Typer(no_args_is_help=True, help="Show, export, prune, verify and back up the call ledger.")
app.add_typer(ledger, name="ledger")
PIPE_WIDTH, INTERRUPTED = 160, 130
DEFAULT = ["offline-terse"]
out = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, width=None if sys.stderr.isatty() else PIPE_WIDTH)

Recipe = Annotated[str, typer.Argument(help="The recipe's name: its folder below synth_pipeline/defs/.")]
Providers = Annotated[list[str] | None, typer.Option("--provider", "-p", help="Who writes; repeat for several.")]
Seed = Annotated[int, typer.Option(help="The random seed; a partition.", min=0)]
Reference = Annotated[
    str | None,
    typer.Option(help="Another file of real examples, or a YAML file that maps one.", show_default="the recipe's"),
]
Limit = Annotated[int | None, typer.Option(help="Plan only so many records.", min=1)]
MaxCost = Annotated[float | None, typer.Option(help="US dollars that this command may spend in all.", min=0)]
MaxTokens = Annotated[int | None, typer.Option(help="Tokens that this command may buy in all.", min=0)]
OfRecipe = Annotated[str | None, typer.Option("--recipe", help="Only this recipe's.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]


@app.command()
def run(
    recipe: Recipe,
    provider: Providers = None,
    seed: Seed = 0,
    limit: Limit = None,
    reference: Reference = None,
    max_cost_usd: MaxCost = None,
    max_tokens: MaxTokens = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Buy by the provider's batch API: cheaper, within a day.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Materialize all seven assets for one or more providers, then merge the seed."""
    from synth_pipeline.commands.run import RunRequest, run_recipe
    from synth_pipeline.contracts.spending import Cap

    cap = Cap(max_cost_usd=max_cost_usd, max_tokens=max_tokens)
    request = RunRequest(recipe, provider or DEFAULT, seed=seed, limit=limit, reference=reference, cap=cap, batch=batch)
    try:
        report = run_recipe(request, console=err)
    except KeyboardInterrupt:
        err.print("stopped; run the same command again to go on: what was bought is in the call ledger", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        _print_json(report.as_dict())
    else:
        report.show(out)
    raise typer.Exit(report.exit_code)


@app.command()
def estimate(
    recipe: Recipe,
    provider: Providers = None,
    seed: Seed = 0,
    limit: Limit = None,
    max_cost_usd: MaxCost = None,
    max_tokens: MaxTokens = None,
    batch: Annotated[bool, typer.Option("--batch", help="At the price of batches, where a row has them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a run would ask, cost and take; nothing is sent or bought, and no key is needed."""
    from synth_pipeline.commands.estimate import EstimateRequest, estimate_recipe
    from synth_pipeline.contracts.spending import Cap

    cap = Cap(max_cost_usd=max_cost_usd, max_tokens=max_tokens)
    request = EstimateRequest(recipe, provider or DEFAULT, seed=seed, limit=limit, cap=cap, batch=batch)
    found = estimate_recipe(request)
    if as_json:
        _print_json(found.as_dict())
    else:
        found.show(out)


@app.command()
def preview(
    recipe: Recipe,
    n: Annotated[int, typer.Option("-n", help="How many records.", min=1, max=100)] = 5,
    provider: Annotated[str, typer.Option("--provider", "-p", help="Who writes.")] = "offline-terse",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Write a few records and show them; no table, no file and no run is made.

    What a provider with a price answers is kept in the call ledger, so that a run does not buy it again.
    """
    from synth_pipeline.commands.preview import preview_recipe

    records = preview_recipe(recipe, provider, seed=seed, n=n)
    if as_json:
        _print_json(records)
        return
    for record in records:
        _show_record(record)


@app.command()
def providers(as_json: AsJson = False) -> None:
    """List who can answer, and which environment variables are missing."""
    from synth_pipeline.commands.providers import list_providers

    rows = list_providers()
    if as_json:
        _print_json(rows)
        return
    from synth_pipeline.components.console import make_table

    out.print(make_table("Providers", rows, ("name", "family", "writes with", "price", "ready", "missing")))


@app.command()
def verify(
    export: Annotated[Path, typer.Argument(help="An export's folder: .../<recipe>/<provider>/<seed>.")],
    as_json: AsJson = False,
) -> None:
    """Check every file of an export against its manifest."""
    from synth_pipeline.components.export_files import verify_export

    manifest = verify_export(export)
    facts = {
        "export": str(export),
        "intact": True,
        "n_files": len(manifest["files"]),
        "n_items": manifest.get("n_items"),
    }
    if as_json:
        _print_json(facts)
    else:
        out.print(
            f"{export}: intact, {facts['n_files']} files, {facts['n_items']} items",
            soft_wrap=True,
            markup=False,
        )


@app.command()
def status(
    recipe: Annotated[str | None, typer.Argument(help="One recipe; all where none is named.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is materialized, stale and pending, and what was spent."""
    from synth_pipeline.commands.status import read_status

    state = read_status(recipe)
    if as_json:
        _print_json(state)
        return
    from synth_pipeline.components.console import make_table

    columns = ("recipe", "partition", "materialized", "stale", "pending", "flagged")
    out.print(make_table("Partitions", state["partitions"], columns))
    spent = ("recipe_role", "provider", "calls", "tokens_in", "tokens_out", "cost_usd")
    out.print(make_table("Spent, from the call ledger", state["spent"], spent))


@ledger.command("show")
def ledger_show(
    key: Annotated[str | None, typer.Option(help="One call in full: its key, or the beginning of it.")] = None,
    recipe: OfRecipe = None,
    as_json: AsJson = False,
) -> None:
    """Show what was bought, what failed, and what was spent."""
    from synth_pipeline.commands import ledger as commands
    from synth_pipeline.commands import ledger_report as report

    if key:
        call = commands.show_call(key)
        if as_json:
            _print_json(asdict(call))
        else:
            report.show_call(call, out)
        return
    accounts = commands.show_ledger(recipe)
    if as_json:
        _print_json(report.accounts_as_dict(accounts))
    else:
        report.show_accounts(accounts, out)


@ledger.command("export")
def ledger_export(  # its filters are its arguments
    file: Annotated[str, typer.Argument(help="The file to write: .jsonl or .parquet.")],
    recipe: OfRecipe = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    status: Annotated[str | None, typer.Option(help="received, ok, refused, cut_off or unparsable.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write the calls to a file, with their prompts and completions."""
    from synth_pipeline.commands.ledger import export_ledger
    from synth_pipeline.llm.ledger.care.export import Filter

    target, n = export_ledger(file, Filter(recipe, provider, status), overwrite=force)
    _say(f"{target}: {n:,} calls")


@ledger.command("prune")
def ledger_prune(
    superseded: Annotated[bool, typer.Option("--superseded", help="Calls by an older text of a template.")] = False,
    recipe: OfRecipe = None,
    older_than: Annotated[str | None, typer.Option(help="Only what is older: a number with h, d or w (90d).")] = None,
    failed_tries: Annotated[bool, typer.Option("--failed-tries", help="Tries that brought nothing, no calls.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Prune, after a backup; without it, only count.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take out what is not wanted any more; what it cost stays counted in the budgets."""
    from synth_pipeline.commands.ledger import PruneRequest, prune_ledger
    from synth_pipeline.commands.ledger_report import show_pruning

    pruning = prune_ledger(PruneRequest(superseded, recipe, older_than, failed_tries, yes))
    if as_json:
        _print_json(pruning.as_dict())
    else:
        show_pruning(pruning, out)


@ledger.command("verify")
def ledger_verify(as_json: AsJson = False) -> None:
    """Check the file, every call's key, and that the sums add up."""
    from synth_pipeline.commands.ledger import verify_ledger
    from synth_pipeline.commands.ledger_report import show_verification

    found = verify_ledger()
    if as_json:
        _print_json(asdict(found))
    else:
        show_verification(found, out)
    raise typer.Exit(1 if found.n_problems else 0)


@ledger.command("backup")
def ledger_backup(
    file: Annotated[str | None, typer.Argument(help="The file to write.", show_default="below data/backups/")] = None,
) -> None:
    """Copy the ledger while others write, and look the copy through."""
    from synth_pipeline.commands.ledger import back_up_ledger

    _say(f"{back_up_ledger(file)}: a sound copy")


@ledger.command("batches")
def ledger_batches(
    give_up: Annotated[str | None, typer.Option(help="A batch that its provider has lost: free its calls.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the batches that providers are working on; what is given up counts as spent, at its worst case."""
    from synth_pipeline.commands.ledger import give_up_batch, list_batches
    from synth_pipeline.components.console import make_table

    if give_up:
        _say(f"{give_up}: given up; ${give_up_batch(give_up):.4f} may have been billed and count as spent")
        return
    batches = list_batches()
    if as_json:
        _print_json(batches)
    elif batches:
        out.print(make_table("Batches under way", batches, batches[0]))
    else:
        _say("no batch is under way")


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _show_record(record: dict[str, Any]) -> None:
    facts = {name: value for name, value in record.items() if name not in {"text", "reasons"}}
    out.rule(style="dim")
    out.print(
        ", ".join(f"{name}={value}" for name, value in facts.items()),
        style="dim",
        markup=False,
        soft_wrap=True,
    )
    out.print(record["text"] or "(no text)", markup=False)
    for reason in record["reasons"]:
        out.print(f"- {reason}", style="red", markup=False)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def main() -> None:
    """Run the command; what a user can cause ends with one screen of text, never with a stack trace."""
    warnings.simplefilter("ignore")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        app()
    except SynthError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
