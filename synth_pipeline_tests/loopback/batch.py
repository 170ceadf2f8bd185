"""OpenAI's batch object: how far a batch has come, and what came out."""

import time
from dataclasses import dataclass, field

from synth_pipeline_tests.loopback.faults import Json

DAY_S = 24 * 60 * 60
STAMPS = (
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


@dataclass
class Batch:
    """One batch, how far it has come, and what came out."""

    id: str
    endpoint: str
    input_file_id: str
    metadata: dict[str, str] | None
    created_at: int
    status: str = "validating"
    model: str | None = None
    stamps: dict[str, int] = field(default_factory=dict)
    errors: list[Json] = field(default_factory=list)
    output_file_id: str | None = None
    error_file_id: str | None = None
    counts: dict[str, int] = field(default_factory=lambda: {"total": 0, "completed": 0, "failed": 0})
    usage: dict[str, int] = field(default_factory=lambda: {"input_tokens": 0, "output_tokens": 0})

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has asked for its end."""
        return self.status == "cancelling"

    def move(self, status: str) -> None:
        """Go to a status, now."""
        self.status = status
        self.stamps[f"{status}_at"] = int(time.time())

    def go_on(self, status: str) -> None:
        """Go to a status, now, where nobody has cancelled it."""
        if not self.is_cancelled:
            self.move(status)

    def start(self, n_lines: int, model: str) -> None:
        """Its validation is passed."""
        self.counts["total"], self.model = n_lines, model
        self.go_on("in_progress")

    def fail(self, error: Json) -> None:
        """Its validation has failed."""
        self.errors.append(error)
        self.move("failed")

    def end(self, status: str) -> None:
        """It ends: cancelled where somebody has asked for it, else with this status."""
        self.move("cancelled" if self.is_cancelled else status)

    def count(self, *, done: bool) -> None:
        """One of its lines has ended."""
        self.counts["completed" if done else "failed"] += 1

    def bill(self, tokens_in: int, tokens_out: int) -> None:
        """One of its lines has been answered."""
        self.usage["input_tokens"] += tokens_in
        self.usage["output_tokens"] += tokens_out

    def show(self) -> Json:
        """Return OpenAI's batch object."""
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at,
            **{name: self.stamps.get(name) for name in STAMPS},
            "expires_at": self.created_at + DAY_S,
            "request_counts": dict(self.counts),
            "usage": {
                **self.usage,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": sum(self.usage.values()),
            },
            "metadata": self.metadata,
        }
