"""What the orchestration itself costs: loading the code location, and materializing again what has not changed.

    python benchmarks/orchestration.py [--json] [--quick]

`load_cpu_above_dagster`: CPU seconds to load all definitions beyond `import dagster`, the floor measured in the same
process. `noop_chain_cpu_seconds`: CPU seconds of the whole process of a second `synth run` of one partition, with
everything in the ledger; beside it the floor, a process that only imports dagster. `heavy_modules_loaded`: which heavy
modules loading the definitions brings in.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("litellm", "torch", "sentence_transformers", "great_expectations", "sklearn", "pandas")
LOAD = """
import json, sys, time
start = time.process_time()
import dagster
floor = time.process_time()
from synth_pipeline.definitions import defs
import dagster as dg
dg.Definitions.validate_loadable(defs())
end = time.process_time()
heavy = [name for name in {heavy!r} if name in sys.modules]
print(json.dumps({{"dagster": floor - start, "ours": end - floor, "heavy": heavy}}))
"""
RUN = ("-m", "synth_pipeline.cli", "run", "evidence", "--provider", "offline-terse", "--seed", "0", "--json")


def run_python(arguments: tuple[str, ...], folder: Path) -> tuple[float, str]:
    """Return the CPU seconds of a Python process, its children included, and what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def measure(runs: int, records: int) -> dict[str, object]:
    """Return medians over `runs`, floor and ours interleaved."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "dagster.yaml", folder)
        chain = (*RUN, "--limit", str(records))
        run_python(chain, folder)
        loads, noops, floors = [], [], []
        for _ in range(runs):
            loads.append(json.loads(run_python(("-c", LOAD.format(heavy=HEAVY)), folder)[1]))
            floors.append(run_python(("-c", "import dagster"), folder)[0])
            cpu, printed = run_python(chain, folder)
            noops.append(cpu)
            bought = sum(run["n_calls_bought"] for run in json.loads(printed)["runs"])
            assert bought == 0, f"the second run bought {bought} completions"
    ours = statistics.median(load["ours"] for load in loads)
    dagster = statistics.median(load["dagster"] for load in loads)
    noop, floor = statistics.median(noops), statistics.median(floors)
    return {
        "load_cpu_above_dagster": round(ours, 3),
        "import_dagster_cpu": round(dagster, 3),
        "load_ratio_to_dagster": round(ours / dagster, 2),
        "noop_chain_cpu_seconds": round(noop, 2),
        "process_floor_cpu_seconds": round(floor, 2),
        "noop_ratio_to_floor": round(noop / floor, 2),
        "heavy_modules_loaded": loads[0]["heavy"],
        "records": records,
        "runs": runs,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="two runs of 30 records, not five of 120")
    options = parser.parse_args()
    figures = measure(runs=2, records=30) if options.quick else measure(runs=5, records=120)
    if options.json:
        print(json.dumps(figures))
        return
    for figure, value in figures.items():
        print(f"{figure:28} {value}")


if __name__ == "__main__":
    main()
