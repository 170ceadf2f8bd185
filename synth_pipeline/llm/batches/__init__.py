"""Calls bought through a provider's batch API: half the price, an answer within a day.

A batch is a prefetch into the call ledger. The stage that follows finds there what batches have brought, and buys the
rest call by call.
"""

from synth_pipeline.llm.batches.fetching import BATCH_ROLES, Prefetch
from synth_pipeline.llm.batches.lines import require_row
from synth_pipeline.llm.batches.patience import BATCH_PATIENCE, BatchPatience
from synth_pipeline.llm.batches.prices import batch_price_of, find_batch_price

__all__ = [
    "BATCH_PATIENCE",
    "BATCH_ROLES",
    "BatchPatience",
    "Prefetch",
    "batch_price_of",
    "find_batch_price",
    "require_row",
]
