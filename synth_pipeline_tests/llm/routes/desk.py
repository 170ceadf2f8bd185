"""Both routes to one scripted server, and what each makes of a reply."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from synth_pipeline.contracts.errors import CallError
from synth_pipeline.contracts.protocols import CallRequest
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.llm.purchases import Answer, Purchase, Route
from synth_pipeline.llm.routes import DirectRoute, LiteLLMRoute
from synth_pipeline_tests.llm.routes.replies import KEY
from synth_pipeline_tests.llm.routes.scripted import Reply, Request, ScriptedServer, scripted_server
from synth_pipeline_tests.scenario import TEMPLATES

KEY_NAME, BASE_NAME = "CANARY_KEY", "CANARY_BASE"
PROMPT = ({"role": "system", "content": "You write notes."}, {"role": "user", "content": "Write – one."})
REPAIR = (*PROMPT, {"role": "assistant", "content": "no"}, {"role": "user", "content": "Again."})
NOISE = ("accept", "accept-encoding", "connection", "content-length", "host", "user-agent")
STAINLESS = "x-stainless-"


class Note(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field(description="the note", min_length=5)
    city: str


def row_of(family: str, model: str, **changes: Any) -> Provider:
    """Return a row whose key and address are in the environment under names of our own."""
    row = {"name": "row", "family": family, "models": {"default": f"{family}/{model}"}, "timeout_s": 30}
    return Provider.model_validate({**row, "api_key_env": KEY_NAME, "api_base_env": BASE_NAME, **changes})


def purchase(**changes: Any) -> Purchase:
    """Return one purchase; `messages` is the prompt, all else is the request's."""
    messages = changes.pop("messages", PROMPT)
    fixed = {"role": "write", "sample": "p1", "record_class": Note, "schema_name": "parcels__write"}
    request = {**fixed, "template": TEMPLATES["write"], "temperature": 0.5, "max_tokens": 400, "seed": 7}
    asked = CallRequest(messages=messages, **{**request, **changes})
    return Purchase(asked, messages, "key", 0, Price(usd_per_mtok_in=0, usd_per_mtok_out=0))


@dataclass(frozen=True)
class Outcome:
    """What a route makes of a reply: an answer, or the error's class, text and fields; and what was sent for it."""

    answer: Answer | None
    error: tuple[type[CallError], str, dict[str, Any]] | None
    sent: tuple[Request, ...]


def fields_of(error: tuple[type[CallError], str, dict[str, Any]]) -> tuple[Any, ...]:
    """Return an error's fault, status, wait and whether it may be billed."""
    fields = error[2]
    return fields["fault"], fields["http_status"], fields["retry_after_s"], fields["may_be_billed"]


@dataclass(frozen=True)
class Desk:
    """Both routes, and the server that they ask."""

    server: ScriptedServer
    direct: Route
    litellm: Route

    async def both(self, reply: Reply, bought: Purchase | None = None) -> tuple[Outcome, Outcome]:
        """Return what the direct route makes of a reply, and what LiteLLM makes of it."""
        self.server.reply = reply
        one, other = [await self._outcome(route, bought or purchase()) for route in (self.direct, self.litellm)]
        return one, other

    async def _outcome(self, route: Route, bought: Purchase) -> Outcome:
        self.server.requests.clear()
        try:
            answer = await route.ask(bought)
        except CallError as error:
            return Outcome(None, (type(error), str(error), vars(error)), self._sent())
        return Outcome(answer, None, self._sent())

    def _sent(self) -> tuple[Request, ...]:
        return tuple(_without_noise(request) for request in self.server.requests)


def _without_noise(request: Request) -> Request:
    headers = {
        name: value for name, value in request.headers.items() if name not in NOISE and not name.startswith(STAINLESS)
    }
    return Request(request.path, headers, request.body)


@asynccontextmanager
async def open_desk(family: str, model: str, environment: pytest.MonkeyPatch, **changes: Any) -> AsyncIterator[Desk]:
    """Yield both routes to a model; `address` is where they go instead of to the server, all else is the row's."""
    address = changes.pop("address", None)
    async with scripted_server() as server:
        environment.setenv(KEY_NAME, KEY)
        environment.setenv(BASE_NAME, address or server.address)
        row = row_of(family, model, **changes)
        named = row.models["default"]
        notices: list[str] = []
        desk = Desk(server, DirectRoute(row, named, notices.append), LiteLLMRoute(row, named))
        try:
            yield desk
        finally:
            await asyncio.gather(desk.direct.close(), desk.litellm.close())
        assert notices == []
