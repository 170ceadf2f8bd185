"""`dagster dev` in a project's folder, as a user starts it, ready to be looked at and gone afterwards."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from synth_pipeline_tests.checkout import Checkout

HOST = "127.0.0.1"
READY_S, STOP_S, EVERY_S = 120.0, 30.0, 0.25
LOADED = json.dumps({"query": "{ assetNodes { id } }"}).encode()
# A process started in the background of a script ignores SIGINT, and so would its children: it listens again.
DAGSTER_DEV = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("dagster", run_name="__main__")
"""


@dataclass(frozen=True)
class DagsterDev:
    """A running `dagster dev`: its address, and the file with what it says on the terminal."""

    url: str
    terminal: Path

    def says(self) -> str:
        """Return what it has said so far."""
        return self.terminal.read_text(encoding="utf-8", errors="replace")


@contextmanager
def dagster_dev(checkout: Checkout) -> Iterator[DagsterDev]:
    """Yield `dagster dev` over the checkout once its code location is loaded; none of its processes outlives it."""
    port = _free_port()
    command = [sys.executable, "-c", DAGSTER_DEV, "dev", "--host", HOST, "--port", str(port)]
    environment = checkout.environment(DAGSTER_DISABLE_TELEMETRY="1", PYTHONUNBUFFERED="1")
    environment.pop("DAGSTER_HOME", None)
    server = DagsterDev(f"http://{HOST}:{port}", checkout.folder / "terminal.txt")
    with server.terminal.open("wb") as terminal:
        process = subprocess.Popen(
            command,
            cwd=checkout.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_loaded(process, server)
        yield server
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _wait_until_loaded(process: "subprocess.Popen[bytes]", server: DagsterDev) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"dagster dev ended with {process.returncode}:\n{server.says()}"
        if _has_assets(server.url):
            return
        time.sleep(EVERY_S)
    raise AssertionError(f"dagster dev showed no asset within {READY_S:g} s:\n{server.says()}")


def _has_assets(url: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=READY_S)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/graphql", LOADED, {"Content-Type": "application/json"})
        return bool(json.load(connection.getresponse())["data"]["assetNodes"])
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with suppress(ProcessLookupError):  # its session is its own: this ends servers that have not noticed yet
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
