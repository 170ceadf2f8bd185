"""Who is buying: one completer in one process, and whether it still lives."""

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

SILENT_S = 30.0  # a holder that cannot be looked at is dead after so long without a beat; it beats every 2 seconds
BATCH = "batch:"  # begins the name of a holder that is a batch at a provider, no process: it lives until it is finished
STATE, START = 0, 19  # places in /proc/<pid>/stat after the command's closing bracket
ENDED = ("Z", "X", "x")


@dataclass(frozen=True, slots=True)
class Holder:
    """One completer in one process.

    Args:
        name: unlike any other's; claims are held under it.
        host: the machine, its boot and its process namespace: where `pid` means something.
        pid: the process.
        started: when the process started, in the kernel's own count; None where the system does not say.
    """

    name: str
    host: str
    pid: int
    started: str | None

    @classmethod
    def here(cls) -> Self:
        """Return a new holder in this process."""
        pid, host = os.getpid(), _host()
        return cls(f"{socket.gethostname()}:{pid}:{secrets.token_hex(4)}", host, pid, _stat(pid).started)


def is_dead(holder: Holder, silent_s: float) -> bool:
    """Return whether a holder is gone: its process where that can be looked at, else its beat, decides."""
    lives = _lives(holder) if holder.host == _host() else None
    return silent_s > SILENT_S if lives is None else not lives


@dataclass(frozen=True, slots=True)
class _Process:
    exists: bool
    started: str | None = None


def _lives(holder: Holder) -> bool | None:
    """Return whether the holder's process is alive; None: its pid is alive, but may be another process's by now."""
    process = _stat(holder.pid)
    if not process.exists:
        return False
    if process.started is None or holder.started is None:
        return None
    return process.started == holder.started


def _stat(pid: int) -> _Process:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return _Process(exists=False)
    except OSError:  # another user's process, or a system without /proc
        return _Process(exists=True)
    told = stat.rpartition(")")[2].split()
    return _Process(exists=told[STATE] not in ENDED, started=told[START])


@cache
def _host() -> str:
    boot = _read(lambda: Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    return "/".join((socket.gethostname(), boot, _read(lambda: str(Path("/proc/self/ns/pid").readlink()))))


def _read(source: Callable[[], str]) -> str:
    try:
        return source()
    except OSError:
        return ""
