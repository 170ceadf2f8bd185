"""How a batch is worked through: its lines are validated, answered over the time the dials say, and kept as files."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline_tests.loopback.answering import NOT_TO_BE_READ, Author, error_of, read_openai_job, turn_away
from synth_pipeline_tests.loopback.batch import Batch
from synth_pipeline_tests.loopback.dialects import OPENAI
from synth_pipeline_tests.loopback.faults import BROKEN, Json, Reply, TurnedAway
from synth_pipeline_tests.loopback.files import Files, StoredFile
from synth_pipeline_tests.loopback.session import Session

VALIDATING_SHARE = FINALIZING_SHARE = 0.1
TOO_MANY_TOKENS = "Enqueued token limit reached for the model. Please try again once some batches have been completed."
EXPIRED = "This request could not be executed before the completion window expired."


@dataclass(frozen=True)
class Line:
    """One line of the input: its own id, and the body of its request."""

    custom_id: str
    body: Json


@dataclass(frozen=True)
class Results:
    """The lines of the output file and of the error file."""

    outputs: list[Json]
    errors: list[Json]


class Unfit(Exception):
    """A batch fails its validation; `error` is OpenAI's account of it."""

    def __init__(self, code: str, message: str, line: int | None = None) -> None:
        self.error: Json = {"code": code, "message": message, "param": None, "line": line}
        super().__init__(message)


@dataclass(frozen=True)
class Worker:
    """Works through batches.

    Args:
        files: where outputs are kept.
        author: writes the completions.
        session: gives the dials in force and their statistics.
    """

    files: Files
    author: Author
    session: Callable[[], Session]

    async def work(self, batch: Batch, given: StoredFile) -> None:
        """Take the batch from its validation to its end, by the dials that are in force now."""
        dials = self.session().dials
        await asyncio.sleep(dials.batch_s * VALIDATING_SHARE)
        try:
            lines = read_lines(given.content, batch.endpoint)
            if dials.batch_ends == "failed":
                raise Unfit("token_limit_exceeded", TOO_MANY_TOKENS)
        except Unfit as unfit:
            batch.fail(unfit.error)
            return
        batch.start(len(lines), lines[0].body["model"])
        n_in_time = len(lines) // 2 if dials.batch_ends == "expired" else len(lines)
        results = await self._answer(batch, lines, n_in_time)
        batch.go_on("finalizing")
        await asyncio.sleep(dials.batch_s * FINALIZING_SHARE)
        self._keep(batch, results)
        batch.end("expired" if dials.batch_ends == "expired" else "completed")

    async def _answer(self, batch: Batch, lines: list[Line], n_in_time: int) -> Results:
        """Return what became of the lines, in an order of their own, as it may be; those not in time have expired."""
        results, clock = Results([], []), asyncio.get_running_loop().time
        working_s = self.session().dials.batch_s * (1 - VALIDATING_SHARE - FINALIZING_SHARE)
        started = clock()
        for number, line in enumerate(lines[:n_in_time], 1):
            await asyncio.sleep(max(0.0, started + working_s * number / n_in_time - clock()))
            if batch.is_cancelled:
                return results
            reply = self._answer_line(batch, line)
            batch.count(done=reply.status == 200)
            (results.outputs if reply.status == 200 else results.errors).append(_result(batch, line, reply))
        for line in lines[n_in_time:]:
            batch.count(done=False)
            results.errors.append(_expiry(batch, line))
        rng_for("loopback-batch", batch.id).shuffle(results.outputs)
        return results

    def _answer_line(self, batch: Batch, line: Line) -> Reply:
        session = self.session()
        stats = session.stats
        stats.batch_requests += 1
        try:
            job = read_openai_job(self.author, batch.endpoint, line.body)
        except NOT_TO_BE_READ as error:
            return turn_away(OPENAI, TurnedAway(400, f"{type(error).__name__}: {error}"), session.dials)
        stats.count_ask(job.identity)
        fault = session.next_fault(-stats.batch_requests, job.possible - set(BROKEN))
        if refused := error_of(fault):
            return turn_away(OPENAI, refused, session.dials)
        produced = job.produce(session.dials, fault, f"loopback-batch-{stats.batch_requests}")
        stats.bill_batch(produced.tokens_in, produced.tokens_out)
        stats.count_answer(job.identity)
        batch.bill(produced.tokens_in, produced.tokens_out)
        return produced.reply

    def _keep(self, batch: Batch, results: Results) -> None:
        if results.outputs:
            batch.output_file_id = self._jsonl(f"{batch.id}_output.jsonl", results.outputs)
        if results.errors:
            batch.error_file_id = self._jsonl(f"{batch.id}_error.jsonl", results.errors)

    def _jsonl(self, filename: str, rows: list[Json]) -> str:
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        return self.files.keep(filename, "batch_output", content).id


def read_lines(content: bytes, endpoint: str) -> list[Line]:
    """Return the lines of a batch's input.

    Raises:
        Unfit: one is no request to the batch's endpoint, has another model or an id that came before; or there is none.
    """
    lines: dict[str, Line] = {}
    for number, text in enumerate(content.splitlines(), 1):
        line = _read_line(text, endpoint, number)
        if line.custom_id in lines:
            raise Unfit("duplicate_custom_id", f"The custom_id '{line.custom_id}' is not unique.", number)
        lines[line.custom_id] = line
        model, first = line.body["model"], next(iter(lines.values())).body["model"]
        if model != first:
            raise Unfit("mismatched_model", f"The provided model '{model}' is not '{first}', as before.", number)
    if not lines:
        raise Unfit("empty_file", "The input file is empty.")
    return list(lines.values())


def _read_line(text: bytes, endpoint: str, number: int) -> Line:
    try:
        row = json.loads(text)
        asked, line = (row["method"], row["url"]), Line(str(row["custom_id"]), row["body"])
        line.body["model"]
    except ValueError:
        raise Unfit("invalid_json_line", "This line is not parseable as valid JSON.", number) from None
    except (KeyError, TypeError) as error:
        raise Unfit("missing_required_parameter", f"Missing required parameter: {error}.", number) from None
    if asked != ("POST", endpoint):
        raise Unfit("invalid_url", f"The URL provided for this request does not match {endpoint}.", number)
    return line


def _result(batch: Batch, line: Line, reply: Reply) -> Json:
    name = _line_id(batch, line)
    response = {"status_code": reply.status, "request_id": f"req_{name}", "body": json.loads(reply.body)}
    return {"id": name, "custom_id": line.custom_id, "response": response, "error": None}


def _expiry(batch: Batch, line: Line) -> Json:
    error = {"code": "batch_expired", "message": EXPIRED}
    return {"id": _line_id(batch, line), "custom_id": line.custom_id, "response": None, "error": error}


def _line_id(batch: Batch, line: Line) -> str:
    return f"batch_req_{batch.id}_{line.custom_id}"
