"""LiteLLM's part of an event loop: one loop at a time has it, and what is open in it is closed at the end."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

from synth_pipeline.llm.routes.preparing import prepare_litellm

LOOK_AGAIN_S = 0.02


class OneLoop:
    """Lets one event loop at a time call LiteLLM, whose logging worker two loops at once would tear apart.

    Calls of the same loop do not wait for each other.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inside: set[object] = set()

    async def enter(self, who: object) -> None:
        """Return when `who` may call LiteLLM from the running loop."""
        while not self._admits(who):  # noqa: ASYNC110  # no event of this loop can be set from another's thread
            await asyncio.sleep(LOOK_AGAIN_S)

    def _admits(self, who: object) -> bool:
        loop = asyncio.get_running_loop()
        with self._guard:
            if self._loop is None or self._loop.is_closed():
                self._loop, self._inside = loop, set()
            if self._loop is loop:
                self._inside.add(who)
            return self._loop is loop

    async def leave(self, who: object) -> None:
        """Let go; the last one of the loop closes what LiteLLM opened in it."""
        with self._guard:
            if who not in self._inside:
                return
            last = self._inside == {who}
        try:
            if last:
                await close_connections()
        finally:
            with self._guard:
                self._inside.discard(who)
                if not self._inside:
                    self._loop = None


ONE_LOOP = OneLoop()


async def close_connections() -> None:
    """Close what LiteLLM opened in this event loop and would leave to the garbage collector.

    It keeps clients by the id of their loop, which a later loop may get again, and a worker that logs behind the calls.
    """
    with suppress(ImportError, AttributeError):  # a LiteLLM that keeps neither has nothing to close
        from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

        await GLOBAL_LOGGING_WORKER.flush()
        await GLOBAL_LOGGING_WORKER.stop()
    cache: Any = getattr(prepare_litellm(), "in_memory_llm_clients_cache", None)
    mine = f"-{id(asyncio.get_running_loop())}"
    for key in [key for key in getattr(cache, "cache_dict", ()) if key.endswith(mine)]:
        client = cache.cache_dict[key]
        cache.delete_cache(key)
        await client.close()
