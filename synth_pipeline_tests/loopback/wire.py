"""How a reply goes over aiohttp's wire: whole, or broken off as the fault asks; and who sent a request."""

import asyncio
import socket
import struct

from aiohttp import web

from synth_pipeline_tests.loopback.faults import Reply

UNTIL_READ_S = 0.02
LOOK_AGAIN_S = 0.02
RESET_AT_ONCE = struct.pack("ii", 1, 0)


async def send(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Return the response that sends `reply`, or has broken off already."""
    if reply.wire == "whole":
        return web.Response(body=reply.body, status=reply.status, headers=reply.headers)
    if reply.wire == "hang":
        await _until_given_up(request)
    if reply.wire in ("reset_in_body", "truncated_body"):
        return await _send_half(request, reply)
    return break_connection(request)


def break_connection(request: web.Request) -> web.Response:
    """Reset the connection at once, with nothing sent; the response goes nowhere."""
    if request.transport is not None:
        reset(request.transport)
    return web.Response()


def reset(transport: asyncio.Transport) -> None:
    """Close a connection so that the other side sees a reset."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
    transport.abort()


def key_of(request: web.Request) -> str | None:
    """Return the key that a request carries, in whichever provider's way."""
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    own = request.headers.get("x-api-key") or request.headers.get("x-goog-api-key")
    return bearer or own or request.query.get("key")


async def _send_half(request: web.Request, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    try:
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
        await asyncio.sleep(UNTIL_READ_S)
    except ConnectionError:
        return response
    if request.transport is not None and reply.wire == "reset_in_body":
        reset(request.transport)
    elif request.transport is not None:
        request.transport.close()
    return response


async def _until_given_up(request: web.Request) -> None:
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110  # aiohttp has no event for it
        await asyncio.sleep(LOOK_AGAIN_S)
