"""A provider with ways of its own: what the loopback server answers, changed on its way back as a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Change = Callable[[str, int, bytes], tuple[int, bytes]]  # "GET /v1/batches/…", the status and the body


def unchanged(_: str, status: int, body: bytes) -> tuple[int, bytes]:
    """Return a reply as it is."""
    return status, body


@dataclass
class OddProvider:
    """Where it listens, and how it changes replies."""

    base_url: str
    change: Change = unchanged

    def change_batches(self, change: Callable[[Json], Json]) -> None:
        """Show each batch otherwise from now on, by itself and in the list."""

        def changed(asked: str, status: int, body: bytes) -> tuple[int, bytes]:
            if "/batches" not in asked or status != 200:
                return status, body
            shown = json.loads(body)
            listed = shown.get("data")
            shown = change(shown) if listed is None else {**shown, "data": [change(one) for one in listed]}
            return status, json.dumps(shown).encode()

        self.change = changed

    def change_lines(self, change: Callable[[list[Json]], list[Any]]) -> None:
        """Give other lines in the files from now on; what is no JSON is given as it is."""

        def changed(asked: str, status: int, body: bytes) -> tuple[int, bytes]:
            if not asked.endswith("/content") or status != 200:
                return status, body
            lines = change([json.loads(line) for line in body.splitlines()])
            return status, "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines).encode()

        self.change = changed

    def answer(self, path: str, status: int, body: object) -> None:
        """Answer so wherever a method and path begin so, from now on, whatever the server does."""
        told = json.dumps(body).encode()
        self.change = lambda asked, *kept: (status, told) if asked.startswith(path) else kept


@contextmanager
def odd_provider(address: str) -> Iterator[OddProvider]:
    """Yield a provider before the server at `address`, its base URL."""
    host, _, path = address.removeprefix("http://").partition("/")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}
            }
            with closing(HTTPConnection(host, timeout=60)) as connection:
                connection.request(self.command, self.path, sent, headers)
                reply = connection.getresponse()
                status, body = odd.change(f"{self.command} {self.path}", reply.status, reply.read())
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = serve  # noqa: N815  # the names that http.server calls

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        odd = OddProvider(f"http://127.0.0.1:{server.server_address[1]}/{path}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield odd
        server.shutdown()
        thread.join()
