"""OpenAI's files: kept in memory until they are deleted or forgotten."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from synth_pipeline_tests.loopback.answering import json_reply
from synth_pipeline_tests.loopback.faults import Json, Reply

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
StoreRoute = tuple[str, str, Callable[[web.Request], Awaitable[Reply]]]


class NotThere(Exception):
    """No file or batch has that id."""


@dataclass(frozen=True)
class StoredFile:
    """One file."""

    id: str
    filename: str
    purpose: str
    content: bytes
    created_at: int

    def show(self) -> Json:
        """Return OpenAI's file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "expires_at": None,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


@dataclass
class Files:
    """All files by id, and their endpoints."""

    _files: dict[str, StoredFile] = field(default_factory=dict)
    _n_made: int = 0

    def routes(self) -> list[StoreRoute]:
        """Return method, path and handler of each endpoint."""
        return [
            ("POST", "/v1/files", self._upload),
            ("GET", "/v1/files", self._list),
            ("GET", "/v1/files/{id}", self._show),
            ("DELETE", "/v1/files/{id}", self._delete),
            ("GET", "/v1/files/{id}/content", self._give),
        ]

    def keep(self, filename: str, purpose: str, content: bytes) -> StoredFile:
        """Return the new file."""
        self._n_made += 1
        made = StoredFile(f"file-loopback{self._n_made:06d}", filename, purpose, content, int(time.time()))
        self._files[made.id] = made
        return made

    def find(self, name: str) -> StoredFile:
        """Return the file with that id.

        Raises:
            NotThere: there is none.
        """
        if name not in self._files:
            raise NotThere(f"No such File object: {name}")
        return self._files[name]

    def forget(self) -> None:
        """Drop all files."""
        self._files.clear()

    async def _upload(self, request: web.Request) -> Reply:
        form = await request.post()
        given, purpose = form["file"], form["purpose"]
        if purpose not in PURPOSES:
            raise ValueError(f"{purpose!r} is none of {list(PURPOSES)} - 'purpose'")
        if not isinstance(given, web.FileField):
            raise ValueError("'file' is no file")
        return json_reply(self.keep(given.filename, str(purpose), given.file.read()).show())

    async def _list(self, request: web.Request) -> Reply:
        return json_reply(list_page([file.show() for file in reversed(self._files.values())], request))

    async def _show(self, request: web.Request) -> Reply:
        return json_reply(self.find(request.match_info["id"]).show())

    async def _delete(self, request: web.Request) -> Reply:
        gone = self._files.pop(self.find(request.match_info["id"]).id)
        return json_reply({"id": gone.id, "object": "file", "deleted": True})

    async def _give(self, request: web.Request) -> Reply:
        content = self.find(request.match_info["id"]).content
        return Reply(200, content, {"Content-Type": "application/octet-stream"})


def list_page(rows: list[Json], request: web.Request, most: int = 10_000) -> Json:
    """Return the page of `rows` that the query's `after` and `limit` name, at most `most` of them.

    Raises:
        ValueError: `limit` is out of bounds.
        NotThere: no row has the id `after`.
    """
    limit, after = int(request.query.get("limit", min(20, most))), request.query.get("after")
    if not 1 <= limit <= most:
        raise ValueError(f"limit {limit} is not between 1 and {most}")
    ids = [row["id"] for row in rows]
    if after is not None and after not in ids:
        raise NotThere(f"No such object: {after}")
    start = ids.index(after) + 1 if after is not None else 0
    page = rows[start : start + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(rows),
    }
