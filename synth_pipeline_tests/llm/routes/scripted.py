"""A server on 127.0.0.1 that sends exactly what a test gives it, or breaks off as told, and keeps what it was sent."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


@dataclass(frozen=True)
class Reply:
    """What the server does with a request.

    Args:
        body: what it sends; a dict is sent as JSON.
        status: the response's status.
        headers: of the response, beside the length and the type.
        act: answers, resets the connection, sends half the body and closes, closes before it answers, or stays silent.
        content_type: of the body.
    """

    body: dict[str, Any] | str | bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    act: Literal["answer", "reset", "truncate", "close", "hang"] = "answer"
    content_type: str = "application/json"

    def encoded(self) -> tuple[bytes, bytes]:
        """Return the head and the body as they go over the wire."""
        body = json.dumps(self.body) if isinstance(self.body, dict) else self.body
        content = body.encode() if isinstance(body, str) else body
        reasons = {one.value: one.phrase for one in HTTPStatus}
        lines = [f"HTTP/1.1 {self.status} {reasons.get(self.status, 'Unknown')}", f"Content-Type: {self.content_type}"]
        lines += [f"Content-Length: {len(content)}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode(), content


@dataclass(frozen=True)
class Request:
    """What the server was sent; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class ScriptedServer:
    """Sends `reply` to every request, until it is set to another."""

    address: str
    reply: Reply = field(default_factory=Reply)
    requests: list[Request] = field(default_factory=list)
    n_connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.n_connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> bool:
        """Do as told; return whether the connection stays open."""
        head, body = self.reply.encoded()
        match self.reply.act:
            case "hang":
                await asyncio.Event().wait()
            case "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                writer.transport.abort()
                return False
            case "close":
                return False
            case "truncate":
                writer.write(head + body[: len(body) // 2])
                await writer.drain()
                return False
        writer.write(head + body)
        await writer.drain()
        return True


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split()[1], headers, json.loads(body) if body else None)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """Yield a server that listens in this event loop; it is stopped in the end, with what hangs."""
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(asyncio.CancelledError):  # the server is stopped; streams would report it as a fault
            await server.serve(reader, writer)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    server = ScriptedServer(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield server
    finally:
        listener.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
