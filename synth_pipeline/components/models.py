"""The resource that hands completers to assets, and the progress that they report to."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol

import dagster as dg

from synth_pipeline.components.declaration import Declaration
from synth_pipeline.contracts.protocols import Progress
from synth_pipeline.llm.asking import prepare_litellm
from synth_pipeline.llm.client import LedgeredCompleter
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.offline import Grammar, load_grammar
from synth_pipeline.llm.offline.provider import register_offline_provider
from synth_pipeline.llm.providers import find_provider

LOG_EVERY_S = 5.0


class Reporter(Protocol):
    """Makes the progress that a stage reports to."""

    def for_log(self, say: Callable[[str], None]) -> Progress:
        """Return a progress; `say` writes a line into the run's log."""


class LogProgress:
    """Writes a line every few seconds: done of planned, rate, dollars, time left."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._total, self._done, self._label = 0, 0, ""
        self._started = self._spoken = time.monotonic()

    def start(self, total: int, label: str) -> None:
        """Begin."""
        self._total, self._done, self._label = total, 0, label
        self._started = self._spoken = time.monotonic()

    def advance(self, *, cost_usd: float, n_replayed: int) -> None:
        """Count one, and write a line if the last is old enough."""
        self._done += 1
        now = time.monotonic()
        if now - self._spoken < LOG_EVERY_S and self._done < self._total:
            return
        self._spoken = now
        rate = self._done / max(now - self._started, 1e-9)
        left = (self._total - self._done) / rate
        spent = f"${cost_usd:.4f} spent now, {n_replayed} found in the ledger"
        self._say(f"{self._label}: {self._done}/{self._total}, {rate:.1f}/s, {left:.0f} s left, {spent}")

    def finish(self) -> None:
        """Nothing to close."""


class LogReporter(dg.ConfigurableResource):  # type: ignore[type-arg]  # it yields itself
    """Reports progress as lines in the run's log."""

    def for_log(self, say: Callable[[str], None]) -> Progress:
        """Return a progress that writes to the log."""
        return LogProgress(say)


class Models(dg.ConfigurableResource):  # type: ignore[type-arg]  # it yields itself
    """The edge to models: completers over one call ledger."""

    ledger_url: str

    @contextmanager
    def completers(
        self, declaration: Declaration, names: list[str], progress: Progress
    ) -> Iterator[list[LedgeredCompleter]]:
        """Yield one completer for each provider named, all over the same ledger, which is closed on leaving.

        Raises:
            ProviderError: a name is unknown, or its key is not in the environment.
            StorageError: the ledger cannot be opened.
        """
        rows = [find_provider(declaration.providers, name) for name in names]
        with closing(Ledger.open(self.ledger_url)) as ledger:
            yield [LedgeredCompleter(row, ledger, progress, lambda: _prepare(declaration)) for row in rows]


GRAMMARS: dict[str, Grammar] = {}  # of this process's recipes: LiteLLM holds one handler for all of them


def _prepare(declaration: Declaration) -> None:
    """Import LiteLLM and teach it the offline voices with the recipe's grammar."""
    prepare_litellm()
    if declaration.grammar_file.exists():
        GRAMMARS[declaration.name] = load_grammar(declaration.grammar_file)
    register_offline_provider(GRAMMARS)
