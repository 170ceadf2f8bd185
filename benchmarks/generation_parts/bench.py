"""The benchmark's own side: a folder, servers, and children that do jobs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Self

from generation_parts.jobs import CLIENTS, FLOOR, OURS, USD_PER_MTOK_IN, USD_PER_MTOK_OUT, Figures, Job
from generation_parts.questions import write_answer, write_plan, write_questions
from synth_pipeline_tests.loopback.running import RunningServer, running_lean_server

BENCHMARKS = Path(__file__).resolve().parent.parent
N_SAMPLES = 100


class Child:
    """A client in a process of its own, which begins to warm up."""

    def __init__(self, client: str, job: Job) -> None:
        paths = os.pathsep.join((str(BENCHMARKS), str(BENCHMARKS.parent)))
        quiet = {"PYTHONPATH": paths, "PYTHONWARNINGS": "ignore", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        self.client, self.alive, self._ready = client, True, False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "generation_parts.child", client, job.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | quiet,
            cwd=job.folder,
        )

    def wait_until_ready(self) -> Self:
        """Return once imports and warm-up are over."""
        if not self._ready:
            self._hear()
            self._ready = True
        return self

    def start(self, job: Job) -> Self:
        """Return when the job has begun."""
        self.wait_until_ready()
        assert self._process.stdin is not None
        self._process.stdin.write(job.to_json() + "\n")
        self._process.stdin.flush()
        self._hear()
        return self

    def finish(self) -> Figures:
        """Return what the job that was started came to."""
        return self._hear()

    def kill(self) -> None:
        """End it as the system does where memory runs out; `end` waits until it is gone."""
        self.alive = False
        self._process.kill()

    def end(self) -> None:
        """Let it end, if it lives, and wait until it is gone."""
        self.alive = False
        self._process.communicate()

    def _hear(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the child {self.client} ended with code {self._process.wait()}")
        heard: Figures = json.loads(line)
        return heard


class Bench:
    """Where jobs are done.

    Args:
        folder: where all files are written.
        reuse: whether a child does further jobs once it is free, for the sake of time.
    """

    def __init__(self, folder: Path, *, reuse: bool) -> None:
        self._folder, self._reuse, self._numbers = folder, reuse, count(1)
        self._idle: dict[str, list[Child]] = {client: [] for client in CLIENTS}
        sample = Job("sample", "", str(folder), N_SAMPLES, 1)
        write_questions(sample)
        self._content = sample.content_file
        self.asked = write_answer(sample)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._for_warm_up = self._stack.enter_context(self.server())
        return self

    def __exit__(self, *_: object) -> None:
        for children in self._idle.values():
            for child in children:
                child.end()
        self._stack.close()

    @contextmanager
    def server(self, **dials: object) -> Iterator[RunningServer]:
        """Yield a server in a process of its own, with some dials set."""
        with running_lean_server(content=self._content) as server:
            server.set_dials(**dials)
            yield server

    @contextmanager
    def child(self, client: str) -> Iterator[Child]:
        """Yield a child, which may still be warming up."""
        idle = self._idle[client]
        child = idle.pop() if idle else Child(client, self.job(client, self._for_warm_up, n=1, concurrency=1))
        try:
            yield child
        except BaseException:
            child.kill()
            child.end()
            raise
        if child.alive and self._reuse:
            idle.append(child)
        else:
            child.end()

    def warm_up(self, n: int) -> None:
        """Have so many of our children ready, and one of the floor."""
        with ExitStack() as stack:
            for client in (FLOOR, *(OURS,) * n):
                stack.enter_context(self.child(client))
        for child in (*self._idle[FLOOR], *self._idle[OURS]):
            child.wait_until_ready()

    def job(self, client: str, server: RunningServer, *, n: int, concurrency: int, seed: int = 0) -> Job:
        """Return a job with files of its own; what the client reads before it begins is written."""
        job = Job(f"job-{next(self._numbers)}", server.base_url, str(self._folder), n, concurrency, seed)
        if client == OURS and not job.plan_file.exists():
            write_plan(job)
        if client != OURS and not job.questions_file.exists():
            write_questions(job)
        return job

    def usd_a_call(self) -> float:
        """Return what a server bills for a call."""
        stats = self._for_warm_up.stats()
        return billed_usd(stats) / int(stats["billed_requests"])


def billed_usd(stats: Figures) -> float:
    """Return what a server has billed, in US dollars."""
    tokens_in, tokens_out = stats["billed_tokens_in"], stats["billed_tokens_out"]
    return float(tokens_in * USD_PER_MTOK_IN + tokens_out * USD_PER_MTOK_OUT) / 1e6
