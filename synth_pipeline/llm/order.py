"""Results that come in any order and leave in the order in which they were asked for, with a bounded number between."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class InOrder(Generic[T]):
    """Numbered results on their way out; lives in one event loop.

    Args:
        read_ahead: numbers given out beyond the first that has not left.
        chunk: results that leave together, fewer only at the end.
    """

    def __init__(self, read_ahead: int, chunk: int) -> None:
        self._read_ahead, self._chunk = max(read_ahead, chunk), chunk
        self._results: dict[int, T] = {}
        self._n_given = self._n_left = self._n_ready = 0
        self._ended = False
        self._error: BaseException | None = None
        self._room, self._news = asyncio.Event(), asyncio.Event()

    async def next_number(self) -> int:
        """Return the number of the next result, as soon as there is room for it."""
        while self._n_given - self._n_left >= self._read_ahead:
            self._room.clear()
            await self._room.wait()
        self._n_given += 1
        return self._n_given - 1

    def put(self, number: int, result: T) -> None:
        """Take a result in."""
        self._results[number] = result
        while self._n_left + self._n_ready in self._results:
            self._n_ready += 1
        if self._n_ready >= self._chunk or self._is_last:
            self._news.set()

    def end(self) -> None:
        """No more numbers will be asked for."""
        self._ended = True
        if self._is_last:
            self._news.set()

    def fail(self, error: BaseException) -> None:
        """Let the next `take` raise; the first error is the one that is told, an interrupt before any other."""
        if self._error is None or (isinstance(self._error, Exception) and not isinstance(error, Exception)):
            self._error = error
        self._news.set()

    async def take(self) -> list[T]:
        """Return the next results in order, or nothing where all have left.

        Raises:
            BaseException: what `fail` was given.
        """
        while not (self._error or self._n_ready >= self._chunk or self._is_last):
            self._news.clear()
            await self._news.wait()
        if self._error:
            raise self._error
        n = min(self._n_ready, self._chunk)
        taken = [self._results.pop(number) for number in range(self._n_left, self._n_left + n)]
        self._n_left += n
        self._n_ready -= n
        self._room.set()
        return taken

    @property
    def _is_last(self) -> bool:
        return self._ended and self._n_left + self._n_ready == self._n_given
