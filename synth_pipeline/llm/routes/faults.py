"""What lies behind an exception of LiteLLM or of an HTTP client: the response that came, or how the line broke."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from synth_pipeline.contracts.errors import CallError, Fault, SynthError
from synth_pipeline.llm.purchases import Answer
from synth_pipeline.llm.routes.errors import CLIENT_ERRORS, SERVER_ERRORS, Place, Reply

CANNOT_CONNECT = "cannot connect"
BROKE = "the connection broke before an answer came"
BROKE_OFF = "the answer broke off"
NOT_HTTP = "the answer is not HTTP"
NOT_JSON = "the answer is not JSON"
NO_COMPLETION = "the answer is JSON, but no completion"
# What LiteLLM's readers trip over where a body is no completion; its converter says so itself, as a bare Exception.
TRIPPED = (LookupError, TypeError, AttributeError, ValueError)
UNREAD_MARKS = ("Invalid response object", "Error converting to valid response block", "'choices'", "Empty or invalid")
OWN_WORDS = re.compile(r"^((litellm\.)?\w+(Error|Exception)(: | - ))+")


@dataclass(frozen=True, slots=True)
class Break:
    """How a request ended without a whole response."""

    fault: Fault
    what: str
    may_be_billed: bool


def in_our_words(error: Exception, place: Place) -> Answer | CallError:
    """Return what an exception of LiteLLM stands for: the refusal that it is, or the error to raise.

    Raises:
        SynthError: our own error that a provider of ours raised and LiteLLM wrapped.
    """
    chain = list(causes(error))
    own = next((cause for cause in chain if isinstance(cause, SynthError)), None)
    if own is not None:
        raise own
    reply = next(filter(None, map(_reply_of, reversed(chain))), None)
    if reply is not None:
        return place.refusal(reply) or place.error(reply)
    broken = break_in(chain)
    if broken is not None:
        return place.broken(broken.fault, broken.what, may_be_billed=broken.may_be_billed)
    return _without_a_reply(chain, place)


def broken_by(error: Exception, place: Place) -> CallError:
    """Return the error of a request that ended in an exception of aiohttp's or of the system's."""
    broken = break_in(list(causes(error))) or Break("connection", BROKE, may_be_billed=True)
    return place.broken(broken.fault, broken.what, may_be_billed=broken.may_be_billed)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error`, then what it came from, the first cause last."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def break_in(chain: list[BaseException]) -> Break | None:
    """Return how the connection broke, where an error of aiohttp's, of httpx's or of the system's is in `chain`."""
    for kind, fault, what, may_be_billed in _kinds():
        found = next((cause for cause in chain if isinstance(cause, kind)), None)
        if found is not None:
            return Break(fault, what + _detail(found), may_be_billed)
    return None


def _kinds() -> Iterator[tuple[type[BaseException] | tuple[type[BaseException], ...], Fault, str, bool]]:
    """Yield each kind of error with its fault, its words and whether the work may have been done; the first counts."""
    import aiohttp
    import httpx

    yield (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout), "timeout", CANNOT_CONNECT, False
    yield (aiohttp.ClientConnectorError, aiohttp.InvalidURL), "connection", CANNOT_CONNECT, False
    yield aiohttp.ClientPayloadError, "truncated", BROKE_OFF, True
    yield aiohttp.ClientResponseError, "truncated", NOT_HTTP, True
    yield aiohttp.ClientError, "connection", BROKE, True
    yield httpx.TimeoutException, "timeout", "no answer in time", True
    yield httpx.ConnectError, "connection", CANNOT_CONNECT, False
    yield httpx.TransportError, "connection", BROKE, True
    yield TimeoutError, "timeout", "no answer in time", True
    yield ConnectionError, "connection", BROKE, True


def _detail(error: BaseException) -> str:
    """Return what the system says of it, after a colon; nothing where it says nothing."""
    system = getattr(error, "os_error", error)
    said = system.strerror if isinstance(system, OSError) else None
    return f": {said}" if said else ""


def _reply_of(error: BaseException) -> Reply | None:
    """Return the error response that came, where an HTTP client's exception holds it with its body; else None."""
    import httpx

    response = getattr(error, "response", None)
    if not isinstance(response, httpx.Response) or not response.is_closed:
        return None
    if response.status_code not in CLIENT_ERRORS and response.status_code not in SERVER_ERRORS:
        return None
    try:
        body = response.text
    except httpx.StreamError:  # it was never read
        return None
    came = isinstance(error, httpx.HTTPStatusError) or bool(body)  # LiteLLM makes up responses, without a body
    return Reply(response.status_code, _lower(response.headers), body) if came else None


def _without_a_reply(chain: list[BaseException], place: Place) -> Answer | CallError:
    """Return what an exception stands for that no HTTP client raised: LiteLLM's own, or a provider's made in Python."""
    last, first = chain[0], chain[-1]
    if any(isinstance(cause, json.JSONDecodeError | UnicodeDecodeError) for cause in chain):
        return place.broken("truncated", NOT_JSON, may_be_billed=True)
    text = str(getattr(first, "message", None) or first)
    if isinstance(first, TRIPPED) or any(mark in text for mark in UNREAD_MARKS):
        return place.broken("truncated", NO_COMPLETION, may_be_billed=True)
    status = next((code for code in (_status(first), _status(last)) if code), None)
    reply = Reply(status or 500, _lower(getattr(last, "litellm_response_headers", None) or {}), OWN_WORDS.sub("", text))
    if status is None:
        return place.broken("server_error", reply.body, may_be_billed=True)
    return place.refusal(reply) or place.error(reply)


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and (status in CLIENT_ERRORS or status in SERVER_ERRORS) else None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
