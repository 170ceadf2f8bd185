"""A model server on 127.0.0.1 that speaks OpenAI's chat completions and fails on demand.

The offline voices answer, over real HTTP, from a process of its own:

    python -m synth_pipeline_tests.loopback --port 0 --voice formal

prints `{"base_url": "http://127.0.0.1:.../v1"}` once it listens. `GET /stats` says what it was asked, `POST /dials`
changes how it behaves. A voice's own faults are off unless the dial `voice_faults` turns them on.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from aiohttp import web

import synth_pipeline
from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.offline import (
    Grammar,
    OfflineAnswer,
    OfflineRequest,
    answer,
    find_voice,
    load_grammar,
    load_voices,
)

HOST = "127.0.0.1"
LARGEST_BODY = 16 * 2**20
STOP_WITHIN_S = 10
Json = dict[str, Any]


@dataclass(frozen=True)
class Dials:
    """How the server behaves.

    Args:
        latency_s: mean seconds before an answer; each lies between half and one and a half of it.
        faults: how many of the next requests meet each fault, in the order given.
        retry_after: what a 429 says under Retry-After; None leaves the header out.
        voice_faults: whether the voice errs by its own dials too.
    """

    latency_s: float = 0.0
    faults: Mapping[str, int] = field(default_factory=dict)
    retry_after: str | None = "0"
    voice_faults: bool = False

    def __post_init__(self) -> None:
        if unknown := set(self.faults) - set(FAULTS):
            raise ValueError(f"no fault is called {unknown}; use some of {sorted(FAULTS)}")


@dataclass
class Stats:
    """What the server has seen since it started or since the dials were set."""

    requests: int = 0
    answered: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    last_body: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One request and the sound completion that a fault may spoil."""

    request: web.Request
    dials: Dials
    completion: Json

    def choose(self, content: str | None, finish_reason: str, refusal: str | None = None) -> web.Response:
        """Return the completion with another choice."""
        message = {"role": "assistant", "content": content, "refusal": refusal}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return web.json_response({**self.completion, "choices": [choice]})

    @property
    def content(self) -> str:
        """What the voice wrote."""
        return str(self.completion["choices"][0]["message"]["content"])


def _turn_away(status: int, text: str) -> Callable[[Call], web.Response]:
    def fail(call: Call) -> web.Response:
        sent = call.request.headers.get("Authorization", "nothing").removeprefix("Bearer ")
        error = {"message": text.format(key=sent), "type": "loopback", "code": status}
        return web.json_response({"error": error}, status=status)

    return fail


def _rate_limit(call: Call) -> web.Response:
    response = _turn_away(429, "slow down")(call)
    if call.dials.retry_after is not None:
        response.headers["Retry-After"] = call.dials.retry_after
    return response


def _reset(call: Call) -> web.Response:
    transport = call.request.transport
    if transport is not None:
        at_once = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        transport.abort()
    return web.Response()


FAULTS: dict[str, Callable[[Call], web.Response]] = {
    "rate_limit": _rate_limit,
    "server_error": _turn_away(500, "out of order"),
    "bad_gateway": _turn_away(502, "nobody behind the gateway"),
    "unauthorized": _turn_away(401, "key {key} is not known here"),
    "not_found": _turn_away(404, "no such model for key {key}"),
    "bad_request": _turn_away(400, "the request of {key} makes no sense"),
    "content_policy": _turn_away(400, "content_policy_violation: rejected by our safety system"),
    "reset": _reset,
    "malformed_body": lambda _: web.Response(text='{"id": "cut', content_type="application/json"),
    "malformed_json": lambda call: call.choose(call.content[:-1] + ",", "stop"),
    "lone_surrogate": lambda call: call.choose(call.content + "\ud83d", "stop"),
    "refusal": lambda call: call.choose(None, "stop", refusal="I will not write that."),
    "cut_off": lambda call: call.choose(call.content[: len(call.content) // 2], "length"),
    "content_filter": lambda call: call.choose("", "content_filter"),
    "empty_choices": lambda call: web.json_response({**call.completion, "choices": []}),
    "empty_content": lambda call: call.choose("", "stop"),
}


class LoopbackServer:
    """The server's state and its four routes."""

    def __init__(self, voice: str, grammars: Mapping[str, Grammar]) -> None:
        self._voice, self._grammars = voice, grammars
        self._dials, self._stats = Dials(), Stats()
        self._pending: Counter[str] = Counter()

    def make_app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/stats", self._show_stats)
        app.router.add_post("/dials", self._set_dials)
        return app

    async def _complete(self, request: web.Request) -> web.Response:
        stats, dials = self._stats, self._dials
        body = await request.json()
        stats.requests, stats.last_body = stats.requests + 1, body
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        fault = self._next_fault()
        number = stats.requests
        try:
            given = self._answer(body)
            await asyncio.sleep(dials.latency_s * rng_for("loopback", number).uniform(0.5, 1.5))
        finally:
            stats.in_flight -= 1
        call = Call(request, dials, _completion(body, given, number))
        if fault is not None:
            stats.faults[fault] += 1
            return FAULTS[fault](call)
        stats.answered += 1
        return call.choose(given.text, given.finish_reason)

    def _next_fault(self) -> str | None:
        fault = next(iter(+self._pending), None)
        if fault is not None:
            self._pending[fault] -= 1
        return fault

    def _answer(self, body: Json) -> OfflineAnswer:
        voices = load_voices()
        voice = find_voice(body["model"] if body["model"] in voices else self._voice, voices)
        spoken = voice if self._dials.voice_faults else voice.without_faults()
        return answer(OfflineRequest.from_params(body["messages"], body), spoken, self._grammars)

    async def _list_models(self, _: web.Request) -> web.Response:
        models = [{"id": name, "object": "model", "owned_by": "loopback"} for name in load_voices()]
        return web.json_response({"object": "list", "data": models})

    async def _show_stats(self, _: web.Request) -> web.Response:
        return web.json_response(asdict(self._stats))

    async def _set_dials(self, request: web.Request) -> web.Response:
        self._dials, self._stats = Dials(**await request.json()), Stats()
        self._pending = Counter(self._dials.faults)
        return web.json_response(asdict(self._dials))


def _completion(body: Json, given: OfflineAnswer, number: int) -> Json:
    message = {"role": "assistant", "content": given.text}
    usage = {"prompt_tokens": given.prompt_tokens, "completion_tokens": given.completion_tokens}
    return {
        "id": f"loopback-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": given.finish_reason}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }


# The process


def find_recipe_grammars() -> list[Path]:
    """Return the grammars of the recipes that ship; a grammar's folder is its recipe's name."""
    return sorted((Path(synth_pipeline.__file__).parent / "defs").glob("*/grammar.yaml"))


async def serve(port: int, voice: str, grammar_files: list[Path]) -> None:
    """Serve until SIGINT or SIGTERM, or until the process that started this one is gone."""
    server = LoopbackServer(voice, {file.parent.name: load_grammar(file) for file in grammar_files})
    parent, stop = os.getppid(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(server.make_app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, port, backlog=1024).start()
    sys.stdout.write(json.dumps({"base_url": f"http://{HOST}:{runner.addresses[0][1]}/v1"}) + "\n")
    sys.stdout.flush()
    while os.getppid() == parent and not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1)
    await runner.cleanup()


@dataclass(frozen=True)
class RunningServer:
    """A server that listens in another process; `base_url` ends in /v1."""

    base_url: str

    def stats(self) -> Json:
        """Return what it was asked since the dials were last set."""
        return self._call("GET", "/stats")

    def set_dials(self, **dials: Any) -> Json:
        """Set the dials that are named, all others to what they are at the start, and count anew."""
        return self._call("POST", "/dials", json.dumps(asdict(replace(Dials(), **dials))))

    def _call(self, method: str, path: str, body: str | None = None) -> Json:
        connection = HTTPConnection(self.base_url.split("/")[2], timeout=STOP_WITHIN_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            read: Json = json.loads(response.read())
        finally:
            connection.close()
        return read


@contextmanager
def running_server(voice: str = "formal") -> Iterator[RunningServer]:
    """Yield a server in a process of its own, ready to answer; it is stopped in the end."""
    command = [sys.executable, "-m", "synth_pipeline_tests.loopback", "--port", "0", "--voice", voice]
    root = Path(synth_pipeline.__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        try:
            yield RunningServer(**json.loads(process.stdout.readline()))
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description="An OpenAI-compatible model server on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--voice", default="formal", choices=sorted(load_voices()), help="answers for unknown models")
    parser.add_argument("--recipe-grammar", type=Path, action="append", metavar="FILE", help="<recipe>/grammar.yaml")
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.voice, given.recipe_grammar or find_recipe_grammars()))


if __name__ == "__main__":
    main()
