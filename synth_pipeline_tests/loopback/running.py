"""A server that runs beside a test, and how the test speaks with it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
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

    @property
    def root_url(self) -> str:
        """The address without /v1: where Anthropic's and Gemini's formats start."""
        return self.base_url.removesuffix("/v1")

    def stats(self) -> dict[str, Any]:
        """Return what it was asked since the dials were last set."""
        return self._ask("GET", "/stats")

    def set_dials(self, **dials: object) -> None:
        """Set the dials named, all others to what they are at the start, and count from nothing."""
        self._ask("POST", "/dials", json.dumps(dials))

    def turn_dials(self, **dials: object) -> None:
        """Set the dials named, leave all others, and go on counting."""
        self._ask("PATCH", "/dials", json.dumps(dials))

    def forget(self) -> None:
        """Drop all files and batches, which new dials leave alone."""
        self._ask("POST", "/forget")

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        connection = HTTPConnection(self.base_url.split("/")[2], timeout=WAIT_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            with connection.getresponse() as response:
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
    options = ["--voice", voice]
    for file in grammar_files:
        options += ["--recipe-grammar", str(file.resolve())]
    with _running(options) as server:
        yield server


@contextmanager
def running_lean_server(
    *, content: Path | None = None, schema: Path | None = None, latency_s: float = 0.0
) -> Iterator[RunningServer]:
    """Yield a lean server, which says the same to all: `content`, or a record that fits `schema`, or one text."""
    options = ["--lean", "--latency", str(latency_s)]
    options += ["--content", str(content.resolve())] if content else []
    options += ["--schema", str(schema.resolve())] if schema else []
    with _running(options) as server:
        yield server


@contextmanager
def _running(options: Sequence[str]) -> Iterator[RunningServer]:
    command = [sys.executable, "-m", "synth_pipeline_tests.loopback", *options]
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
