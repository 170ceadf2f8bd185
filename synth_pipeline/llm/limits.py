"""The pace that a provider allows: requests and tokens a minute, spread evenly, so that no burst is turned away."""

import asyncio
import time

from synth_pipeline.contracts.protocols import CallRequest, Messages

MINUTE_S = 60.0
CHARACTERS_A_TOKEN = 4


class Pace:
    """Lets calls of one process start no faster than a provider's limits.

    Args:
        rpm: requests a minute; None: no limit.
        tpm: tokens a minute, prompt and longest possible completion together; None: no limit.
    """

    def __init__(self, rpm: int | None, tpm: int | None) -> None:
        self._rpm, self._tpm = rpm, tpm
        self._next_at = 0.0

    async def wait(self, tokens: int) -> None:
        """Return when a call of `tokens` may start."""
        gap = max(MINUTE_S / self._rpm if self._rpm else 0.0, MINUTE_S * tokens / self._tpm if self._tpm else 0.0)
        now = time.monotonic()
        start = max(now, self._next_at)
        self._next_at = start + gap
        if start > now:
            await asyncio.sleep(start - now)


def worst_case_tokens(request: CallRequest, messages: Messages) -> int:
    """Return the most tokens that a call may use: its prompt, estimated, and the longest completion it asks for."""
    return sum(len(message["content"]) for message in messages) // CHARACTERS_A_TOKEN + request.max_tokens
