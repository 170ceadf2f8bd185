"""A process of one client: it imports and warms up, says so, and then does each job that its standard input brings.

    python -m generation_parts.child <client> <job to warm up with>

Each job is measured from its first call to its last, by the clock, by `getrusage` and by the most memory held
meanwhile; imports, the plan and the warm-up are outside.
"""

import gc
import importlib
import json
import resource
import sys
import time
from cProfile import Profile

from generation_parts.jobs import FLOOR, OURS, PEER, Figures, Job, Work
from generation_parts.weighing import HELD, MOST_HELD, forget_most, memory_mb

CLIENTS = {
    FLOOR: "generation_parts.bare:Bare",
    PEER: "generation_parts.acompletion:Acompletion",
    OURS: "generation_parts.ours:Ours",
}


def find_client(name: str) -> type[Work]:
    """Return the class of a client; nothing of the others is imported."""
    module, _, member = CLIENTS[name].partition(":")
    client: type[Work] = getattr(importlib.import_module(module), member)
    return client


def say(figures: Figures) -> None:
    """Tell the parent."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def cpu_seconds() -> float:
    """Return the CPU seconds of this process so far, all its threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(work: Work, job: Job) -> Figures:
    """Return what doing the work took, and what came of it."""
    gc.collect()
    forget_most()
    base_mb, cpu, started = memory_mb(HELD), cpu_seconds(), time.perf_counter()
    if job.profile:
        profile = Profile()
        profile.runcall(work.do)
        profile.dump_stats(job.profile_file)
    else:
        work.do()
    wall = time.perf_counter() - started
    cpu = cpu_seconds() - cpu
    peak_mb = memory_mb(MOST_HELD)
    return {"wall_s": wall, "cpu_s": cpu, "base_mb": base_mb, "peak_mb": peak_mb, **work.tell()}


def main() -> None:
    """Work until the standard input ends."""
    client, warm = find_client(sys.argv[1]), Job.from_json(sys.argv[2])
    measure(client(warm), warm)
    say({"ready": True})
    for line in sys.stdin:
        job = Job.from_json(line)
        work = client(job)
        say({"begun": True})
        say(measure(work, job))


if __name__ == "__main__":
    main()
