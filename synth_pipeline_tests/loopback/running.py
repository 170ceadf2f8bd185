"""A server that runs beside a test, and how the test speaks with it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import synth_pipeline

WAIT_S = 10
ROOT = Path(synth_pipeline.__file__).parents[1]


@dataclass(frozen=True)
class RunningServer:
    """A server that listens in another process; `base_url` ends in /v1."""

    base_url: str

    def stats(self) -> dict[str, Any]:
        """Return what it was asked since the dials were last set."""
        return self._ask("GET", "/stats")

    def set_dials(self, **dials: object) -> None:
        """Set the dials named, all others to what they are at the start, and count from nothing."""
        self._ask("POST", "/dials", json.dumps(dials))

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        connection = HTTPConnection(self.base_url.split("/")[2], timeout=WAIT_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(text)
        read: dict[str, Any] = json.loads(text)
        return read


@contextmanager
def running_server(voice: str = "formal", *grammar_files: Path) -> Iterator[RunningServer]:
    """Yield a server in a process of its own, ready to answer; it is stopped in the end."""
    command = [sys.executable, "-m", "synth_pipeline_tests.loopback", "--voice", voice]
    for file in grammar_files:
        command += ["--recipe-grammar", str(file.resolve())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield RunningServer(**json.loads(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
