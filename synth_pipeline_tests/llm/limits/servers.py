"""Simulated providers that admit so much and no more, and a client that asks them through a gate."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from synth_pipeline.contracts.errors import TransientCallError
from synth_pipeline.llm.limits import Gate, Patience
from synth_pipeline_tests.llm.limits.virtual_time import now, run


def too_many(retry_after_s: float | None = None) -> TransientCallError:
    return TransientCallError("slow down", fault="rate_limit", http_status=429, retry_after_s=retry_after_s)


def out_of_order() -> TransientCallError:
    return TransientCallError("out of order", fault="server_error", http_status=500)


@dataclass
class Network:
    """The seconds that a request and its answer are on the way together, and that answering takes.

    `spread` is the log-normal's; 0 answers all in the same time.
    """

    answer_s: float = 0.2
    round_trip_s: float = 0.002
    spread: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def draw_way_s(self) -> float:
        return self.round_trip_s / 2 * self._rng.uniform(0.5, 1.5)

    def draw_answer_s(self) -> float:
        if not self.spread:
            return self.answer_s
        return self.answer_s * self._rng.lognormvariate(-(self.spread**2) / 2, self.spread)


class Server(Protocol):
    def admit(self) -> None:
        """Raise where a request that arrives is turned away or fails."""

    def release(self) -> None:
        """A request that was admitted has been answered."""


@dataclass
class Slots:
    """Admits so many at a time; what is turned away is asked to come back in `retry_after_s`."""

    capacity: Callable[[float], int] | int
    retry_after_s: float | None = 1.0
    busy: int = 0

    def admit(self) -> None:
        capacity = self.capacity if isinstance(self.capacity, int) else self.capacity(now())
        if self.busy >= capacity:
            raise too_many(self.retry_after_s)
        self.busy += 1

    def release(self) -> None:
        self.busy -= 1


class Unlimited:
    def admit(self) -> None:
        pass

    def release(self) -> None:
        pass


@dataclass
class Bucket(Unlimited):
    """Admits `rate` requests a second and `burst` at once; with `tells` it says how long until there is room."""

    rate: float
    burst: float
    tells: bool = False
    held: float = -1.0
    at: float = 0.0

    def admit(self) -> None:
        self.held = self.burst if self.held < 0 else min(self.burst, self.held + (now() - self.at) * self.rate)
        self.at = now()
        if self.held < 1:
            raise too_many((1 - self.held) / self.rate if self.tells else None)
        self.held -= 1


@dataclass
class Window(Unlimited):
    """Admits `n` requests in each span of so many seconds; with `tells` it says how long until the next."""

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
            raise too_many((span + 1) * self.span_s - now() if self.tells else None)
        self.used += 1


@dataclass
class Moody(Unlimited):
    """Turns a share of what it is asked away, at random, and fails another share."""

    turned_away: float
    failed: float = 0.0

    def __post_init__(self) -> None:
        self._rng = random.Random(2)

    def admit(self) -> None:
        drawn = self._rng.random()
        if drawn < self.turned_away:
            raise too_many()
        if drawn < self.turned_away + self.failed:
            raise out_of_order()


@dataclass
class Storm:
    """What came of asking: seconds, and at which second requests were sent, answered and turned away."""

    wall_s: float = 0.0
    sent: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    n_given_up: int = 0
    most_in_flight: int = 0

    def rejected_share(self, after_s: float = 0.0) -> float:
        """Return the share of requests sent after so many seconds that were turned away."""
        return sum(at >= after_s for at in self.rejected) / sum(at >= after_s for at in self.sent)

    def rate(self, after_s: float, until_s: float) -> float:
        """Return the answers a second between two times."""
        return sum(after_s <= at < until_s for at in self.answered) / (until_s - after_s)


@dataclass
class Client:
    """Buys through a gate as the engine does: some calls at once, each tried until it is answered or given up."""

    server: Server
    network: Network
    gate: Gate

    def __post_init__(self) -> None:
        self.storm, self.patience = Storm(), Patience(rng=random.Random(3))
        self.started = now()

    async def buy_all(self, n: int, at_once: int, for_s: float | None) -> Storm:
        places = asyncio.Semaphore(at_once)

        async def buy_one() -> None:
            async with places:
                if for_s is None or now() - self.started < for_s:
                    await self.buy()

        await asyncio.gather(*(buy_one() for _ in range(n)))
        self.storm.wall_s = now() - self.started
        return self.storm

    async def buy(self) -> None:
        tries: Counter[str] = Counter()
        began = now()
        while True:
            try:
                async with self.gate.slot(tries.total()):
                    await self.ask()
                    return
            except TransientCallError as error:
                tries[error.fault] += 1
                wait_s = self.patience.wait_s(tries[error.fault], now() - began, error)
            if wait_s is None:
                self.storm.n_given_up += 1
                return
            await asyncio.sleep(wait_s)

    async def ask(self) -> None:
        storm, network, at = self.storm, self.network, now() - self.started
        storm.sent.append(at)
        storm.most_in_flight = max(storm.most_in_flight, self.gate.in_flight)
        await asyncio.sleep(network.draw_way_s())
        try:
            self.server.admit()
        except TransientCallError as error:
            await asyncio.sleep(network.draw_way_s())
            if error.fault == "rate_limit":
                storm.rejected.append(at)
            raise
        await asyncio.sleep(network.draw_answer_s())
        self.server.release()
        await asyncio.sleep(network.draw_way_s())
        storm.answered.append(now() - self.started)


def new_gate(most: int, give_up_after_s: float = 300, notices: list[str | None] | None = None) -> Gate:
    """Return a gate in virtual time; it tells `notices`."""
    told: list[str | None] = [] if notices is None else notices
    clock = asyncio.get_running_loop().time
    return Gate(most, give_up_after_s=give_up_after_s, notice=told.append, clock=clock, where="provider acme")


def storm(
    server: Server,
    network: Network,
    *,
    most: int,
    n: int,
    at_once: int | None = None,
    for_s: float | None = None,
) -> Storm:
    """Return what comes of buying `n` calls, or as many as begin within `for_s` seconds."""

    async def main() -> Storm:
        client = Client(server, network, new_gate(most))
        return await client.buy_all(n, at_once or 2 * most + 128, for_s)

    return run(main())
