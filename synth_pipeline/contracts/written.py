"""From a call's result to the WRITTEN and PROVENANCE columns that generations and variants share."""

from typing import Any

from synth_pipeline.contracts.identity import canonical_json, sha256_text
from synth_pipeline.contracts.protocols import CallResult


def written_columns(result: CallResult, text_field: str) -> dict[str, Any]:
    """Return the columns that say what was written and how it came about, for one row."""
    record = canonical_json(result.value) if result.value is not None else None
    return {
        "state": result.state,
        "state_reason": result.reason,
        "text": result.value[text_field] if result.value is not None else None,
        "record": record,
        "checksum": sha256_text(record) if record is not None else None,
        **result.provenance,
    }
