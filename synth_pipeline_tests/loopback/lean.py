"""The lean server: one canned completion for every request, at so little cost that a benchmark measures its client.

It speaks just enough HTTP/1.1 (kept-alive connections, bodies of a declared length, one request after another), and
knows `POST .../chat/completions`, `/stats` and `/dials`. Of a request it reads the length and the model. It has the
dials but those of stores, windows, contents and voices; no key is remembered; requests are the same where their bodies
are.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from synth_pipeline.llm.offline import OfflineRequest, answer, load_voices
from synth_pipeline.llm.offline.answer import estimate_tokens
from synth_pipeline_tests.loopback.answering import break_off, error_of, json_reply, turn_away
from synth_pipeline_tests.loopback.dialects import OPENAI, Ask
from synth_pipeline_tests.loopback.dials import Dials
from synth_pipeline_tests.loopback.faults import SPOILT, TURNED_AWAY, UNBILLED, Completion, Reply, TurnedAway
from synth_pipeline_tests.loopback.session import Session
from synth_pipeline_tests.loopback.wire import UNTIL_READ_S, reset

HEAD_END, CHUNKED, COMPLETIONS = b"\r\n\r\n", b"chunked", b"/chat/completions"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
MODEL = re.compile(rb'"model"\s*:\s*"([^"]+)"')
NAME = "loopback-{:012d}"
CANNED_NAME = NAME.format(0).encode()
TOKENS_IN, WORDS = 200, 180
NOT_HERE = {
    "store_faults",
    "requests_per_minute",
    "tokens_per_minute",
    "window_s",
    "content",
    "voice_faults",
    "batch_s",
    "batch_ends",
}
RECORD = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


def write_record(schema: dict[str, Any]) -> str:
    """Return a record that fits `schema`, as a voice writes it: about 300 tokens where it holds one free text."""
    given = json.dumps({"words": WORDS})
    request = OfflineRequest((("user", f"```json\n{given}\n```"),), "lean", schema)
    return answer(request, load_voices()["formal"].without_faults(), {}).text


class LeanServer:
    """What all connections share: the canned completion, and the session.

    Args:
        content: what every completion says.
        dials: how it behaves at the start.
    """

    def __init__(self, content: str, dials: Dials) -> None:
        self._sound = Completion(content, "stop", TOKENS_IN, estimate_tokens(len(content)))
        self._start, self.session = dials, Session(dials)
        self.connections: set[Connection] = set()
        self.canned = lru_cache(maxsize=1024)(self._can)

    def _can(self, model: str, fault: str | None) -> "Canned":
        completion = SPOILT[fault](self._sound) if fault in SPOILT else self._sound
        reply = break_off(json_reply(OPENAI.write(Ask(model, ()), completion, CANNED_NAME.decode())), fault)
        return Canned(reply, completion)

    def turn(self, body: bytes, asker: "Connection", *, afresh: bool) -> Reply:
        """Return what to answer to the asker of new dials, which are now in force."""
        try:
            given = json.loads(body)
            if strange := sorted(NOT_HERE & set(given)):
                raise ValueError(f"the lean server has no dials {strange}")
            self.session = (Session(self._start) if afresh else self.session).turned(given)
        except (TypeError, ValueError) as error:
            return Reply(400, str(error).encode())
        for connection in self.connections - {asker} if self.session.dials.dead else ():
            connection.break_off()
        return json_reply(asdict(self.session.dials))


class Canned:
    """A completion as it leaves: the reply, its bytes with a number in the place of its id's, and its tokens."""

    def __init__(self, reply: Reply, completion: Completion) -> None:
        self.wire, self._bytes = reply.wire, to_bytes(reply)
        self.head_size = len(self._bytes) - len(reply.body)
        self.tokens = (completion.tokens_in, completion.tokens_out)

    def numbered(self, number: int) -> bytes:
        """Return the bytes to send."""
        return self._bytes.replace(CANNED_NAME, NAME.format(number).encode(), 1)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: LeanServer) -> None:
        self._server, self._received = server, b""
        self._transport: asyncio.Transport | None = None
        self._hanging: list[Callable[[], None]] = []
        self._later = asyncio.get_running_loop().call_later

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what hangs."""
        self._transport = None
        self._server.connections.discard(self)
        for end in self._hanging:
            end()

    def break_off(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            reset(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answer what has arrived whole."""
        self._received = self._received + data if self._received else data
        while (end := self._received.find(HEAD_END)) >= 0:
            head, start = self._received[:end], end + len(HEAD_END)
            found = LENGTH.search(head)
            stop = start + (int(found[1]) if found else 0)
            if len(self._received) < stop:
                return
            body, self._received = self._received[start:stop], self._received[stop:]
            self._route(head, body)

    def _route(self, head: bytes, body: bytes) -> None:
        method, path, *_ = head.split(b" ", 2)
        path = path.partition(b"?")[0]
        if path.endswith(COMPLETIONS) and CHUNKED not in head:
            self._complete(body)
        elif path == b"/stats":
            self._write(to_bytes(json_reply(self._server.session.stats.show())))
        elif path == b"/dials":
            self._write(to_bytes(self._server.turn(body, self, afresh=method == b"POST")))
        else:
            self._turn_away(TurnedAway(404, "the lean server has chat completions alone, and takes no chunks"))

    def _complete(self, body: bytes) -> None:
        session = self._server.session
        stats = session.stats
        if session.dials.dead:
            stats.faults["dead"] += 1
            self.break_off()
            return
        number = stats.count_request(body)
        stats.count_ask(hash(body))
        if not session.admits(0):
            stats.rejected += 1
            self._turn_away(TURNED_AWAY["rate_limit"])
            return
        stats.begin()
        fault = session.next_fault(number)
        self._later(session.dials.latency_of(number), self._answer, session, body, fault, number)

    def _answer(self, session: Session, body: bytes, fault: str | None, number: int) -> None:
        stats, error = session.stats, error_of(fault)
        if error is not None:
            stats.end()
            self._turn_away(error)
            return
        found = MODEL.search(body)
        canned = self._server.canned(found[1].decode("utf-8", "replace") if found else "lean", fault)
        if fault not in UNBILLED:
            stats.bill(*canned.tokens)
        if canned.wire == "hang" and self._transport is not None:
            self._hanging.append(stats.end)
            return
        stats.end()
        if self._transport is None:
            stats.given_up += 1
        elif canned.wire == "whole":
            stats.answered += fault is None
            stats.count_answer(hash(body))
        self._send(canned, number)

    def _send(self, canned: Canned, number: int) -> None:
        sent = canned.numbered(number)
        if canned.wire == "whole":
            self._write(sent)
        elif canned.wire == "reset":
            self.break_off()
        else:
            self._write(sent[: (canned.head_size + len(sent)) // 2])
            self._later(UNTIL_READ_S, self.break_off if canned.wire == "reset_in_body" else self._close)

    def _turn_away(self, refused: TurnedAway) -> None:
        self._write(to_bytes(turn_away(OPENAI, refused, self._server.session.dials)))

    def _write(self, sent: bytes) -> None:
        if self._transport is not None:
            self._transport.write(sent)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def to_bytes(reply: Reply) -> bytes:
    """Return a reply as HTTP/1.1 writes it."""
    phrase = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else "Failed"
    headers = {**reply.headers, "Content-Length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + HEAD_END + reply.body


async def start_lean(server: LeanServer, host: str, port: int, backlog: int) -> asyncio.Server:
    """Return the listening server."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(partial(Connection, server), host, port, backlog=backlog)
