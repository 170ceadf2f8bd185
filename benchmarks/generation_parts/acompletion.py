"""The peer: plain `litellm.acompletion`. It writes each answer as a line to a file."""

import asyncio
import logging

import litellm

from generation_parts.bare import Json, read_questions, write
from generation_parts.jobs import LITELLM_MODEL, Figures, Job

litellm.telemetry = False
litellm.suppress_debug_info = True
logging.getLogger("LiteLLM").setLevel(logging.ERROR)  # it warns of a model that it does not know
FREE = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "litellm_provider": "hosted_vllm", "mode": "chat"}
litellm.register_model({LITELLM_MODEL: FREE})


class Acompletion:
    """`litellm.acompletion` and a semaphore, as its documentation shows it; the model is registered as free."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._bodies = read_questions(job)
        self._n_written = 0

    def do(self) -> None:
        """Make the calls."""
        asyncio.run(self._run())

    def tell(self) -> Figures:
        """Return how many lines were written."""
        return {"n_ok": self._n_written}

    async def _run(self) -> None:
        slots = asyncio.Semaphore(self._job.concurrency)
        with self._job.answers_file.open("w", encoding="utf-8") as file:

            async def ask(body: Json) -> None:
                async with slots:
                    answer = await litellm.acompletion(
                        model=LITELLM_MODEL, api_base=self._job.base_url, num_retries=0, **body
                    )
                self._n_written += write(file, answer.model_dump())

            await asyncio.gather(*(ask(body) for body in self._bodies))
