"""The faults a server can be told to show: what it sends in the place of a sound completion.

Three families: a call is turned away with a status, a completion is spoilt, or what is sent breaks on its way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from synth_pipeline.llm.offline.answer import estimate_tokens

Json = dict[str, Any]
Wire = Literal["whole", "reset", "reset_in_body", "truncated_body", "hang"]
ASK_TO_WAIT = (429, 503, 529)


@dataclass(frozen=True)
class Completion:
    """What was written, in no provider's format; `has_choice` false: an answer that holds none."""

    content: str | None
    finish_reason: str
    tokens_in: int
    tokens_out: int
    refusal: str | None = None
    has_choice: bool = True

    def choose(self, content: str | None, finish_reason: str = "stop", refusal: str | None = None) -> "Completion":
        """Return the completion with another choice, and the tokens that one makes."""
        n_out = estimate_tokens(len(content or refusal or ""))
        return replace(self, content=content, finish_reason=finish_reason, refusal=refusal, tokens_out=n_out)


@dataclass(frozen=True)
class TurnedAway:
    """An error in the place of an answer.

    Args:
        status: the HTTP status.
        text: the provider's message; `{key}` stands for the key that was sent.
        kind: OpenAI's `type`.
        code: OpenAI's `code`.
    """

    status: int
    text: str
    kind: str = "invalid_request_error"
    code: str | None = None


@dataclass(frozen=True)
class Reply:
    """What goes over the wire: `wire` says whether all of it does. A hanging reply never goes."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    wire: Wire = "whole"

    def with_headers(self, headers: Mapping[str, str]) -> "Reply":
        """Return the reply with more headers."""
        return replace(self, headers={**self.headers, **headers}) if headers else self


TURNED_AWAY: dict[str, TurnedAway] = {
    # asking again may help
    "rate_limit": TurnedAway(429, "slow down", "requests", "rate_limit_exceeded"),
    "request_timeout": TurnedAway(408, "the request took too long to arrive", "timeout"),
    "conflict": TurnedAway(409, "somebody else is at it", "conflict"),
    "server_error": TurnedAway(500, "out of order", "server_error"),
    "bad_gateway": TurnedAway(502, "nobody behind the gateway", "server_error"),
    "service_unavailable": TurnedAway(503, "closed for a moment", "server_error"),
    "gateway_timeout": TurnedAway(504, "the gateway has waited in vain", "server_error"),
    "overloaded": TurnedAway(529, "overloaded", "overloaded_error"),
    # the call can never succeed; the error repeats the key it was sent
    "bad_request": TurnedAway(400, "the request of {key} makes no sense"),
    "unauthorized": TurnedAway(401, "key {key} is not known here", code="invalid_api_key"),
    "forbidden": TurnedAway(403, "key {key} may not do this"),
    "not_found": TurnedAway(404, "no such model for key {key}", code="model_not_found"),
    "unprocessable": TurnedAway(422, "the request of {key} cannot be processed"),
    "no_quota": TurnedAway(429, "You exceeded your current quota, {key}.", "insufficient_quota", "insufficient_quota"),
    # the provider's filter stops the prompt
    "content_policy": TurnedAway(
        400,
        "Your request was rejected as a result of our safety system. {key}",
        "invalid_request_error",
        "content_policy_violation",
    ),
}

Spoil = Callable[[str], str]


def _respell(spoil: Spoil) -> Callable[[Completion], Completion]:
    return lambda completion: completion.choose(spoil(completion.content or ""))


SPOILT: dict[str, Callable[[Completion], Completion]] = {
    # an answer comes, and is none
    "refusal": lambda sound: sound.choose(None, refusal="I will not write that."),
    "refusal_in_words": lambda sound: sound.choose("I'm sorry, but I can't help with that."),
    "cut_off": lambda sound: sound.choose((sound.content or "")[: len(sound.content or "") // 2], "length"),
    "content_filter": lambda sound: sound.choose("", "content_filter"),
    "empty_choices": lambda sound: replace(sound, has_choice=False, tokens_out=0),
    "empty_content": lambda sound: sound.choose(""),
    # no JSON can be read from it
    "malformed_json": _respell(lambda text: text[:-1] + ","),
    "truncated_json": _respell(lambda text: text[: len(text) * 2 // 3]),
    "lone_surrogate": _respell(lambda text: text[:-1] + "\ud83d"),
    # JSON can be read from it, with some care
    "fenced_json": _respell(lambda text: f"```json\n{text}\n```"),
    "leading_prose": _respell(lambda text: f"Sure! Here is the JSON you asked for:\n\n{text}"),
    "trailing_prose": _respell(lambda text: f"{text}\n\nLet me know whether it fits."),
    "trailing_comma": _respell(lambda text: text[:-1] + ",}"),
    "surrogate_in_value": _respell(lambda text: text[:-2] + '\ud83d"}' if text.endswith('"}') else text),
}


def _unreadable(text: str, content_type: str) -> Callable[[Reply], Reply]:
    headers = {"Content-Type": content_type}
    return lambda reply: replace(reply, body=text.encode(), headers={**reply.headers, **headers})


BROKEN: dict[str, Callable[[Reply], Reply]] = {
    "reset": lambda reply: replace(reply, wire="reset"),
    "reset_in_body": lambda reply: replace(reply, wire="reset_in_body"),
    "truncated_body": lambda reply: replace(reply, wire="truncated_body"),
    "malformed_body": _unreadable('{"id": "cut', "application/json"),
    "html_body": _unreadable("<html><body>One moment, please.</body></html>", "text/html"),
    "hang": lambda reply: replace(reply, wire="hang"),
}

FAULTS = frozenset({*TURNED_AWAY, *SPOILT, *BROKEN})
UNBILLED = frozenset({*TURNED_AWAY, "hang"})
