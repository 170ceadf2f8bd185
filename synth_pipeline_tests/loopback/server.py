"""The server: its routes, and what the dials make of them."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from synth_pipeline.llm.offline import load_voices
from synth_pipeline_tests.loopback.answering import (
    NOT_TO_BE_READ,
    Author,
    Completing,
    Embedding,
    Job,
    break_off,
    error_of,
    json_reply,
    turn_away,
)
from synth_pipeline_tests.loopback.batch_work import Worker
from synth_pipeline_tests.loopback.batches import Batches
from synth_pipeline_tests.loopback.dialects import ANTHROPIC, GEMINI, OPENAI, Dialect
from synth_pipeline_tests.loopback.dials import Dials
from synth_pipeline_tests.loopback.faults import TURNED_AWAY, UNBILLED, Json, Reply, TurnedAway
from synth_pipeline_tests.loopback.files import Files, NotThere
from synth_pipeline_tests.loopback.session import Session
from synth_pipeline_tests.loopback.wire import break_connection, key_of, send

LARGEST_BODY = 256 * 2**20
OWN_PATHS = ("/stats", "/dials", "/forget")
GEMINI_PATHS = tuple(f"{base}/models/{{model}}:generateContent" for base in ("/v1beta", "/v1", ""))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
StoreHandler = Callable[[web.Request], Awaitable[Reply]]


class LoopbackServer:
    """A model server's state and routes.

    Args:
        author: writes the completions.
        dials: how it behaves at the start.
    """

    def __init__(self, author: Author, dials: Dials) -> None:
        self._author, self._start, self._session = author, dials, Session(dials)
        self._open: dict[int, web.Request] = {}
        self._files = Files()
        self._batches = Batches(Worker(self._files, author, lambda: self._session))

    def make_app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._count_or_die])
        asked: dict[str, Dialect] = {"/v1/chat/completions": OPENAI, "/v1/messages": ANTHROPIC}
        asked |= dict.fromkeys(GEMINI_PATHS, GEMINI)
        for path, dialect in asked.items():
            app.router.add_post(path, self._completing(dialect))
        app.router.add_post("/v1/embeddings", self._embed)
        stored = [("GET", "/v1/models", _list_models), *self._files.routes(), *self._batches.routes()]
        for method, path, handler in stored:
            app.router.add_route(method, path, self._storing(handler))
        app.router.add_get("/stats", self._show_stats)
        app.router.add_post("/dials", self._set_dials)
        app.router.add_patch("/dials", self._turn_dials)
        app.router.add_post("/forget", self._forget)
        return app

    @web.middleware
    async def _count_or_die(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OWN_PATHS:
            return await handler(request)
        stats, route = self._session.stats, request.match_info.route.resource
        stats.paths[f"{request.method} {route.canonical if route else request.path}"] += 1
        stats.last_path = request.path
        if self._session.dials.dead:
            stats.faults["dead"] += 1
            return break_connection(request)
        self._open[id(request)] = request
        try:
            return await handler(request)
        finally:
            del self._open[id(request)]

    # -------------------------------------------------------------------------------------- completions and embeddings

    def _completing(self, dialect: Dialect) -> Handler:
        async def complete(request: web.Request) -> web.StreamResponse:
            model = request.match_info.get("model", "")
            return await self._serve(
                request, dialect, lambda body: Completing(self._author, dialect, dialect.read(body, model))
            )

        return complete

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, OPENAI, Embedding.read)

    async def _serve(self, request: web.Request, dialect: Dialect, read: Callable[[Json], Job]) -> web.StreamResponse:
        raw, session, key = await request.read(), self._session, key_of(request)
        number = session.stats.count_request(raw)
        session.stats.remember_key(key)
        try:
            job = read(json.loads(raw))
        except NOT_TO_BE_READ as error:
            refused = TurnedAway(400, f"{type(error).__name__}: {error}")
            return await _respond(request, session, turn_away(dialect, refused, session.dials))
        session.stats.count_ask(job.identity)
        if not session.admits(job.most_tokens):
            session.stats.rejected += 1
            refused = TURNED_AWAY["rate_limit"]
            return await _respond(request, session, turn_away(dialect, refused, session.dials, key))
        with session.stats.in_hand():
            fault = session.next_fault(number, job.possible)
            await session.pause(number)
            if told := error_of(fault):
                return await _respond(request, session, turn_away(dialect, told, session.dials, key))
            produced = job.produce(session.dials, fault, f"loopback-{number}")
            if fault not in UNBILLED:
                session.stats.bill(produced.tokens_in, produced.tokens_out)
            if request.transport is None:
                session.stats.given_up += 1
            elif produced.reply.wire == "whole":
                session.stats.answered += fault is None
                session.stats.count_answer(job.identity)
            return await _respond(request, session, produced.reply)

    # -------------------------------------------------------------------------------------- files, batches, models

    def _storing(self, handler: StoreHandler) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            session, key = self._session, key_of(request)
            session.stats.remember_key(key)
            fault = session.next_store_fault()
            if refused := error_of(fault):
                return await send(request, turn_away(OPENAI, refused, session.dials, key))
            try:
                reply = await handler(request)
            except NotThere as missing:
                reply = turn_away(OPENAI, TurnedAway(404, str(missing)), session.dials)
            except NOT_TO_BE_READ as unread:
                reply = turn_away(OPENAI, TurnedAway(400, f"{type(unread).__name__}: {unread}"), session.dials)
            return await send(request, break_off(reply, fault))

        return serve

    # -------------------------------------------------------------------------------------- the server's own

    async def _show_stats(self, _: web.Request) -> web.Response:
        return web.json_response(self._session.stats.show())

    async def _set_dials(self, request: web.Request) -> web.Response:
        return await self._turn(request, Session(self._start))

    async def _turn_dials(self, request: web.Request) -> web.Response:
        return await self._turn(request, self._session)

    async def _turn(self, request: web.Request, session: Session) -> web.Response:
        try:
            self._session = session.turned(await request.json())
        except NOT_TO_BE_READ as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        for waiting in list(self._open.values()) if self._session.dials.dead else ():
            break_connection(waiting)
        return web.json_response(asdict(self._session.dials))

    async def _forget(self, _: web.Request) -> web.Response:
        self._files.forget()
        self._batches.forget()
        return web.json_response({})


async def _respond(request: web.Request, session: Session, reply: Reply) -> web.StreamResponse:
    return await send(request, reply.with_headers(session.rate_headers()))


async def _list_models(_: web.Request) -> Reply:
    models: list[dict[str, Any]] = [
        {"id": name, "object": "model", "created": 0, "owned_by": "loopback"} for name in load_voices()
    ]
    return json_reply({"object": "list", "data": models})
