"""Simulated providers that admit so much and no more, and a client that asks them through a gate."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from synth_pipeline.contracts.errors import TransientCallError
from synth_pipeline.llm.limits import Gate, Patience
from synth_pipeline_tests.llm.limits.virtual_time import now


def full(retry_after_s: float | None) -> TransientCallError:
    return TransientCallError("slow down", fault="rate_limit", http_status=429, retry_after_s=retry_after_s)


@dataclass
class Network:
    """What lies between: seconds that a request and its answer take together on the way, and that answering takes."""

    latency_s: float = 0.2
    round_trip_s: float = 0.002
    spread: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def way_s(self) -> float:
        """Return the seconds of one way: half a round trip, more or less."""
        return self.round_trip_s / 2 * self.rng.uniform(0.5, 1.5)

    def answer_s(self) -> float:
        """Return the seconds that one answer takes: log-normal with this spread, and its mean."""
        if not self.spread:
            return self.latency_s
        return self.latency_s * self.rng.lognormvariate(-(self.spread**2) / 2, self.spread)


class Server(Protocol):
    """Admits or turns away."""

    def admit(self) -> None:
        """A request arrives.

        Raises:
            TransientCallError: it is turned away.
        """

    def release(self) -> None:
        """A request has been answered."""


@dataclass
class Slots:
    """Admits `capacity` at a time; what is turned away is asked to come back in `retry_after_s`."""

    capacity: Callable[[float], int] | int
    retry_after_s: float | None = 1.0
    busy: int = 0

    def admit(self) -> None:
        capacity = self.capacity if isinstance(self.capacity, int) else self.capacity(now())
        if self.busy >= capacity:
            raise full(self.retry_after_s)
        self.busy += 1

    def release(self) -> None:
        self.busy -= 1


@dataclass
class Bucket:
    """Admits `rate` requests a second, and `burst` at once; `tells`: how long until there is room is said."""

    rate: float
    burst: float
    tells: bool = False
    held: float = -1.0
    at: float = 0.0

    def admit(self) -> None:
        self.held = self.burst if self.held < 0 else min(self.burst, self.held + (now() - self.at) * self.rate)
        self.at = now()
        if self.held < 1:
            raise full((1 - self.held) / self.rate if self.tells else None)
        self.held -= 1

    def release(self) -> None:
        pass


@dataclass
class Window:
    """Admits `n` requests in each span of so many seconds; `tells`: how long until the next one is said."""

    n: int
    span_s: float = 60.0
    tells: bool = True
    span: int = -1
    used: int = 0

    def admit(self) -> None:
        span = int(now() // self.span_s)
        if span != self.span:
            self.span, self.used = span, 0
        if self.used >= self.n:
            raise full((span + 1) * self.span_s - now() if self.tells else None)
        self.used += 1

    def release(self) -> None:
        pass


@dataclass
class Moody:
    """Turns away a share of what it is asked, at random, and fails another share."""

    turned_away: float
    failed: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(2))

    def admit(self) -> None:
        drawn = self.rng.random()
        if drawn < self.turned_away:
            raise full(None)
        if drawn < self.turned_away + self.failed:
            raise TransientCallError("out of order", fault="server_error", http_status=500)

    def release(self) -> None:
        pass


@dataclass
class Storm:
    """What came of asking: seconds, and the times at which requests were sent, answered and turned away."""

    wall_s: float = 0.0
    sent: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    failed: int = 0
    most: int = 0
    gave_up: int = 0

    def share(self, after_s: float = 0.0) -> float:
        """Return the share of requests sent after so many seconds that were turned away."""
        sent = sum(at >= after_s for at in self.sent)
        return sum(at >= after_s for at in self.rejected) / max(1, sent)

    def rate(self, after_s: float, until_s: float) -> float:
        """Return answers a second between two times."""
        return sum(after_s <= at < until_s for at in self.answered) / (until_s - after_s)


@dataclass
class Client:
    """Asks a server `n` times through a gate, as the engine does."""

    server: Server
    network: Network
    gate: Gate
    storm: Storm = field(default_factory=Storm)
    patience: Patience = field(default_factory=lambda: Patience(rng=random.Random(3)))

    async def run(self, n: int, at_once: int = 10_000, for_s: float | None = None) -> Storm:
        places, started = asyncio.Semaphore(at_once), now()
        self.started = started

        async def one() -> None:
            async with places:
                if for_s is None or now() - started < for_s:
                    await self.buy()

        await asyncio.gather(*(one() for _ in range(n)))
        self.storm.wall_s = now() - started
        return self.storm

    async def buy(self) -> None:
        tries, since = {True: 0, False: 0}, now()
        while True:
            try:
                async with self.gate.slot(sum(tries.values())):
                    return await self.ask()
            except TransientCallError as error:
                kind = error.fault == "rate_limit"
                tries[kind] += 1
                wait_s = self.patience.wait_s(tries[kind], now() - since, error)
                if wait_s is None:
                    self.storm.gave_up += 1
                    return
                await asyncio.sleep(wait_s)

    async def ask(self) -> None:
        storm, network, at = self.storm, self.network, now() - self.started
        storm.sent.append(at)
        storm.most = max(storm.most, self.gate.in_flight)
        await asyncio.sleep(network.way_s())
        try:
            self.server.admit()
        except TransientCallError as error:
            await asyncio.sleep(network.way_s())
            if error.fault == "rate_limit":
                storm.rejected.append(at)
            else:
                storm.failed += 1
            raise
        try:
            await asyncio.sleep(network.answer_s())
        finally:
            self.server.release()
        await asyncio.sleep(network.way_s())
        storm.answered.append(now() - self.started)


def new_gate(most: int, give_up_after_s: float = 300, notices: list[str | None] | None = None) -> Gate:
    told = [] if notices is None else notices
    loop = asyncio.get_running_loop()
    return Gate(most, give_up_after_s=give_up_after_s, notice=told.append, clock=loop.time, where="provider acme")
