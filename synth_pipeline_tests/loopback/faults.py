"""The faults a server can be told to show: what it sends in the place of a sound completion."""

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One request and the sound completion that a fault may spoil; `retry_after` is what a 429 says, if anything."""

    request: web.Request
    completion: Json
    retry_after: str | None

    @property
    def content(self) -> str:
        """What the voice wrote."""
        return str(self.completion["choices"][0]["message"]["content"])

    def choose(self, content: str | None, finish_reason: str, refusal: str | None = None) -> web.Response:
        """Return the completion with another choice."""
        message = {"role": "assistant", "content": content, "refusal": refusal}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return web.json_response({**self.completion, "choices": [choice]})


Fault = Callable[[Call], web.Response]


def _turn_away(status: int, text: str) -> Fault:
    def fail(call: Call) -> web.Response:
        sent = call.request.headers.get("Authorization", "nothing").removeprefix("Bearer ")
        error = {"message": text.format(key=sent), "type": "loopback", "code": status}
        asked = {"Retry-After": call.retry_after} if status == 429 and call.retry_after is not None else None
        return web.json_response({"error": error}, status=status, headers=asked)

    return fail


def _reset(call: Call) -> web.Response:
    transport = call.request.transport
    if transport is not None:
        at_once = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        transport.abort()
    return web.Response()


FAULTS: dict[str, Fault] = {
    # the call fails
    "rate_limit": _turn_away(429, "slow down"),
    "server_error": _turn_away(500, "out of order"),
    "bad_gateway": _turn_away(502, "nobody behind the gateway"),
    "reset": _reset,
    "malformed_body": lambda _: web.Response(text='{"id": "cut', content_type="application/json"),
    # the call can never succeed; the error repeats the key it was sent
    "unauthorized": _turn_away(401, "key {key} is not known here"),
    "forbidden": _turn_away(403, "key {key} may not do this"),
    "not_found": _turn_away(404, "no such model for key {key}"),
    "bad_request": _turn_away(400, "the request of {key} makes no sense"),
    # an answer comes, and is none
    "content_policy": _turn_away(400, "Your request was rejected as a result of our safety system. {key}"),
    "refusal": lambda call: call.choose(None, "stop", refusal="I will not write that."),
    "refusal_in_words": lambda call: call.choose("I'm sorry, but I can't help with that.", "stop"),
    "cut_off": lambda call: call.choose(call.content[: len(call.content) // 2], "length"),
    "content_filter": lambda call: call.choose("", "content_filter"),
    "empty_choices": lambda call: web.json_response({**call.completion, "choices": []}),
    "empty_content": lambda call: call.choose("", "stop"),
    "malformed_json": lambda call: call.choose(call.content[:-1] + ",", "stop"),
    "lone_surrogate": lambda call: call.choose(call.content[:-1] + "\ud83d", "stop"),
}
