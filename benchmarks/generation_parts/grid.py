"""Calls a second, CPU and memory of three clients, taken in turn."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from generation_parts.bench import Bench
from generation_parts.jobs import CLIENTS, FLOOR, OURS, Figures

WAVES, N_LEAST, LONG_MS = 12, 2000, 1000
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Point:
    """So many calls in flight, each of which the server takes so long for."""

    concurrency: int
    latency_ms: int

    @property
    def name(self) -> str:
        """Its name in figures."""
        return f"{self.concurrency}x{self.latency_ms}"

    @property
    def n(self) -> int:
        """Calls: a dozen waves at least, so that the first and the last weigh little."""
        n = max(WAVES * self.concurrency, N_LEAST if self.latency_ms < LONG_MS else 0)
        return -(-n // 100) * 100

    @property
    def ideal_per_s(self) -> float:
        """Calls a second of a client that costs nothing."""
        return self.concurrency * 1000 / self.latency_ms


GRID = tuple(Point(concurrency, latency_ms) for concurrency in (32, 128, 512) for latency_ms in (50, 200, 1000))
SHORT, LONG = Point(128, 200), Point(32, 1000)  # which have targets


def measure_grid(bench: Bench, points: Iterable[Point], rounds: int, tell: Tell) -> list[Figures]:
    """Return the medians of each point, every job in a process of its own."""
    figures = []
    for point in points:
        told: dict[str, list[Figures]] = {client: [] for client in CLIENTS}
        with bench.server(latency_s=point.latency_ms / 1000) as server:
            for number in range(rounds):
                for client in CLIENTS:
                    tell(f"{point.name}: {client}, {number + 1} of {rounds}")
                    job = bench.job(client, server, n=point.n, concurrency=point.concurrency)
                    with bench.child(client) as child:
                        told[client].append(child.start(job).finish())
        figures.append(sum_up(point, told))
    return figures


def measure_short(bench: Bench, rounds: int, tell: Tell) -> Figures:
    """Return the medians of the first target, ours beside the floor, in turn."""
    told: dict[str, list[Figures]] = {FLOOR: [], OURS: []}
    latency_s = SHORT.latency_ms / 1000
    with bench.server(latency_s=latency_s) as server, bench.child(FLOOR) as bare, bench.child(OURS) as ours:
        for number in range(rounds):
            tell(f"{SHORT.name}: {number + 1} of {rounds}")
            for child in (bare, ours):
                job = bench.job(child.client, server, n=SHORT.n, concurrency=SHORT.concurrency)
                told[child.client].append(child.start(job).finish())
    return sum_up(SHORT, told)


def measure_long(bench: Bench, rounds: int, tell: Tell) -> Figures:
    """Return the medians of the second target, ours beside the floor.

    It keeps a processor busy for a fraction of the time, so both work at once, each with a server of its own.
    """
    told: dict[str, list[Figures]] = {FLOOR: [], OURS: []}
    with ExitStack() as stack:
        servers = {client: stack.enter_context(bench.server(latency_s=LONG.latency_ms / 1000)) for client in told}
        children = [stack.enter_context(bench.child(client)) for client in told]
        for number in range(rounds):
            tell(f"{LONG.name}: {number + 1} of {rounds}")
            for child in children:
                server = servers[child.client]
                child.start(bench.job(child.client, server, n=LONG.n, concurrency=LONG.concurrency))
            for child in children:
                told[child.client].append(child.finish())
    return sum_up(LONG, told)


def sum_up(point: Point, told: dict[str, list[Figures]]) -> Figures:
    """Return a point's medians, and ratios within each round to the floor."""
    for rounds in told.values():
        short = [one["n_ok"] for one in rounds if one["n_ok"] != point.n]
        assert not short, f"{point.name}: {short} of {point.n} records were written"
    return {
        "point": point.name,
        "n": point.n,
        "ideal_per_s": point.ideal_per_s,
        **{client: _medians(point, rounds) for client, rounds in told.items()},
        **{f"{client}_ratio": _ratio(rounds, told[FLOOR]) for client, rounds in told.items() if client != FLOOR},
        "cpu_ms_above_bare": median(
            [
                1000 * (ours["cpu_s"] - bare["cpu_s"]) / point.n
                for ours, bare in zip(told[OURS], told[FLOOR], strict=True)
            ]
        ),
    }


def _medians(point: Point, rounds: Sequence[Figures]) -> Figures:
    return {
        "per_s": median([point.n / one["wall_s"] for one in rounds]),
        "cpu_ms": median([1000 * one["cpu_s"] / point.n for one in rounds]),
        "peak_mb": median([one["peak_mb"] for one in rounds]),
    }


def _ratio(rounds: Sequence[Figures], floor: Sequence[Figures]) -> float:
    """Return the median over the rounds of how fast a client was, the floor being 1."""
    return median([bare["wall_s"] / one["wall_s"] for one, bare in zip(rounds, floor, strict=True)])


def median(values: Sequence[Any]) -> float:
    """Return the median, to four digits after the point."""
    return round(float(statistics.median(values)), 4)
