"""The floor: a bare aiohttp client. It reads its answers as JSON and writes each as a line to a file."""

import asyncio
import json
import random
from typing import Any, TextIO

import aiohttp

from generation_parts.jobs import MODEL, Figures, Job

TRIES, FIRST_PAUSE_S = 6, 0.25
Json = dict[str, Any]


class Bare:
    """One aiohttp session and a semaphore: the floor."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._bodies = [{"model": MODEL, **body} for body in read_questions(job)]
        self._n_requests = self._n_written = 0

    def do(self) -> None:
        """Make the calls."""
        asyncio.run(self._run())

    def tell(self) -> Figures:
        """Return how many lines were written, with how many requests."""
        return {"n_ok": self._n_written, "n_requests": self._n_requests}

    async def _run(self) -> None:
        slots = asyncio.Semaphore(self._job.concurrency)
        url = f"{self._job.base_url}/chat/completions"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            with self._job.answers_file.open("w", encoding="utf-8") as file:

                async def ask(body: Json) -> None:
                    async with slots:
                        answer = await self._ask(session, url, body)
                    self._n_written += write(file, answer)

                await asyncio.gather(*(ask(body) for body in self._bodies))

    async def _ask(self, session: aiohttp.ClientSession, url: str, body: Json) -> Json:
        for n_tries in range(TRIES if self._job.retries else 1):
            self._n_requests += 1
            async with session.post(url, json=body) as response:
                answer: Json = json.loads(await response.read())
            if response.status == 200 and not (self._job.retries and is_broken(answer)):
                return answer
            await asyncio.sleep(FIRST_PAUSE_S * 2**n_tries * random.uniform(0.5, 1.5))
        raise RuntimeError(f"no sound answer: {answer}")


def read_questions(job: Job) -> list[Json]:
    """Return the requests' bodies without their model."""
    with job.questions_file.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write(file: TextIO, answer: Json) -> int:
    """Write an answer as one line; returns 1."""
    file.write(json.dumps(answer) + "\n")
    return 1


def is_broken(answer: Json) -> bool:
    """Return whether an answer's content is no JSON."""
    try:
        json.loads(answer["choices"][0]["message"]["content"])
    except ValueError:
        return True
    return False
