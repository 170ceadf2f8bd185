"""How often a provider is asked how far a batch has come, and how long it may be out of reach meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from synth_pipeline.contracts.errors import ProviderDown, TransientCallError

T = TypeVar("T")


@dataclass(frozen=True)
class BatchPatience:
    """How long a batch is waited for.

    Args:
        first_s: seconds before the provider is asked again for the first time; doubled each time.
        longest_s: most seconds between two questions.
        settle_s: seconds after which a provider surely lists a batch that it has made, and names its files.
        give_up_after_s: seconds for which the provider may be out of reach before the stage ends; the batch goes on.
    """

    first_s: float = 5.0
    longest_s: float = 60.0
    settle_s: float = 30.0
    give_up_after_s: float = 3600.0

    def waits(self) -> Iterator[float]:
        """Yield the seconds to wait, for ever."""
        wait_s = self.first_s
        while True:
            yield wait_s
            wait_s = min(wait_s * 2, self.longest_s)


BATCH_PATIENCE = BatchPatience()


class Trial:
    """The tries of one question to a provider.

    Args:
        patience: how long they go on.
    """

    def __init__(self, patience: BatchPatience) -> None:
        self._patience, self._waits, self._began = patience, patience.waits(), time.monotonic()

    async def wait(self, error: TransientCallError) -> None:
        """Return when the question may be asked again.

        Raises:
            ProviderDown: the provider has been out of reach for too long.
        """
        if time.monotonic() - self._began >= self._patience.give_up_after_s:
            raise ProviderDown(
                f"out of reach for {self._patience.give_up_after_s:g} s ({error.what})",
                where=error.where,
                fix="run again with --batch: what is in a batch goes on at the provider, and is collected then",
            ) from error
        await asyncio.sleep(max(next(self._waits), error.retry_after_s or 0.0))


async def keep_asking(ask: Callable[[], Awaitable[T]], patience: BatchPatience) -> T:
    """Return what a question brings that may be asked any number of times.

    Raises:
        PermanentCallError: the provider refuses it.
        ProviderDown: the provider has been out of reach for too long.
    """
    trial = Trial(patience)
    while True:
        try:
            return await ask()
        except TransientCallError as error:
            await trial.wait(error)
