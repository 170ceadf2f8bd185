"""How far a stage has come, in words: the facts of a tally, its speed of late, and lines of them in a run's log."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import dagster as dg

from synth_pipeline.components.figures import amount, dollars, duration, rate
from synth_pipeline.contracts.protocols import Progress, Tally

LOG_EVERY_S, SAMPLE_EVERY_S = 5.0, 0.25
STILL_EVERY_S = 55.0  # more, where no call has ended since the last line
WINDOW_S = 30.0  # chosen: long enough for slow answers, short enough to show a provider that slows down
NEVER = math.inf


class Reporter(Protocol):
    """Makes the progress that a stage reports to."""

    def for_log(self, say: Callable[[str], None]) -> Progress:
        """Return a progress; `say` writes a line into the run's log."""


@dataclass(frozen=True)
class Speed:
    """How fast a stage goes.

    Args:
        elapsed_s: seconds since it began.
        per_s: calls that ended a second, of late.
        left_s: seconds until all have ended; None where nothing tells.
    """

    elapsed_s: float
    per_s: float
    left_s: float | None = None


class _Sample(NamedTuple):
    at: float
    done: int
    bought: float


class Speedometer:
    """Reads a stage's speed off its tally: what the last 30 seconds brought.

    What the ledger answers takes no time, so once anything is bought the time left is reckoned from bought calls alone.

    Args:
        tally: as it stands when the stage begins.
        now: when that is, in seconds.
    """

    def __init__(self, tally: Tally, now: float) -> None:
        self._began = _sample(tally, now)
        self._samples = deque([self._began])

    def read(self, tally: Tally, now: float) -> Speed:
        """Return the speed at `now`, and remember where the tally stood."""
        latest = _sample(tally, now)
        while len(self._samples) > 1 and self._samples[1].at <= now - WINDOW_S:
            self._samples.popleft()
        first, span = self._samples[0], max(now - self._samples[0].at, 1e-9)
        self._samples.append(latest)
        per_s = (latest.done - first.done) / span
        pace = (latest.bought - first.bought) / span if tally.n_bought else per_s
        left = tally.total - tally.done
        left_s = 0.0 if left <= 0 else left / pace if pace > 0 else None
        return Speed(now - self._began.at, per_s, left_s)

    def mean(self, tally: Tally, now: float) -> Speed:
        """Return the speed over the whole stage."""
        elapsed = now - self._began.at
        return Speed(elapsed, (tally.done - self._began.done) / max(elapsed, 1e-9))


def _sample(tally: Tally, now: float) -> _Sample:
    return _Sample(now, tally.done, calls_bought(tally))


def calls_bought(tally: Tally) -> float:
    """Return how many of the calls that were answered were bought now: by the share of their completions that were."""
    answered = tally.done - tally.states["failed"] - tally.states["out_of_budget"]
    completions = tally.n_bought + tally.n_replayed
    return max(answered, 0) * tally.n_bought / completions if completions else 0.0


def projected_usd(tally: Tally) -> float | None:
    """Return what the whole stage costs if each call that is left must be bought; None before the first is bought."""
    bought = calls_bought(tally)
    if not bought:
        return None
    return tally.cost_usd * (1 + max(tally.total - tally.done, 0) / bought)


def describe(tally: Tally, speed: Speed) -> str:
    """Return a running stage in one line: done of planned, speed, time left, then its facts."""
    left = "time left unknown" if speed.left_s is None else f"{duration(speed.left_s)} left"
    return "; ".join((_done(tally), rate(speed.per_s), left, *facts(tally)))


def describe_end(tally: Tally, speed: Speed) -> str:
    """Return a stage that has ended, or was stopped, in one line."""
    return "; ".join((f"{_done(tally)} in {duration(speed.elapsed_s)}", rate(speed.per_s), *facts(tally)))


def facts(tally: Tally) -> tuple[str, ...]:
    """Return what else a tally says, each fact by itself; what did not happen is left out."""
    not_ok = {state: n for state, n in dict(tally.states).items() if state != "ok" and n}
    told = (
        f"{tally.in_flight} in flight" if tally.in_flight else "",
        _money(tally) if tally.n_bought else "",
        f"{amount(tally.tokens_in)} tokens in, {amount(tally.tokens_out)} out" if tally.n_bought else "",
        f"{tally.n_replayed:,} from the ledger" if tally.n_replayed else "",
        _listed("not ok", not_ok),
        _listed("retries", dict(tally.retries)),  # a copy: another thread may count while this one reads
        tally.notice or "",
    )
    return tuple(fact for fact in told if fact)


def _done(tally: Tally) -> str:
    share = f" ({100 * tally.done // tally.total} %)" if tally.total else ""
    return f"{tally.done:,}/{tally.total:,}{share}"


def _money(tally: Tally) -> str:
    whole = projected_usd(tally)
    more = f", about {dollars(whole)} in all" if whole and tally.done < tally.total else ""
    return f"{dollars(tally.cost_usd)} spent{more}"


def _listed(name: str, counted: dict[str, int]) -> str:
    most_first = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    return f"{name}: " + ", ".join(f"{reason} {n:,}" for reason, n in most_first) if counted else ""


class LogProgress:
    """Writes a line at the start, every five seconds (once a minute where no call has ended) and at the end.

    Args:
        say: writes a line.
        clock: seconds, ever growing.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._label, self._meter = "", Speedometer(Tally(), 0.0)
        self._next_sample = self._next_line = NEVER
        self._said_done = -1

    def start(self, label: str, tally: Tally) -> None:
        """Say how many calls there are."""
        now = self._clock()
        self._label, self._meter = label, Speedometer(tally, now)
        self._next_sample, self._next_line = now + SAMPLE_EVERY_S, now + LOG_EVERY_S
        if tally.total:
            self._say(f"{label}: {tally.total:,} calls")

    def update(self, tally: Tally) -> None:
        """Write a line if the last is old enough."""
        now = self._clock()
        if now < self._next_sample:
            return
        self._next_sample = now + SAMPLE_EVERY_S
        speed = self._meter.read(tally, now)
        if now >= self._next_line and (tally.done != self._said_done or now >= self._next_line + STILL_EVERY_S):
            self._next_line, self._said_done = now + LOG_EVERY_S, tally.done
            self._say(f"{self._label}: {describe(tally, speed)}")

    def finish(self, tally: Tally) -> None:
        """Say what it came to."""
        self._next_sample = NEVER
        if tally.total:
            self._say(f"{self._label}: {describe_end(tally, self._meter.mean(tally, self._clock()))}")


class LogReporter(dg.ConfigurableResource):  # type: ignore[type-arg]  # it yields itself
    """Reports progress as lines in the run's log."""

    def for_log(self, say: Callable[[str], None]) -> Progress:
        """Return a progress that writes to the log."""
        return LogProgress(say)
