"""The dials in force and what was counted under them: who is let in, who meets a fault, how long an answer takes."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline_tests.loopback.dials import MINUTE_S, Dials
from synth_pipeline_tests.loopback.faults import FAULTS
from synth_pipeline_tests.loopback.stats import Stats


@dataclass
class Window:
    """At most so much in any stretch of `window_s` seconds; the clock is the monotonic one."""

    per_minute: float
    window_s: float
    _taken: deque[tuple[float, float]] = field(default_factory=deque)
    _sum: float = 0.0

    @property
    def limit(self) -> int:
        """The most that the window holds; at least 1."""
        return max(1, int(self.per_minute * self.window_s / MINUTE_S))

    def has_room(self, amount: float) -> bool:
        """Whether `amount` fits now."""
        self._forget(time.monotonic())
        return self._sum + amount <= self.limit

    def take(self, amount: float) -> None:
        """Put `amount` into the window now."""
        self._taken.append((time.monotonic(), amount))
        self._sum += amount

    def left(self) -> int:
        """Return how much still fits."""
        self._forget(time.monotonic())
        return max(0, int(self.limit - self._sum))

    def reset_s(self) -> float:
        """Return in how many seconds the window is empty."""
        return max(0.0, self._taken[-1][0] + self.window_s - time.monotonic()) if self._taken else 0.0

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] <= now - self.window_s:
            self._sum -= self._taken.popleft()[1]


class Session:
    """The dials in force, and the statistics since they were set.

    Args:
        dials: how the server behaves.
    """

    def __init__(self, dials: Dials) -> None:
        self.dials, self.stats = dials, Stats()
        self._pending, self._store_pending = Counter(dials.faults), Counter(dials.store_faults)
        rates = {"requests": dials.requests_per_minute, "tokens": dials.tokens_per_minute}
        self._windows = {name: Window(rate, dials.window_s) for name, rate in rates.items() if rate is not None}

    def turned(self, given: Mapping[str, Any]) -> "Session":
        """Return the session that goes on with the dials in `given` set: it counts on, and what they leave is kept."""
        turned = Session(self.dials.turned(given))
        turned.stats = self.stats
        if "faults" not in given:
            turned._pending = self._pending
        if "store_faults" not in given:
            turned._store_pending = self._store_pending
        if not {"requests_per_minute", "tokens_per_minute", "window_s"} & set(given):
            turned._windows = self._windows
        return turned

    async def pause(self, number: int) -> None:
        """Wait as long as the request of that number takes."""
        await asyncio.sleep(self.dials.latency_of(number))

    def admits(self, tokens: int) -> bool:
        """Whether a request is let in now; it then counts towards the windows."""
        amounts = {"requests": 1, "tokens": tokens}
        full = self.dials.admit is not None and self.stats.in_flight >= self.dials.admit
        if full or not all(window.has_room(amounts[name]) for name, window in self._windows.items()):
            return False
        for name, window in self._windows.items():
            window.take(amounts[name])
        return True

    def rate_headers(self) -> dict[str, str]:
        """Return what is left of the windows, as OpenAI says it; nothing where there are none."""
        headers = {}
        for name, window in self._windows.items():
            headers[f"x-ratelimit-limit-{name}"] = str(window.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(window.left())
            headers[f"x-ratelimit-reset-{name}"] = duration_text(window.reset_s())
        return headers

    def next_fault(self, number: int, possible: Container[str] = FAULTS) -> str | None:
        """Return the fault that the request of that number meets, if any; those not possible for it stay pending."""
        fault = _take(self._pending, possible) or self._draw_fault(number)
        return self._counted(fault) if fault is not None and fault in possible else None

    def next_store_fault(self) -> str | None:
        """Return the fault that a request to files, batches or models meets, if any."""
        fault = _take(self._store_pending, FAULTS)
        return None if fault is None else self._counted(fault)

    def _draw_fault(self, number: int) -> str | None:
        if not self.dials.fault_shares:
            return None
        drawn = rng_for("loopback-fault", self.dials.seed, number).random()
        for fault, share in self.dials.fault_shares.items():
            drawn -= share
            if drawn < 0:
                return fault
        return None

    def _counted(self, fault: str) -> str:
        self.stats.faults[fault] += 1
        return fault


def duration_text(seconds: float) -> str:
    """Return a duration as OpenAI's headers write it: `17ms`, `8.64s`, `6m0s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:.0f}s" if minutes else f"{rest:.2f}".rstrip("0").rstrip(".") + "s"


def _take(pending: Counter[str], possible: Container[str]) -> str | None:
    fault = next((name for name, n in pending.items() if n > 0 and name in possible), None)
    if fault is not None:
        pending[fault] -= 1
    return fault
