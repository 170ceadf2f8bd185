"""How tests buy through batches: a row at half the price, a patience for tests, and what the server and ledger saw."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from synth_pipeline.contracts.protocols import CallRequest, CallResult, Progress, Tally
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.contracts.spending import Spender
from synth_pipeline.llm.batches import BatchPatience
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import HASTY, LOCAL, SPENDER, CountingProgress, Desk

QUICK = BatchPatience(first_s=0.02, longest_s=0.1, settle_s=0.2, give_up_after_s=30)
MODEL = "hosted_vllm/llama3.1"
PRICES = {
    "usd_per_mtok_in": 2.0,
    "usd_per_mtok_out": 8.0,
    "batch_usd_per_mtok_in": 1.0,
    "batch_usd_per_mtok_out": 4.0,
}
ROW: dict[str, Any] = {"batch": True, "free": False, "prices": {MODEL: PRICES}}


@dataclass
class Hearing(CountingProgress):
    """Keeps the notices, and does as told at each new one."""

    heard: list[str] = field(default_factory=list)
    at: Callable[[str], object] = lambda _: None

    def update(self, tally: Tally) -> None:
        super().update(tally)
        notice = tally.notice or ""
        if not self.heard or self.heard[-1] != notice:
            self.heard.append(notice)
            self.at(notice)


def make_completer(
    ledger: Ledger, progress: Progress | None = None, spender: Spender = SPENDER, *, by_batch: bool = True, **row: Any
) -> LedgeredCompleter:
    """Return a completer that buys through batches, as a new run has one."""
    provider = Provider.model_validate({**LOCAL.model_dump(), **ROW, **row})
    shown = progress or CountingProgress()
    return LedgeredCompleter(
        provider, Office(ledger, spender, shown, patience=HASTY, batch=by_batch, batch_patience=QUICK)
    )


def buy(
    ledger: Ledger,
    requests: Sequence[CallRequest],
    progress: Progress | None = None,
    spender: Spender = SPENDER,
    **row: Any,
) -> list[CallResult]:
    """Return what a stage gives that buys through batches."""
    return list(make_completer(ledger, progress, spender, **row)(requests, len(requests)))


def when(words: str, act: Callable[[], object]) -> Hearing:
    """Return a progress that does something once, at the first notice that has these words."""
    done: list[str] = []

    def look(notice: str) -> None:
        if words in notice and not done:
            done.append(notice)
            act()

    return Hearing(at=look)


def wait_until(reached: Callable[[], object]) -> None:
    """Return when `reached`; a process that starts on a busy machine takes its time."""
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def n_asked(desk: Desk, path: str) -> int:
    """Return how often the server was asked this."""
    return int(desk.server.stats()["paths"].get(path, 0))


def rows(desk: Desk, query: str) -> list[tuple[Any, ...]]:
    """Return what a query of the ledger's file gives."""
    with closing(sqlite3.connect(desk.file)) as connection:
        return connection.execute(query).fetchall()


def statuses(desk: Desk) -> list[str]:
    """Return how the batches stand, the oldest first."""
    return [status for (status,) in rows(desk, "SELECT status FROM batches ORDER BY rowid")]


def assert_settled(desk: Desk) -> None:
    """Nothing is held any more, and what was spent is what the rows say."""
    assert rows(desk, "SELECT * FROM claims") == []
    assert rows(desk, "SELECT * FROM batch_calls") == []
    assert rows(desk, "SELECT * FROM batches WHERE finished_at IS NULL") == []
    for balance in desk.ledger.balances():
        assert (balance.reserved.nano_usd, balance.reserved.tokens) == (0, 0)
        assert balance.spent == balance.spent_in_rows


def assert_bought_once(desk: Desk, n: int) -> None:
    """The server has worked on each of `n` calls once, all in one batch, and none by itself."""
    stats = desk.server.stats()
    assert (stats["batch_requests"], stats["requests"]) == (n, 0)
    assert (stats["asked_again"], stats["answered_more_than_once"]) == (0, 0)
    assert desk.n_kept == n
    assert_settled(desk)


def values(results: Sequence[CallResult]) -> Iterator[Any]:
    """Yield what a record is made of: all but what buying it cost, and when it came."""
    for result in results:
        kept = {
            name: value
            for name, value in result.provenance.items()
            if name not in {"cost_usd", "completed_at", "latency_s"}
        }
        yield result.sample, result.state, result.reason, result.value, kept
