"""The server: four routes, and what the dials make of them."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.offline import (
    Grammar,
    OfflineAnswer,
    OfflineRequest,
    answer,
    find_voice,
    load_voices,
)
from synth_pipeline_tests.loopback.faults import FAULTS, Call, Json

LARGEST_BODY = 16 * 2**20


@dataclass(frozen=True)
class Dials:
    """How the server behaves.

    Args:
        latency_s: mean seconds before an answer; each takes between half and one and a half of it.
        faults: how many of the next requests meet each fault, in the order given.
        retry_after: what a 429 says under Retry-After; None leaves the header out.
        voice_faults: whether the voice errs by its own dials too.
    """

    latency_s: float = 0.0
    faults: Mapping[str, int] = field(default_factory=dict)
    retry_after: str | None = None
    voice_faults: bool = False


@dataclass
class Stats:
    """What the server has seen since it started or since the dials were set; `answered` leaves faults out."""

    requests: int = 0
    answered: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    last_body: Json = field(default_factory=dict)


class LoopbackServer:
    """A model server's state and routes.

    Args:
        voice: answers for models that are no voice themselves.
        grammars: by recipe; a recipe without one gets the generic grammar.
    """

    def __init__(self, voice: str, grammars: Mapping[str, Grammar]) -> None:
        self._voice, self._grammars = voice, grammars
        self._turn_dials(Dials())

    def make_app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/stats", self._show_stats)
        app.router.add_post("/dials", self._set_dials)
        return app

    async def _complete(self, request: web.Request) -> web.Response:
        body, stats, dials = await request.json(), self._stats, self._dials
        stats.requests, stats.last_body = stats.requests + 1, body
        stats.in_flight += 1
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        number, fault = stats.requests, self._next_fault()
        try:
            await asyncio.sleep(dials.latency_s * rng_for("loopback", number).uniform(0.5, 1.5))
        finally:
            stats.in_flight -= 1
        completion = _completion(body, self._answer(body), f"loopback-{number}")
        if fault is not None:
            stats.faults[fault] = stats.faults.get(fault, 0) + 1
            return FAULTS[fault](Call(request, completion, dials.retry_after))
        stats.answered += 1
        return web.json_response(completion)

    def _next_fault(self) -> str | None:
        fault = next(iter(+self._pending), None)
        if fault is not None:
            self._pending[fault] -= 1
        return fault

    def _answer(self, body: Mapping[str, Any]) -> OfflineAnswer:
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
        dials = Dials(**await request.json())
        if unknown := sorted(set(dials.faults) - set(FAULTS)):
            raise web.HTTPBadRequest(text=f"no fault is called {unknown}; the faults are {sorted(FAULTS)}")
        self._turn_dials(dials)
        return web.json_response(asdict(dials))

    def _turn_dials(self, dials: Dials) -> None:
        self._dials, self._stats, self._pending = dials, Stats(), Counter(dials.faults)


def _completion(body: Mapping[str, Any], given: OfflineAnswer, name: str) -> Json:
    message = {"role": "assistant", "content": given.text}
    usage = {"prompt_tokens": given.prompt_tokens, "completion_tokens": given.completion_tokens}
    return {
        "id": name,
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": given.finish_reason}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }
