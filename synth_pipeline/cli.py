"""`synth`: a thin front over the same definitions that the Dagster UI loads.

Exit codes: 0 done; 1 a run, a blocking check or a verification failed; 2 bad input, with what, where and what to do;
130 stopped by Ctrl-C.
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")

import typer
from rich.console import Console

from synth_pipeline.contracts.errors import SynthError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
PIPE_WIDTH, INTERRUPTED = 160, 130
out = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, width=None if sys.stderr.isatty() else PIPE_WIDTH)

Recipe = Annotated[str, typer.Argument(help="The recipe's name: its folder below synth_pipeline/defs/.")]
Providers = Annotated[list[str] | None, typer.Option("--provider", "-p", help="Who writes; repeat for several.")]
Seed = Annotated[int, typer.Option(help="The random seed; a partition.", min=0)]
Reference = Annotated[
    str | None,
    typer.Option(help="Another file of real examples, or a YAML file that maps one.", show_default="the recipe's"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]


@app.command()
def run(
    recipe: Recipe,
    provider: Providers = None,
    seed: Seed = 0,
    limit: Annotated[int | None, typer.Option(help="Plan only so many records.", min=1)] = None,
    reference: Reference = None,
    as_json: AsJson = False,
) -> None:
    """Materialize all seven assets for one or more providers, then merge the seed."""
    from synth_pipeline.commands import RunRequest, run_recipe

    request = RunRequest(recipe, provider or ["offline-terse"], seed=seed, limit=limit, reference=reference)
    try:
        report = run_recipe(request, console=err)
    except KeyboardInterrupt:
        err.print("stopped; run the same command again to go on: what was bought is in the call ledger", style="yellow")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        _print_json(report.as_dict())
    else:
        report.show(out)
    raise typer.Exit(0 if report.success else 1)


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
    from synth_pipeline.commands import preview_recipe

    records = preview_recipe(recipe, provider, seed=seed, n=n)
    if as_json:
        _print_json(records)
        return
    for record in records:
        _show_record(record)


@app.command()
def providers(as_json: AsJson = False) -> None:
    """List who can answer, and which environment variables are missing."""
    from synth_pipeline.commands import list_providers

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
    from synth_pipeline.commands import read_status

    state = read_status(recipe)
    if as_json:
        _print_json(state)
        return
    from synth_pipeline.components.console import make_table

    columns = ("recipe", "partition", "materialized", "stale", "pending", "flagged")
    out.print(make_table("Partitions", state["partitions"], columns))
    spent = ("recipe_role", "provider", "calls", "tokens_in", "tokens_out", "cost_usd")
    out.print(make_table("Spent, from the call ledger", state["spent"], spent))


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
