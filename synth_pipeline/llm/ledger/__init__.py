"""The call ledger: what was bought, who is buying, and what is spent; durable, and shared by all processes."""

from synth_pipeline.llm.ledger.audit import Balance
from synth_pipeline.llm.ledger.batches import Batch, Batches, describe_batch
from synth_pipeline.llm.ledger.changes import (
    Admission,
    Admit,
    Admitted,
    Bought,
    Change,
    Claimed,
    Fail,
    Keep,
    Note,
    Outcome,
    OverCap,
    Pace,
    Paced,
    Release,
)
from synth_pipeline.llm.ledger.entries import CallStatus, FailedTry, LedgerEntry, TryStatus
from synth_pipeline.llm.ledger.holders import Holder
from synth_pipeline.llm.ledger.queue import LedgerQueue
from synth_pipeline.llm.ledger.store import Ledger

__all__ = [
    "Admission",
    "Admit",
    "Admitted",
    "Balance",
    "Batch",
    "Batches",
    "Bought",
    "CallStatus",
    "Change",
    "Claimed",
    "Fail",
    "FailedTry",
    "Holder",
    "Keep",
    "Ledger",
    "LedgerEntry",
    "LedgerQueue",
    "Note",
    "Outcome",
    "OverCap",
    "Pace",
    "Paced",
    "Release",
    "TryStatus",
    "describe_batch",
]
