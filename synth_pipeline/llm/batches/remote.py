"""A provider's files and batches: endpoints like OpenAI's, over one HTTP session.

LiteLLM's own functions for them make a client a call and leave its connection open; its resolved address and headers
are taken here, and one session does the rest.
"""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from synth_pipeline.contracts.errors import PermanentCallError, TransientCallError
from synth_pipeline.llm.batches.lines import ENDPOINT, WITHOUT, Json, Lines
from synth_pipeline.llm.ledger import Batch
from synth_pipeline.llm.routes.direct import OK, open_session, proxy_of
from synth_pipeline.llm.routes.errors import Place, Reply
from synth_pipeline.llm.routes.faults import broken_by

if TYPE_CHECKING:
    import aiohttp

WINDOW = "24h"  # the one completion window that OpenAI has
TAG = "synth_batch"  # the metadata that names our batch at the provider
PAGE = "100"  # batches a page of the list: the most that OpenAI gives
ENDED = ("completed", "failed", "expired", "cancelled")
QUEUE_FULL = "token_limit_exceeded"  # OpenAI's code where too many tokens wait in the account's batches already
UPLOAD_S = 600.0  # as LiteLLM waits
CLOCKS_S = 3600.0  # chosen: more than clocks differ by
NO_SUCH_ENDPOINT = (404, 405, 501)
NOT_READ = "the answer does not say what such an endpoint says"


@dataclass(frozen=True)
class RemoteBatch:
    """A batch as its provider shows it.

    Args:
        id: the provider's name for it.
        status: OpenAI's word.
        key: our name for it; None where it is not ours, or the provider keeps no metadata.
        input_file_id: what was uploaded for it.
        output_file_id: where its answers are.
        error_file_id: where its errors are.
        n_done: how many of its calls have ended, well or not.
        created_at: Unix time; None where the provider does not say.
        faults: what its validation found, as code and words.
    """

    id: str
    status: str
    key: str | None
    input_file_id: str | None
    output_file_id: str | None
    error_file_id: str | None
    n_done: int
    created_at: float | None
    faults: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, row: Json) -> Self:
        """Return what a batch object says."""
        counts, metadata = row.get("request_counts") or {}, row.get("metadata") or {}
        faults = (row.get("errors") or {}).get("data") or []
        return cls(
            id=str(row["id"]),
            status=str(row["status"]),
            key=metadata.get(TAG),
            input_file_id=row.get("input_file_id"),
            output_file_id=row.get("output_file_id"),
            error_file_id=row.get("error_file_id"),
            n_done=(counts.get("completed") or 0) + (counts.get("failed") or 0),
            created_at=row.get("created_at"),
            faults=tuple(_fault_in(fault) for fault in faults),
        )

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status in ENDED

    @property
    def has_files(self) -> bool:
        """Whether it names files to be read."""
        return bool(self.output_file_id or self.error_file_id)

    @property
    def queue_was_full(self) -> bool:
        """Whether it failed for too much that waits already."""
        return any(code == QUEUE_FULL for code, _ in self.faults)

    def is_of(self, batch: Batch) -> bool:
        """Return whether it is what became of `batch`."""
        return self.key == batch.key or (batch.input_file_id is not None and self.input_file_id == batch.input_file_id)


class Remote:
    """The files and batches of one provider, as one model's key sees them; it lives in one event loop.

    Args:
        lines: of the model.

    Raises:
        TransientCallError: from every method, where asking again may help.
        PermanentCallError: from every method, where the provider refuses.
    """

    def __init__(self, lines: Lines) -> None:
        self._place: Place = lines.place
        self._base, self._headers = lines.address
        self._proxy = proxy_of(self._base)
        self._session: aiohttp.ClientSession | None = None

    async def upload(self, name: str, content: bytes) -> str:
        """Return the provider's name for a new file; a file that is never used costs nothing."""
        import aiohttp  # comes with LiteLLM, not with the code location

        form = aiohttp.FormData({"purpose": "batch"})
        form.add_field("file", io.BytesIO(content), filename=name, content_type="application/jsonl")
        made = await self._ask("POST", "/files", within_s=UPLOAD_S, data=form)
        if not made.get("id"):
            raise self._unread()
        return str(made["id"])

    async def create(self, batch: Batch) -> RemoteBatch:
        """Return a new batch over what was uploaded for it. Asked again, this makes, and bills, another one."""
        asked = {
            "input_file_id": batch.input_file_id,
            "endpoint": ENDPOINT,
            "completion_window": WINDOW,
            "metadata": {TAG: batch.key},
        }
        return self._batch_in(await self._ask("POST", "/batches", json=asked))

    async def show(self, name: str) -> RemoteBatch:
        """Return a batch as it is now."""
        return self._batch_in(await self._ask("GET", f"/batches/{name}"))

    async def find(self, batch: Batch) -> RemoteBatch | None:
        """Return what became of a batch that was handed over, as the provider lists it; None where it lists none."""
        begun_at, after = batch.begun_at.timestamp() - CLOCKS_S, dict[str, str]()
        while True:
            page = await self._ask("GET", "/batches", params={"limit": PAGE, **after})
            rows = [self._batch_in(row) for row in page.get("data") or []]
            found = next((row for row in rows if row.is_of(batch)), None)
            if found or not rows or not page.get("has_more") or (rows[-1].created_at or begun_at) < begun_at:
                return found
            after = {"after": rows[-1].id}

    async def read(self, file_id: str) -> AsyncGenerator[bytes]:
        """Yield the lines of a file as they come."""
        rest = b""
        async with self._response("GET", f"/files/{file_id}/content") as response:
            if response.status not in OK:
                raise self._place.error(await _reply(response))
            async for piece in response.content.iter_any():
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    yield line
        if rest:
            yield rest

    async def close(self) -> None:
        """Let go of connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, method: str, path: str, within_s: float | None = None, **sent: Any) -> Json:
        seconds = within_s or self._place.provider.timeout_s
        try:
            async with asyncio.timeout(seconds), self._response(method, path, **sent) as response:
                reply = await _reply(response)
        except TimeoutError:
            raise self._place.too_late(seconds) from None
        if reply.status not in OK:
            error = self._place.error(reply)
            if isinstance(error, PermanentCallError) and reply.status in NO_SUCH_ENDPOINT:
                named = self._place.provider.api_base_env
                at = f" at the address in {named}" if named else ""
                fix = f"check that the provider has files and batches{at}; if not, {WITHOUT}"
                raise PermanentCallError(error.what, where=error.where, fix=fix, http_status=reply.status)
            raise error
        return self._json_in(reply)

    def _json_in(self, reply: Reply) -> Json:
        try:
            read = json.loads(reply.body)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise self._unread()
        return read

    def _batch_in(self, row: Json) -> RemoteBatch:
        try:
            return RemoteBatch.read(row)
        except (LookupError, TypeError, AttributeError):
            raise self._unread() from None

    def _unread(self) -> TransientCallError:
        return self._place.broken("truncated", NOT_READ, may_be_billed=True)

    @asynccontextmanager
    async def _response(self, method: str, path: str, **sent: Any) -> "AsyncIterator[aiohttp.ClientResponse]":
        import aiohttp  # comes with LiteLLM, not with the code location

        if self._session is None:
            self._session = open_session()
        silent_s = max(self._place.provider.timeout_s, UPLOAD_S) if "data" in sent else self._place.provider.timeout_s
        patience = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=silent_s)
        asked: Json = {"headers": self._headers, "proxy": self._proxy, "timeout": patience, **sent}
        sending = self._session.request(method, f"{self._base}{path}", allow_redirects=method == "GET", **asked)
        try:
            async with sending as response:
                yield response
        except (aiohttp.ClientError, ConnectionError) as error:
            broken = broken_by(error, self._place)
        else:
            return
        raise broken


async def _reply(response: "aiohttp.ClientResponse") -> Reply:
    headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status, headers, (await response.read()).decode("utf-8", "replace"))


def _fault_in(fault: Json) -> tuple[str, str]:
    line = f" (line {fault['line']})" if fault.get("line") else ""
    return str(fault.get("code") or ""), f"{fault.get('message') or fault.get('code') or 'no reason given'}{line}"
