"""The resource that hands completers to assets."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import dagster as dg

from synth_pipeline.components.declaration import Declaration
from synth_pipeline.contracts.protocols import Progress
from synth_pipeline.contracts.spending import Spender
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.offline import Grammar, load_grammar
from synth_pipeline.llm.offline.provider import register_offline_provider
from synth_pipeline.llm.providers import find_provider
from synth_pipeline.llm.routes import prepare_litellm


class Models(dg.ConfigurableResource):  # type: ignore[type-arg]  # it yields itself
    """The edge to models: completers over one call ledger."""

    ledger_url: str

    @contextmanager
    def completers(
        self, declaration: Declaration, names: list[str], progress: Progress, spender: Spender, *, batch: bool = False
    ) -> Iterator[list[LedgeredCompleter]]:
        """Yield one completer for each provider named, all over the same ledger, which is closed on leaving.

        Args:
            declaration: the recipe's.
            names: the providers.
            progress: is shown how far they have come.
            spender: who buys.
            batch: whether they buy through their providers' batch APIs.

        Raises:
            ProviderError: a name is unknown, its key is not in the environment, or its row allows no batches.
            StorageError: the ledger cannot be opened.
        """
        rows = [find_provider(declaration.providers, name) for name in names]
        with closing(Ledger.open(self.ledger_url)) as ledger:
            office = Office(ledger, spender, progress, lambda: _prepare(declaration), batch=batch)
            yield [LedgeredCompleter(row, office) for row in rows]


GRAMMARS: dict[str, Grammar] = {}  # of this process's recipes: LiteLLM holds one handler for all of them


def _prepare(declaration: Declaration) -> None:
    """Import LiteLLM and teach it the offline voices with the recipe's grammar."""
    prepare_litellm()
    if declaration.grammar_file.exists():
        GRAMMARS[declaration.name] = load_grammar(declaration.grammar_file)
    register_offline_provider(GRAMMARS)
