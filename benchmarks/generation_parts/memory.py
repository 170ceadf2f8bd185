"""The memory that a stage holds beyond the frame that it returns."""

from collections.abc import Sequence
from dataclasses import replace

from generation_parts.bench import Bench
from generation_parts.grid import Tell
from generation_parts.jobs import OURS, Figures

SIZES, CONCURRENCY = (1_000, 10_000, 100_000), 128


def measure_memory(bench: Bench, tell: Tell, sizes: Sequence[int] = SIZES) -> list[Figures]:
    """Return for each number of records what the process of a stage held, in MB.

    `peak_mb`: the most until the stage ended. `plan_mb`, `frame_mb`: by how much a process grows for the plan that the
    stage was given, and for the frame that it returned. That is more than the frame's bytes as polars counts them,
    `frame_bytes_mb`: memory comes in pieces. `base_mb`: before the stage, with imports, a call to warm up and the plan.
    `beyond_frame_mb` = peak - plan - frame; `own_mb` = peak - base - frame.
    """
    figures = []
    for n in sizes:
        tell(f"memory: {n:,} records")
        with bench.server() as server, bench.child(OURS) as child:
            job = replace(bench.job(OURS, server, n=n, concurrency=CONCURRENCY), weigh=True)
            told = child.start(job).finish()
        assert told["n_ok"] == n, f"{told['states']} of {n:,}"
        names = ("peak_mb", "base_mb", "plan_mb", "frame_mb", "frame_bytes_mb", "wall_s", "cpu_s")
        left = told["peak_mb"] - told["frame_mb"]
        beyond = {"beyond_frame_mb": left - told["plan_mb"], "own_mb": left - told["base_mb"]}
        shown = {name: told[name] for name in names}
        figures.append({"n": n, **{name: round(value, 1) for name, value in (beyond | shown).items()}})
    return figures
