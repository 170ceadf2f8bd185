"""What a server has seen since it started, or since its dials were set."""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

N_BODIES = 5


@dataclass
class Stats:
    """The counts, and the last requests.

    Args:
        requests: requests for completions and embeddings, those turned away too; lines of batches are not.
        answered: of these, the soundly answered ones.
        given_up: of these, the ones whose client was gone before the answer was there.
        rejected: of these, the ones turned away by `admit`, `requests_per_minute` or `tokens_per_minute`.
        in_flight: requests that are worked on now.
        most_in_flight: most of them at once.
        faults: requests and lines of batches that met each fault; `dead`: those that found the server dead.
        paths: requests of any kind by method and route.
        batch_requests: lines of batches that were worked on.
        billed_requests: completions and embeddings produced for requests, also those that then did not arrive whole.
        billed_tokens_in: their prompt tokens.
        billed_tokens_out: their completion tokens.
        batch_tokens_in: prompt tokens of the lines of batches.
        batch_tokens_out: completion tokens of the lines of batches.
        distinct: how many different requests there were: by model, messages and seed.
        asked_again: how many repeated an earlier one.
        answered_more_than_once: how many different requests got more than one whole completion, sound or spoilt; lines
            of batches count.
        last_key_sha256: SHA-256 of the key that came last; None where none came.
        last_path: where the last request went.
        bodies: the last few requests' bodies.
    """

    requests: int = 0
    answered: int = 0
    given_up: int = 0
    rejected: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    batch_requests: int = 0
    billed_requests: int = 0
    billed_tokens_in: int = 0
    billed_tokens_out: int = 0
    batch_tokens_in: int = 0
    batch_tokens_out: int = 0
    distinct: int = 0
    asked_again: int = 0
    answered_more_than_once: int = 0
    last_key_sha256: str | None = None
    last_path: str | None = None
    bodies: deque[bytes] = field(default_factory=lambda: deque(maxlen=N_BODIES))
    _answers: dict[Hashable, int] = field(default_factory=dict)

    def count_request(self, body: bytes) -> int:
        """Count a request that came and return its number, from 1."""
        self.requests += 1
        self.bodies.append(body)
        return self.requests

    def count_ask(self, request: Hashable) -> None:
        """Count a request or a line of a batch by its identity."""
        if request in self._answers:
            self.asked_again += 1
        else:
            self._answers[request] = 0
            self.distinct += 1

    def count_answer(self, request: Hashable) -> None:
        """Count a completion that went out whole."""
        self._answers[request] = self._answers.get(request, 0) + 1
        self.answered_more_than_once += self._answers[request] == 2

    def begin(self) -> None:
        """A request begins to be worked on."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def end(self) -> None:
        """A request is worked on no more."""
        self.in_flight -= 1

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """A request is worked on meanwhile."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def bill(self, tokens_in: int, tokens_out: int) -> None:
        """Count what was produced for a request."""
        self.billed_requests += 1
        self.billed_tokens_in += tokens_in
        self.billed_tokens_out += tokens_out

    def bill_batch(self, tokens_in: int, tokens_out: int) -> None:
        """Count what was produced for a line of a batch."""
        self.batch_tokens_in += tokens_in
        self.batch_tokens_out += tokens_out

    def remember_key(self, key: str | None) -> None:
        """Keep the hash of a key, never the key."""
        self.last_key_sha256 = hashlib.sha256(key.encode()).hexdigest() if key else None

    def show(self) -> dict[str, Any]:
        """Return all as JSON's types, with `last_body` and `last_bodies`, oldest first."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("bodies", "_answers")}
        bodies = [_read(body) for body in self.bodies]
        return {**shown, "last_body": bodies[-1] if bodies else {}, "last_bodies": bodies}


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
