"""OpenAI's batches endpoint."""

import asyncio
import time
from typing import Any

from aiohttp import web

from synth_pipeline_tests.loopback.answering import json_reply
from synth_pipeline_tests.loopback.batch import Batch
from synth_pipeline_tests.loopback.batch_work import Worker
from synth_pipeline_tests.loopback.faults import Json, Reply
from synth_pipeline_tests.loopback.files import NotThere, StoredFile, StoreRoute, list_page

ENDPOINTS = ("/v1/chat/completions", "/v1/embeddings")
WINDOW = "24h"
MOST_LISTED = 100
MOST_METADATA = 16
UNDER_WAY = ("validating", "in_progress", "finalizing", "cancelling")


class Batches:
    """All batches by id, and their endpoints.

    Args:
        worker: works through them.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._batches: dict[str, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._n_made = 0

    def routes(self) -> list[StoreRoute]:
        """Return method, path and handler of each endpoint."""
        return [
            ("POST", "/v1/batches", self._create),
            ("GET", "/v1/batches", self._list),
            ("GET", "/v1/batches/{id}", self._show),
            ("POST", "/v1/batches/{id}/cancel", self._cancel),
        ]

    def forget(self) -> None:
        """Drop all batches, those that are worked on too."""
        self._batches.clear()
        for task in self._tasks:
            task.cancel()

    async def _create(self, request: web.Request) -> Reply:
        body = await request.json()
        given = self._check(body)
        self._n_made += 1
        name = f"batch_loopback{self._n_made:06d}"
        batch = Batch(name, body["endpoint"], given.id, body.get("metadata"), int(time.time()))
        self._batches[batch.id] = batch
        task = asyncio.create_task(self._worker.work(batch, given))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return json_reply(batch.show())

    def _check(self, body: Json) -> StoredFile:
        """Return the input of the batch that `body` asks for."""
        _one_of(ENDPOINTS, body["endpoint"], "endpoint")
        _one_of((WINDOW,), body["completion_window"], "completion_window")
        metadata = body.get("metadata") or {}
        if len(metadata) > MOST_METADATA or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError(f"'metadata' must be at most {MOST_METADATA} texts")
        given = self._worker.files.find(body["input_file_id"])
        _one_of(("batch",), given.purpose, "purpose")
        return given

    async def _list(self, request: web.Request) -> Reply:
        newest_first = [batch.show() for batch in reversed(self._batches.values())]
        return json_reply(list_page(newest_first, request, MOST_LISTED))

    async def _show(self, request: web.Request) -> Reply:
        return json_reply(self._find(request).show())

    async def _cancel(self, request: web.Request) -> Reply:
        batch = self._find(request)
        if batch.status not in UNDER_WAY:
            raise ValueError(f"Cannot cancel a batch with status '{batch.status}'.")
        batch.move("cancelling")
        return json_reply(batch.show())

    def _find(self, request: web.Request) -> Batch:
        name = request.match_info["id"]
        if name not in self._batches:
            raise NotThere(f"No batch found with id '{name}'.")
        return self._batches[name]


def _one_of(words: tuple[str, ...], given: Any, name: str) -> None:
    if given not in words:
        raise ValueError(f"{given!r} is none of {list(words)} - {name!r}")
