"""What a child process is told to do, and what it tells; both go as lines of JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

Figures = dict[str, Any]
FLOOR, PEER, OURS = "bare", "acompletion", "ours"
CLIENTS = (FLOOR, PEER, OURS)
MODEL = "bench"
LITELLM_MODEL = f"hosted_vllm/{MODEL}"
USD_PER_MTOK_IN, USD_PER_MTOK_OUT = 2.0, 8.0


@dataclass(frozen=True)
class Job:
    """Calls that a client is to make.

    Args:
        name: names the files that the job writes.
        base_url: where the server is; ends in /v1.
        folder: where files are.
        n: planned records.
        concurrency: calls in flight, at most.
        seed: the plan's; another seed plans other records.
        retries: whether the bare client asks again after a fault, and checks that the content is JSON.
        ledger: names our call ledger's file; empty: one of the job's own.
        cap_usd: what the recipe may cost; None: calls are free.
        weigh: whether the frame's true size is measured afterwards.
        profile: whether a profile of the job is written.
    """

    name: str
    base_url: str
    folder: str
    n: int
    concurrency: int
    seed: int = 0
    retries: bool = False
    ledger: str = ""
    cap_usd: float | None = None
    weigh: bool = False
    profile: bool = False

    @property
    def plan_file(self) -> Path:
        """The sampling plan."""
        return Path(self.folder, f"plan-{self.n}-{self.seed}.parquet")

    @property
    def questions_file(self) -> Path:
        """The bodies of the requests, one a line, as the peers send them."""
        return Path(self.folder, f"questions-{self.n}-{self.seed}.jsonl")

    @property
    def content_file(self) -> Path:
        """What the server answers."""
        return Path(self.folder, "content.json")

    @property
    def answers_file(self) -> Path:
        """Where the peers write."""
        return Path(self.folder, f"{self.name}.jsonl")

    @property
    def ledger_file(self) -> Path:
        """Our call ledger."""
        return Path(self.folder, f"{self.ledger or self.name}.sqlite")

    @property
    def profile_file(self) -> Path:
        """Where a profile is written."""
        return Path(self.folder, f"{self.name}.prof")

    def to_json(self) -> str:
        """Return it as a line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return the job of a line."""
        return cls(**json.loads(line))


class Work(Protocol):
    """One job of a client: what comes before the clock, between its two readings, and after it."""

    def __init__(self, job: Job) -> None:
        """Make all that is not measured: the plan, the prompts."""

    def do(self) -> None:
        """Make the calls; this is measured."""

    def tell(self) -> Figures:
        """Return what came of them."""
