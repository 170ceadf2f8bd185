"""A ledger with purchases in it, each under the key that its parts make."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from synth_pipeline.contracts.identity import call_key, sha256_text
from synth_pipeline.contracts.spending import Cap, Cost, Scope
from synth_pipeline.llm.ledger import Admit, Fail, FailedTry, Keep, Ledger, LedgerEntry

NOW, OLD = "2030-06-01T12:00:00.000+00:00", "2029-01-01T12:00:00.000+00:00"
SCHEMA = '{"name":"parcels__write","schema":{"type":"object"}}'
PARAMETERS = '{"max_tokens":100,"seed":1,"temperature":1.0}'
MESSAGES = '[{"content":"Write.","role":"user"}]'
RUN, PARTITION, RECIPE = (
    Scope("run:r1", Cap()),
    Scope("partition:parcels|anna|7", Cap()),
    Scope("recipe:parcels", Cap()),
)
SCOPES = (RUN, PARTITION, RECIPE)
DIME = Cost(100_000_000, 150)  # ten cents: 100 tokens in, 50 out
CHANGED, CURRENT = "1" * 64, "2" * 64


def url_of(file: Path) -> str:
    """Return the URL of a ledger's file."""
    return f"sqlite:///{file}"


def purchase(sample: str, **changes: Any) -> LedgerEntry:
    """Return a completion for ten cents, under the key that its parts make, with some of them set otherwise."""
    entry = LedgerEntry(
        call_key="",
        recipe_role="parcels__write",
        provider="anna",
        model="anna/large",
        template="parcels/write.md",
        template_version="1.0",
        template_sha256=CURRENT,
        sample=sample,
        attempt=0,
        messages=MESSAGES,
        content='{"note":"It came late."}',
        refusal=None,
        finish_reason="stop",
        tokens_in=100,
        tokens_out=50,
        cost_usd=0.1,
        completed_at=NOW,
        latency_s=0.5,
        provider_request_id=f"request of {sample}",
        recipe="parcels",
        partition="anna|7",
        run="r1",
        parameters=PARAMETERS,
        schema_sha256=sha256_text(SCHEMA),
        status="ok",
        parsed='{"note":"It came late."}',
    )
    entry = replace(entry, **changes)
    return entry if entry.call_key else replace(entry, call_key=key_of_parts(entry))


def key_of_parts(entry: LedgerEntry) -> str:
    """Return the key of the parts that `purchase` gives when none is set otherwise but model, sample and template."""
    return call_key(
        model=f"{entry.provider}:{entry.model}",
        messages=[{"role": "user", "content": "Write."}],
        parameters={"temperature": 1.0, "max_tokens": 100, "seed": 1},
        schema_json=SCHEMA,
        template_version=f"{entry.template}@{entry.template_version}:{entry.template_sha256}",
        sample=entry.sample,
        attempt=entry.attempt,
    )


def keep(ledger: Ledger, *entries: LedgerEntry, cost: Cost = DIME) -> None:
    """Append completions, booked under the run, the partition and the recipe."""
    ledger.apply([Keep(entry, SCOPES, cost, SCHEMA, "h1") for entry in entries])


def failed(sample: str, **changes: Any) -> FailedTry:
    """Return a try that timed out, with some fields set otherwise."""
    row = FailedTry(
        call_key=purchase(sample).call_key,
        holder="h1",
        status="transient_error",
        reason="timed out",
        failed_at=NOW,
        recipe_role="parcels__write",
        provider="anna",
        model="anna/large",
        sample=sample,
        attempt=0,
        tries=1,
        recipe="parcels",
        partition="anna|7",
        run="r1",
        fault="timeout",
    )
    return replace(row, **changes)


def make_ledger(file: Path) -> Path:
    """Return a ledger's file with three purchases (one old, one by a superseded template), a lost dime and a claim."""
    ledger = Ledger.open(url_of(file))
    keep(
        ledger,
        purchase("p0"),
        purchase("p1", template_sha256=CHANGED),
        purchase("p2", completed_at=OLD, status="refused"),
    )
    at_risk, claim = Fail(failed("p0"), SCOPES, at_risk=DIME), Admit("claimed", "h1", SCOPES, worst=DIME)
    ledger.apply([at_risk, Fail(failed("p1", fault="rate_limit")), claim])
    ledger.close()
    return file
