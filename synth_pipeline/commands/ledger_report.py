"""What `synth ledger` prints."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from synth_pipeline.commands.ledger import Pruning
from synth_pipeline.components.console import make_table
from synth_pipeline.components.figures import dollars
from synth_pipeline.components.runs import relative
from synth_pipeline.contracts.spending import NANO
from synth_pipeline.llm.ledger.care.accounts import Accounts, CallReport
from synth_pipeline.llm.ledger.care.verify import Verification

MOST_SCOPES = 20
CALLS = ("recipe_role", "provider", "model", "status", "calls", "tokens_in", "tokens_out", "cost_usd")
TRIES = ("status", "fault", "tries", "at_risk_usd")
SCOPES = ("scope", "spent_usd", "tokens", "reserved_usd", "reserved_tokens")
LONG = ("messages", "content", "parsed", "parameters")
ATTEMPTS = ("attempt", "call_key", "status", "reason", "cost_usd", "completed_at")
FAILED = ("status", "fault", "http_status", "reason", "at_risk_usd", "failed_at")


def accounts_as_dict(accounts: Accounts) -> dict[str, Any]:
    """Return what the ledger holds as plain values."""
    return {
        "file": str(accounts.file),
        "bytes": accounts.bytes,
        "calls": [dict(row) for row in accounts.calls],
        "tries": [dict(row) for row in accounts.tries],
        "scopes": [_in_usd(row) for row in accounts.scopes],
        "n_under_way": accounts.n_under_way,
    }


def show_accounts(accounts: Accounts, console: Console) -> None:
    """Print what the ledger holds and what was spent."""
    told = accounts_as_dict(accounts)
    scopes = told["scopes"]
    console.print(make_table("Calls that were answered", told["calls"], CALLS))
    if told["tries"]:
        console.print(make_table("Tries that brought nothing, and what they may have cost", told["tries"], TRIES))
    more = f"; the first {MOST_SCOPES} of {len(scopes)}" if len(scopes) > MOST_SCOPES else ""
    console.print(make_table(f"Spent by run, partition and recipe{more}", scopes[:MOST_SCOPES], SCOPES))
    at_risk = sum(row["at_risk_usd"] for row in accounts.tries)
    n_calls, cost = sum(row["calls"] for row in accounts.calls), sum(row["cost_usd"] for row in accounts.calls)
    lost = f", {dollars(at_risk)} at risk in tries that brought nothing" if at_risk else ""
    under_way = f", {accounts.n_under_way} under way" if accounts.n_under_way else ""
    _line(console, f"{relative(accounts.file)}: {size(accounts.bytes)}")
    _line(console, f"total: {n_calls:,} calls for {dollars(cost)}{lost}{under_way}")


def show_call(report: CallReport, console: Console) -> None:
    """Print one call in full: its facts, its prompt, what came back, its other attempts and tries."""
    call = report.call
    for name, value in call.items():
        if name not in LONG and value is not None:
            _line(console, f"{name}: {value}")
    _line(console, f"parameters: {call['parameters'] or 'not kept'}")
    _line(console, f"schema: {report.schema or 'not kept'}")
    for message in json.loads(call["messages"]):
        console.rule(str(message["role"]), style="dim")
        _line(console, str(message["content"]))
    console.rule("completion", style="dim")
    _line(console, call["content"] or "(no text)")
    if report.other_attempts:
        console.print(make_table("The same sample's other attempts", report.other_attempts, ATTEMPTS))
    if report.tries:
        rows = [{**row, "at_risk_usd": row["nano_usd"] / NANO} for row in report.tries]
        console.print(make_table("Tries of this call that brought nothing", rows, FAILED))


def show_pruning(pruning: Pruning, console: Console) -> None:
    """Print what is gone, or would be, and what it had cost."""
    report = pruning.report
    if report.n:
        title = f"{pruning.what}: {'pruned' if pruning.done else 'would be pruned'}"
        console.print(make_table(title, report.rows, ("recipe_role", "provider", "n", "cost_usd")))
    for path in pruning.unknown:
        _line(console, f"left alone: calls by prompts/{path}, which is not there; --recipe prunes them")
    if not report.n:
        _line(console, f"no {pruning.what} to prune")
    elif not pruning.done:
        again = f"; buying them again would cost about {dollars(report.cost_usd)}" if pruning.what == "calls" else ""
        _line(console, f"{report.n:,} {pruning.what}{again}; nothing was changed: add --yes to prune")
    else:
        _line(console, f"{report.n:,} {pruning.what} are gone; the ledger is {size(pruning.bytes)} now")
        _line(console, f"as it was before: {relative(str(pruning.backup))}; budgets still count what was spent")


def show_verification(found: Verification, console: Console) -> None:
    """Print what is wrong, or that nothing is."""
    for problem in found.problems:
        _line(console, problem)
    if found.n_problems > len(found.problems):
        _line(console, f"and {found.n_problems - len(found.problems):,} more")
    old = (
        f"; {found.n_without_parts:,} were bought before all parts of a key were kept" if found.n_without_parts else ""
    )
    verdict = f"{found.n_problems:,} problems" if found.n_problems else "sound"
    _line(console, f"{verdict}: {found.n_calls:,} calls looked at{old}")


def size(n_bytes: int) -> str:
    """Return a size in the unit that people would use."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {unit}"
    return f"{n_bytes} bytes"


def _in_usd(row: Mapping[str, Any]) -> dict[str, Any]:
    named = {"spent_usd": row["nano_usd"] / NANO, "reserved_usd": row["reserved_nano_usd"] / NANO}
    return {"scope": row["scope"], "tokens": row["tokens"], "reserved_tokens": row["reserved_tokens"], **named}


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
