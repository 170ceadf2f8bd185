"""What all batches to one model share: where they are written down, who brings them, and what a person is told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from synth_pipeline.contracts.protocols import Tally
from synth_pipeline.llm.batches.lines import Lines
from synth_pipeline.llm.batches.patience import BatchPatience
from synth_pipeline.llm.batches.remote import Remote
from synth_pipeline.llm.ledger import Batch, Batches, Ledger
from synth_pipeline.llm.receipts import Desk

P = ParamSpec("P")
T = TypeVar("T")
MOST_TOLD = 3
MINUTE_S, HOUR_S = 60, 3600


@dataclass
class Board:
    """What a person is told of the batches under way, as the tally's notice."""

    tally: Tally
    tell: Callable[[], None]
    _told: dict[str, str] = field(default_factory=dict, init=False)

    def say(self, key: str, text: str | None) -> None:
        """Tell of a batch, or tell of it no more."""
        self._told.pop(key, None)
        if text is not None:
            self._told[key] = text
        self.stop("; ".join(list(self._told.values())[-MOST_TOLD:]))

    def stop(self, text: str) -> None:
        """Tell this and no more."""
        self.tally.notice = text or None
        self.tell()


@dataclass(frozen=True)
class Carrier:
    """Takes batches to one model, and brings what comes of them into the ledger.

    Args:
        desk: what the stage's purchases share; its holder attends to the batches.
        ledger: where the answers are kept.
        lines: how calls and answers are written.
        remote: the provider's endpoints.
        patience: how long batches are waited for.
        board: where people are told.
        failed: the calls that batches did not bring; they are not asked for in batches again.
    """

    desk: Desk
    ledger: Ledger
    lines: Lines
    remote: Remote
    patience: BatchPatience
    board: Board
    failed: set[str] = field(default_factory=set)

    @property
    def batches(self) -> Batches:
        """The ledger's."""
        return self.ledger.batches

    def say(self, batch: Batch, text: str) -> None:
        """Tell people of a batch."""
        self.board.say(batch.key, f"batch {batch.key}: {text}")


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what work gives that waits for the disk, while the event loop goes on."""
    return await asyncio.to_thread(work, *args, **kwargs)


def utc_now() -> str:
    """Return the time, as the ledger keeps it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_since(at: str) -> float:
    """Return the seconds since a time as the ledger keeps it."""
    return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()


def ago(at: str) -> str:
    """Return how long ago a time is, for a person."""
    seconds = max(0, int(seconds_since(at)))
    if seconds < MINUTE_S:
        return f"{seconds} s ago"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S} min ago"
    return f"{seconds // HOUR_S} h {seconds % HOUR_S // MINUTE_S} min ago"
