"""Tables for people."""

import datetime as dt
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from generation_parts.jobs import CLIENTS, FLOOR, Figures

CPU_INFO = Path("/proc/cpuinfo")
SETTLED = ("grid", "faults", "storms", "kills", "memory", "budget", "asked")


def show(figures: Figures) -> None:
    """Print the tables of what was measured."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    for part in (_show_grid, _show_faults, _show_storms, _show_kills, _show_memory, _show_budget):
        for table in part(figures):
            console.print(table)
    targets = Table(title="What targets are set for", title_justify="left")
    targets.add_column("figure")
    targets.add_column("value", justify="right")
    for name, value in figures.items():
        if name not in SETTLED:
            targets.add_row(name, "not measured" if value is None else str(value))
    console.print(targets)
    console.print(caption(figures["asked"]), style="dim")


def caption(asked: Figures) -> str:
    """Return when, where and how it was measured, and what floor the ratios are to."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine = f"{os.cpu_count()} × {names[0] if names else platform.processor() or platform.machine()}"
    command = " ".join(("python", "benchmarks/generation.py", *sys.argv[1:]))
    return (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}; {machine}; Python {platform.python_version()}; `{command}`. Floor: a "
        f"bare aiohttp client, one session, each answer read as JSON and written as a line. Questions of "
        f"{asked['question_bytes']:,} bytes, an answer of {asked['answer_tokens']} tokens."
    )


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    return table


def _show_grid(figures: Figures) -> Iterable[Table]:
    points: list[Figures] = figures["grid"] or []
    clients = [client for client in CLIENTS if points and client in points[0]]
    ratios = [client for client in clients if client != FLOOR]
    for unit, name, digits in (("calls/s", "per_s", 0), ("CPU ms a call", "cpu_ms", 2), ("peak MB", "peak_mb", 0)):
        rows = []
        for point in points:
            cells = [f"{point[client][name]:,.{digits}f}" for client in clients]
            beside = [f"{point[f'{client}_ratio']:.3f}" for client in ratios] if name == "per_s" else []
            first = f"{point['point']} ms, n {point['n']:,}, ideal {point['ideal_per_s']:,.0f}"
            rows.append((first, *cells, *beside))
        if rows:
            beside = [f"{client} ÷ {FLOOR}" for client in ratios] if name == "per_s" else []
            yield _table(f"{unit}: medians", ("in flight x latency", *clients, *beside), rows)


def _show_faults(figures: Figures) -> Iterable[Table]:
    if told := figures["faults"]:
        yield _table("5 % 429, 2 % 500, 2 % truncated JSON", ("figure", "value"), told.items())


def _show_storms(figures: Figures) -> Iterable[Table]:
    if told := figures["storms"]:
        yield _table(
            "500 records of 200 ms, 64 allowed, 429 with Retry-After 1 s beyond",
            list(told[0]),
            [list(one.values()) for one in told],
        )


def _show_kills(figures: Figures) -> Iterable[Table]:
    if told := figures["kills"]:
        yield _table("Killed and resumed", list(told[0]), [list(one.values()) for one in told])


def _show_memory(figures: Figures) -> Iterable[Table]:
    if told := figures["memory"]:
        title = "Memory: beyond_frame = peak − plan − frame, own = peak − base (imports, warm-up, plan) − frame"
        yield _table(title, list(told[0]), [list(one.values()) for one in told])


def _show_budget(figures: Figures) -> Iterable[Table]:
    if told := figures["budget"]:
        yield _table("Two processes under one cap", ("figure", "value"), told.items())
