"""How tests ask: a row for the loopback server, requests, and a desk with a ledger of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import synth_pipeline
from synth_pipeline.contracts.protocols import CallRequest, CallResult, Tally
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.contracts.spending import Cap, Scope, Spender
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.limits import Patience
from synth_pipeline_tests.loopback import RunningServer
from synth_pipeline_tests.scenario import RECIPE, TEMPLATES, planned_rows

SOAK = int(os.environ.get("SYNTH_SOAK", "1"))
ROOT = Path(synth_pipeline.__file__).parents[1]
CANARY = "sk-canary-86420"
RECORD = RECIPE.record.record_class("parcels_record")
HASTY = Patience(max_tries=6, first_wait_s=0.001, longest_wait_s=0.01, max_turned_away=6, turned_away_for_s=1)
SPENDER = Spender("run-1", "local|0", "parcels", (Scope("recipe:parcels", Cap()),))
LOCAL = Provider(
    name="local",
    family="local",
    models={"default": "hosted_vllm/llama3.1"},
    free=True,
    api_base_env="LOCAL_LLM_BASE_URL",
    api_key_env="LOCAL_LLM_KEY",
    max_concurrency=8,
)
DEAR: dict[str, Any] = {  # a dollar a million tokens in, ten out
    "free": False,
    "prices": {"hosted_vllm/llama3.1": {"usd_per_mtok_in": 1.0, "usd_per_mtok_out": 10.0}},
}
ROUTES = ("hosted_vllm/llama3.1", "openai/gpt-4.1-mini")


@dataclass
class CountingProgress:
    """Counts what it is told."""

    total: int = 0
    n_updates: int = 0
    ended: int = 0

    def start(self, label: str, tally: Tally) -> None:
        assert label == "local: write"
        self.total = tally.total

    def update(self, tally: Tally) -> None:
        assert tally.done <= tally.total
        self.n_updates += 1

    def finish(self, tally: Tally) -> None:
        self.ended += 1


@dataclass(frozen=True)
class Desk:
    """Where a test asks: the server, the ledger, and a new completer each time, as a new run has."""

    server: RunningServer
    ledger: Ledger
    file: Path

    def completer(self, *, patience: Patience = HASTY, spender: Spender = SPENDER, **row: Any) -> LedgeredCompleter:
        provider = Provider.model_validate({**LOCAL.model_dump(), **row})
        return LedgeredCompleter(provider, Office(self.ledger, spender, CountingProgress(), patience=patience))

    def ask(self, *requests: CallRequest, **row: Any) -> list[CallResult]:
        return list(self.completer(**row)(requests, len(requests)))

    @property
    def n_requests(self) -> int:
        return int(self.server.stats()["requests"])

    @property
    def n_kept(self) -> int:
        return sum(row["calls"] for row in self.ledger.spending())


def request(sample: str = "p0", **changes: Any) -> CallRequest:
    row = planned_rows()[0]
    given = {name: row[name] for name in ("city", "weight_g", "came_on", "sent_on", "price")}
    made = CallRequest(
        role="write",
        sample=sample,
        messages=TEMPLATES["write"].render({**row, "given": given}),
        record_class=RECORD,
        schema_name="parcels__write",
        template=TEMPLATES["write"],
        temperature=0.5,
        max_tokens=400,
        seed=7,
    )
    return replace(made, **changes)


def requests_for(n: int) -> list[CallRequest]:
    return [request(f"p{number}", seed=number) for number in range(n)]


def states(results: list[CallResult]) -> list[str]:
    return [result.state for result in results]


def capped(**cap: Any) -> Spender:
    """Return a spender whose recipe has a cap."""
    return replace(SPENDER, scopes=(Scope("recipe:parcels", Cap(**cap)),))


def start(code: str, desk: Desk, *options: str) -> subprocess.Popen[str]:
    """Start Python on `code`, with the ledger's URL as its first argument."""
    command = [sys.executable, *options, "-c", code, f"sqlite:///{desk.file}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
