"""The generation engine beside a bare HTTP client: calls a second, CPU, memory, faults, storms, kills and budgets.

    python benchmarks/generation.py [--json] [--quick] [--only PART]

One job for all: the planned records of the recipe `evidence`, written by a server on 127.0.0.1 that gives each the same
JSON of about 300 tokens after a set time, in a process of its own. The floor, `bare`, is an aiohttp client with one
session and a semaphore, which reads each answer as JSON and writes it to a file as a line; `acompletion` is
`litellm.acompletion` in its place; `ours` is the stage `write_records` from an empty call ledger on disk to the checked
frame. Clients are processes of their own: imports, one call to warm up and the plan come before the clock.

`ratio_128x200`, `ratio_32x1000`: ours by the floor, calls a second, end to end, median of the rounds' ratios.
`cpu_ms_above_bare`: CPU of a call at 128 x 200 ms, all threads, less the floor's. `memory_growth_1k_100k`: the most
memory that the process held, less the plan that it was given and the frame that it returned, at 100,000 records by that
at 1,000; `memory_own_mb_1k_100k` is the same two figures less what the process held before the stage began.
`storm_ratio_to_ideal`, `storm_rejected`: the worst of three servers that admit 10, 4 or 40 calls at once.
`kill_rebought_max`: requests beyond one a record in a run killed by SIGKILL and resumed; `kill_in_flight`: calls that
may be in flight. `budget_overrun_usd`: what the server billed two processes beyond the cap that they share.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from generation_parts.bench import Bench
from generation_parts.grid import GRID, Tell, measure_grid, measure_long, measure_short
from generation_parts.hardships import (
    ADMITTED,
    KILL_CONCURRENCY,
    measure_budget,
    measure_faults,
    measure_kills,
    measure_storms,
)
from generation_parts.jobs import Figures
from generation_parts.memory import measure_memory
from generation_parts.showing import show

ROUNDS, STORM_ROUNDS, QUICK_ROUNDS = 5, 3, 3
KILLS, QUICK_KILLS = 20, 5
PARTS = ("grid", "faults", "storms", "kills", "memory", "budget")


def measure(parts: Sequence[str], tell: Tell) -> Figures:
    """Return the figures of the parts asked for, None for the others; every job in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, Bench(Path(folder), reuse=False) as bench:
        to_do: dict[str, Callable[[], object]] = {
            "grid": lambda: measure_grid(bench, GRID, ROUNDS, tell),
            "faults": lambda: measure_faults(bench, ROUNDS, tell),
            "storms": lambda: measure_storms(bench, STORM_ROUNDS, tell),
            "kills": lambda: measure_kills(bench, KILLS, tell),
            "memory": lambda: measure_memory(bench, tell),
            "budget": lambda: measure_budget(bench, tell),
        }
        details = {part: to_do[part]() if part in parts else None for part in PARTS}
        return {**sum_up(details), "asked": bench.asked, **details}


def measure_quickly(tell: Tell) -> Figures:
    """Return the figures that targets are set for, but for memory, in two minutes.

    Processes do several jobs, and the storms go on beside the long target: all of these wait nearly all of their time.
    """
    with tempfile.TemporaryDirectory() as folder, Bench(Path(folder), reuse=True) as bench:
        bench.warm_up(len(ADMITTED) + 1)
        short = measure_short(bench, QUICK_ROUNDS, tell)
        with ThreadPoolExecutor() as threads:
            storms = threads.submit(measure_storms, bench, 1, tell)
            long = measure_long(bench, QUICK_ROUNDS, tell)
        details: Figures = {
            "grid": [short, long],
            "faults": measure_faults(bench, 1, tell),
            "storms": storms.result(),
            "kills": measure_kills(bench, QUICK_KILLS, tell),
            "memory": None,
            "budget": measure_budget(bench, tell),
        }
        return {**sum_up(details), "asked": bench.asked, **details}


def sum_up(details: Figures) -> Figures:
    """Return the figures that targets are set for."""
    points = {one["point"]: one for one in details["grid"] or ()}
    storms, kills, memory, budget = (details[name] for name in ("storms", "kills", "memory", "budget"))
    beyond = {one["n"]: one["beyond_frame_mb"] for one in memory or ()}
    own = {one["n"]: one["own_mb"] for one in memory or ()}
    return {
        "ratio_128x200": points["128x200"]["ours_ratio"] if points else None,
        "ratio_32x1000": points["32x1000"]["ours_ratio"] if points else None,
        "cpu_ms_above_bare": points["128x200"]["cpu_ms_above_bare"] if points else None,
        "memory_growth_1k_100k": round(beyond[100_000] / beyond[1_000], 3) if beyond else None,
        "memory_own_mb_1k_100k": [own[1_000], own[100_000]] if own else None,
        "storm_ratio_to_ideal": max(one["ratio_to_ideal"] for one in storms) if storms else None,
        "storm_rejected": max(one["rejected"] for one in storms) if storms else None,
        "kill_rebought_max": max(one["rebought"] for one in kills) if kills else None,
        "kill_in_flight": KILL_CONCURRENCY if kills else None,
        "kill_lost": sum(one["lost"] for one in kills) if kills else None,
        "kill_doubled": sum(one["doubled"] for one in kills) if kills else None,
        "budget_overrun_usd": budget["overrun_usd"] if budget else None,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="in two minutes, without the peer and memory")
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="measure this part (again for more), not quickly"
    )
    options = parser.parse_args()
    started = time.monotonic()
    tell: Tell = lambda text: print(f"{time.monotonic() - started:6.0f} s  {text}", file=sys.stderr)  # noqa: E731
    figures = measure_quickly(tell) if options.quick else measure(options.only or PARTS, tell)
    if options.json:
        print(json.dumps(figures))
    else:
        show(figures)


if __name__ == "__main__":
    main()
