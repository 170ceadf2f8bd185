"""What a process holds in memory."""

import resource
import sys
from pathlib import Path

STATUS, RESET, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs"), "5"
HELD, MOST_HELD = "VmRSS", "VmHWM"


def memory_mb(name: str) -> float:
    """Return what the process holds (HELD), or the most that it has held (MOST_HELD), in MB."""
    if not STATUS.exists():  # not Linux: the most since the process began
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def forget_most() -> None:
    """Let the most that was held be counted from now on, where the system can."""
    if RESET.exists():
        RESET.write_text(RESET_PEAK)
