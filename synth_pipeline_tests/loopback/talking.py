"""How these tests speak to a server: plain HTTP, one request a connection, or many side by side."""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

WAIT_S = 30.0
SCHEMA = {
    "title": "parcels_record",
    "type": "object",
    "properties": {"note": {"type": "string"}, "weight_g": {"type": "integer", "minimum": 1}},
    "required": ["note", "weight_g"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Exchange:
    """What came back, and how many seconds it took."""

    status: int
    headers: Mapping[str, str]
    text: str
    took_s: float

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def content(self) -> str:
        return str(self.json["choices"][0]["message"]["content"])


def talk(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Exchange:
    """Return what the server answers; http.client's errors and those of sockets pass through."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=WAIT_S)
    started = time.monotonic()
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, body, dict(headers or {}))
        with connection.getresponse() as response:
            text = response.read().decode()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Exchange(response.status, told, text, time.monotonic() - started)
    finally:
        connection.close()


def post(url: str, body: object, **headers: str) -> Exchange:
    """Return what the server answers to `body` as JSON; `x_api_key` is sent as `x-api-key`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return talk("POST", url, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def get(url: str) -> Exchange:
    """Return what the server answers."""
    return talk("GET", url)


def chat(prompt: str = "Write.", **changes: Any) -> dict[str, Any]:
    """Return the body of a chat completion that wants a record."""
    wanted = {"name": "parcels__write", "schema": SCHEMA, "strict": True}
    return {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": f"{prompt}\n\n- weight_g: 1200"}],
        "response_format": {"type": "json_schema", "json_schema": wanted},
        "seed": 7,
        **changes,
    }


def ask(base_url: str, prompt: str = "Write.", **changes: Any) -> Exchange:
    """Return the answer to a chat completion."""
    return post(f"{base_url}/chat/completions", chat(prompt, **changes), Authorization="Bearer sk-canary")


def ask_many(base_url: str, n: int) -> list[Exchange]:
    """Return the answers to `n` different chat completions, asked all at once."""
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda number: ask(base_url, f"Write {number}."), range(n)))


def wait_until(reached: Callable[[], bool]) -> None:
    """Return when `reached`; fail after a while."""
    deadline = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)
