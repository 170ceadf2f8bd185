"""Where a result comes from: the PROVENANCE columns of its row."""

from collections.abc import Mapping, Sequence
from typing import Any

from synth_pipeline.contracts.protocols import CallRequest
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.llm.ledger import LedgerEntry


def provenance_of(provider: Provider, request: CallRequest, entries: Sequence[LedgerEntry]) -> Mapping[str, Any]:
    """Return the PROVENANCE columns: who was asked by which template, and what all completions bought for it cost."""
    last = entries[-1] if entries else None
    return {
        "model": provider.model_for(request.role),
        "family": provider.family,
        "offline": provider.offline,
        "role": request.role,
        "template": request.template.path,
        "template_version": request.template.version,
        "template_sha256": request.template.sha256,
        "temperature": request.temperature,
        "call_key": last.call_key if last else None,
        "attempts": len(entries),
        "tokens_in": sum(entry.tokens_in for entry in entries),
        "tokens_out": sum(entry.tokens_out for entry in entries),
        "cost_usd": sum(entry.cost_usd for entry in entries),
        "completed_at": last.completed_at if last else None,
        "latency_s": last.latency_s if last else None,
        "finish_reason": last.finish_reason if last else None,
    }
