"""Ledger entries written by hand."""

from dataclasses import replace
from typing import Any

from synth_pipeline.llm.ledger import LedgerEntry

ENTRY = LedgerEntry(
    call_key="k0",
    recipe_role="parcels__write",
    provider="anna",
    model="anna/large",
    template="parcels/write.md",
    template_version="1.0",
    template_sha256="0" * 64,
    sample="p0",
    attempt=0,
    messages='[{"content":"Write.","role":"user"}]',
    content='{"note":"It came late."}',
    refusal=None,
    finish_reason="stop",
    tokens_in=100,
    tokens_out=50,
    cost_usd=0.25,
    completed_at="2030-01-01T00:00:00.000+00:00",
    latency_s=0.5,
    provider_request_id="r0",
    recipe="parcels",
    partition="anna|0",
    run="r0",
    parameters='{"max_tokens":200,"seed":0,"temperature":1.0}',
    schema_sha256="1" * 64,
)


def entry(**changes: Any) -> LedgerEntry:
    """Return one completion as it was bought, with some fields set otherwise."""
    return replace(ENTRY, **changes)
