"""What went wrong with a call, in our words: from a response that is no answer, or from a connection that broke."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from synth_pipeline.contracts.errors import CallError, Fault, PermanentCallError, TransientCallError
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.llm.providers import mask_secrets
from synth_pipeline.llm.purchases import Answer
from synth_pipeline.llm.routes.headers import read_wait

SHOWN = 400
CLIENT_ERRORS, SERVER_ERRORS = range(400, 500), range(500, 600)
ASK_AGAIN: dict[int, Fault] = {408: "timeout", 409: "server_error", 425: "server_error", 429: "rate_limit"}
# A filter stopped the prompt: that is an answer (a refusal), not a fault of the request. OpenAI, Azure, Anthropic, xAI.
REFUSING = (400, 403, 422)
FILTER_MARKS = (
    "content_policy_violation",
    "content_filter",
    "safety system",
    "violating our usage policy",
    "content filtering policy",
    "violates usage guidelines",
)
# A 429 that waiting does not mend: the account has no money left.
SPENT_MARKS = ("insufficient_quota", "billing_hard_limit_reached", "credit balance is too low")
KEY_LIKE = (
    (re.compile(r"\b(Bearer|Basic)\s+(?=\S*\d)[^\s\"',;}]{8,}", re.IGNORECASE), r"\1 <masked>"),
    (re.compile(r"\b(sk|pk|rk|gsk|xai)-(?=[\w*.-]*[\d*])[\w*.-]{6,}"), r"\1-<masked>"),
    (re.compile(r"\bAIza[\w*-]{6,}"), "AIza<masked>"),
)
TAGS, UNSEEN = re.compile(r"<[^>]*>"), re.compile(r"<(style|script)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
MESSAGE_KEYS = ("message", "detail", "error", "msg", "error_description")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response that is no answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Place:
    """Where calls go: whose errors these are, and whose key is masked in them."""

    provider: Provider
    model: str

    def __str__(self) -> str:
        return f"provider {self.provider.name}, model {self.model}"

    def masked(self, text: str) -> str:
        """Return the first words of `text` on one line, with the provider's key and what looks like one masked."""
        text = mask_secrets(text, self.provider)
        if self.provider.api_base_env:
            text = _without_password(text, os.environ.get(self.provider.api_base_env, ""))
        for pattern, instead in KEY_LIKE:
            text = pattern.sub(instead, text)
        return " ".join(text.split())[:SHOWN]

    def refusal(self, reply: Reply) -> Answer | None:
        """Return the answer that an error response is, where it says that a filter stopped the prompt; else None."""
        if reply.status not in REFUSING or not any(mark in reply.body.lower() for mark in FILTER_MARKS):
            return None
        return Answer(
            refusal=self.masked(message_of(reply)),
            finish_reason="content_filter",
            provider_request_id=request_id_of(reply.headers),
        )

    def error(self, reply: Reply) -> CallError:
        """Return the error that a response stands for."""
        what = self.masked(message_of(reply)) or _phrase(reply.status)
        spent = any(mark in reply.body for mark in SPENT_MARKS)
        if reply.status in CLIENT_ERRORS and (spent or reply.status not in ASK_AGAIN):
            fix = "add credit to the provider's account" if spent else self._fix(reply.status, what)
            return PermanentCallError(what, where=str(self), fix=fix, http_status=reply.status)
        if reply.status not in CLIENT_ERRORS and reply.status not in SERVER_ERRORS:
            return PermanentCallError(what, where=str(self), fix=self._fix(404, what), http_status=reply.status)
        return TransientCallError(
            what,
            where=str(self),
            fix="run again later",
            fault=ASK_AGAIN.get(reply.status, "server_error"),
            http_status=reply.status,
            retry_after_s=read_wait(reply.status, reply.headers, reply.body),
        )

    def broken(self, fault: Fault, what: str, *, may_be_billed: bool) -> TransientCallError:
        """Return the error of a request that no whole response came to."""
        return TransientCallError(
            self.masked(what), where=str(self), fix="run again later", fault=fault, may_be_billed=may_be_billed
        )

    def too_late(self, seconds: float) -> TransientCallError:
        """Return the error of a request that was given up after `seconds`."""
        return self.broken("timeout", f"no answer within {seconds:g} s", may_be_billed=True)

    def _fix(self, status: int, what: str) -> str:
        if status in (401, 403) or "api key" in what.lower():
            named = self.provider.api_key_env
            return f"check {named}, and what its key may do" if named else "name the key's variable under api_key_env"
        if status == 404:
            base = self.provider.api_base_env
            return f"check the model's name in providers.yaml{f', and the address in {base}' if base else ''}"
        return "check the request: the prompt's length, max_tokens, and `structured` in the provider's row"


def message_of(reply: Reply) -> str:
    """Return what an error response says to a person, without the JSON or HTML around it."""
    try:
        said = _human(json.loads(reply.body))
    except ValueError:
        said = TAGS.sub(" ", UNSEEN.sub(" ", reply.body))
    return said or reply.body


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the provider's name for a request, from its response's headers."""
    return next((headers[name] for name in ("request-id", "x-request-id") if headers.get(name)), None)


def _human(said: Any) -> str:
    if isinstance(said, str):
        return said if not said.startswith(("{", "[")) else _nested(said)
    if isinstance(said, list):
        return "; ".join(filter(None, map(_human, said)))
    if not isinstance(said, dict):
        return ""
    text = next((text for key in MESSAGE_KEYS if (text := _human(said.get(key)))), "")
    place = ".".join(map(str, said["loc"])) if isinstance(said.get("loc"), list) else ""
    return f"{place}: {text}" if place and text else text


def _nested(said: str) -> str:
    try:
        return _human(json.loads(said)) or said
    except ValueError:
        return said


def _phrase(status: int) -> str:
    known = {one.value: one.phrase for one in HTTPStatus}
    return f"HTTP {status} {known.get(status, '')}".strip()


def _without_password(text: str, address: str) -> str:
    """Return `text` with the name and password of `address` masked, where it holds any."""
    login = re.match(r"\w+://([^/@]+)@", address)
    return text.replace(login[1], "<masked>") if login else text
