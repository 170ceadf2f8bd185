"""The direct route and LiteLLM itself send the same request, and make the same of whatever comes back.

Each case says what is made of it, too: two routes may not be wrong together.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pipeline.contracts.errors import PermanentCallError, TransientCallError
from synth_pipeline.llm.purchases import Answer, RateHeaders
from synth_pipeline.llm.routes.dialects import DIALECTS
from synth_pipeline_tests.llm.routes.desk import REPAIR, Desk, Outcome, fields_of, open_desk, purchase
from synth_pipeline_tests.llm.routes.replies import KEY, SPEAKERS, TEXT, TOKENS_IN, TOKENS_OUT
from synth_pipeline_tests.llm.routes.scripted import Reply

RATE = {
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1.5s",
    "x-ratelimit-remaining-tokens": "1000",
    "x-ratelimit-reset-tokens": "6m0s",
}
LEFT = RateHeaders(requests_left=59, requests_reset_s=1.5, tokens_left=1000, tokens_reset_s=360.0)
SAID = f"{KEY} is not\nwelcome: Bearer abc123def456"
DATED = {"Date": "Fri, 31 Dec 2027 23:59:50 GMT", "Retry-After": "Sat, 01 Jan 2028 00:00:00 GMT"}


class Asking:
    """A desk that stays open, with the loop that it lives in."""

    def __init__(self, family: str, runner: asyncio.Runner, desk: Desk) -> None:
        self.family, self.speaker = family, SPEAKERS[family]
        self.headers = {} if family == "gemini" else {**RATE, "request-id": "req_7"}  # LiteLLM hides those of Gemini
        self._runner, self._desk = runner, desk

    def outcome(self, reply: Reply, **request: Any) -> Outcome:
        """Return what both routes make of a reply, after one request each and the same of both."""
        direct, litellm = self._runner.run(self._desk.both(reply, purchase(**request)))
        assert direct == litellm
        assert len(direct.sent) == 1
        return direct


@pytest.fixture(scope="module", params=sorted(DIALECTS))
def asking(request: pytest.FixtureRequest) -> Iterator[Asking]:
    """Yield both routes to each provider."""
    family: str = request.param
    with pytest.MonkeyPatch.context() as environment, asyncio.Runner() as runner:
        context = open_desk(family, SPEAKERS[family].model, environment)
        desk = runner.run(context.__aenter__())
        try:
            yield Asking(family, runner, desk)
        finally:
            runner.run(context.__aexit__(None, None, None))


# ------------------------------------------------------------------------------------------ what is sent


@pytest.mark.parametrize("changes", [{}, {"messages": REPAIR}, {"seed": 8}, {"temperature": 1.0, "max_tokens": 9}])
def test_the_same_request_is_sent(asking: Asking, changes: dict[str, Any]) -> None:
    outcome = asking.outcome(Reply(asking.speaker.replies()["ok"]), **changes)
    [sent] = outcome.sent
    assert KEY in " ".join(sent.headers.values())
    assert "Write – one." in str(sent.body)


# ------------------------------------------------------------------------------------------ answers

STOP, FILTERED = "stop", "content_filter"
READ: dict[str, tuple[str | None, str | None, str]] = {
    "ok": (TEXT, None, STOP),
    "refusal": (None, "I will not write that.", STOP),
    "length": (TEXT[:20], None, "length"),
    "content_filter": ("", None, FILTERED),
    "empty_choices": (None, None, "no_choices"),
    "empty_content": ("", None, STOP),
    "lone_surrogate": (TEXT[:-1] + "?", None, STOP),
}
READ_OTHERWISE: dict[tuple[str, str], tuple[str | None, str | None, str]] = {
    ("anthropic", "refusal"): (None, None, FILTERED),
    ("anthropic", "content_filter"): ("I", None, FILTERED),
    ("anthropic", "empty_choices"): (None, None, STOP),
    ("anthropic", "empty_content"): (None, None, STOP),
    ("gemini", "refusal"): (None, None, FILTERED),
    ("gemini", "content_filter"): (None, None, FILTERED),
    ("gemini", "empty_content"): (None, None, STOP),
    ("mistral", "content_filter"): (None, None, FILTERED),
    ("mistral", "empty_content"): (None, None, STOP),
}
NAMES = {"anthropic": "req_7", "gemini": "3UvQaN6pB5Wo", "hosted_vllm": "chatcmpl-9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d"}


@pytest.mark.parametrize("case", sorted(READ))
def test_an_answer_is_read_the_same(asking: Asking, case: str) -> None:
    answer = asking.outcome(Reply(asking.speaker.replies()[case], headers=asking.headers)).answer
    assert answer is not None
    expected = READ_OTHERWISE.get((asking.family, case), READ[case])
    assert (answer.content, answer.refusal, answer.finish_reason) == expected
    assert answer.tokens_in == TOKENS_IN


def test_tokens_name_and_limits_of_an_answer_are_read_the_same(asking: Asking) -> None:
    answer = asking.outcome(Reply(asking.speaker.replies()["ok"], headers=asking.headers)).answer
    assert answer is not None
    assert (answer.tokens_in, answer.tokens_out) == (TOKENS_IN, TOKENS_OUT)
    assert answer.provider_request_id == NAMES.get(asking.family, "chatcmpl-CgXz0pPqW2")
    assert answer.rate == (LEFT if asking.headers else None)


# ------------------------------------------------------------------------------------------ refused by the status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refused_request_is_told_the_same(asking: Asking, status: int) -> None:
    error = asking.outcome(Reply(asking.speaker.error(status, SAID), status)).error
    assert error is not None
    assert error[0] is PermanentCallError
    assert error[2]["http_status"] == status
    assert "<CANARY_KEY> is not welcome: Bearer <masked>" in error[1]
    assert KEY not in error[1]


WAITS: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"Retry-After": "3"}, 3.0),
    "date": (DATED, 10.0),
    "milliseconds": ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
    "nothing": ({}, None),
    "negative": ({"Retry-After": "-3"}, None),
    "garbage": ({"Retry-After": "soon"}, None),
    "too_long": ({"Retry-After": "86400"}, 600.0),
    "used_up": ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s"}, 2.0),
}


@pytest.mark.parametrize("case", sorted(WAITS))
def test_a_rate_limit_is_told_the_same(asking: Asking, case: str) -> None:
    headers, wait = WAITS[case]
    error = asking.outcome(Reply(asking.speaker.error(429, SAID), 429, headers)).error
    assert error is not None
    assert error[0] is TransientCallError
    assert fields_of(error) == ("rate_limit", 429, wait, False)


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 529])
def test_a_server_error_is_told_the_same(asking: Asking, status: int) -> None:
    error = asking.outcome(Reply(asking.speaker.error(status, SAID), status)).error
    assert error is not None
    assert error[0] is TransientCallError
    assert fields_of(error) == ("timeout" if status == 408 else "server_error", status, None, False)
    assert KEY not in error[1]


@pytest.mark.parametrize("body", ["", "<html><body><h1>502 Bad Gateway</h1></body></html>", "no healthy upstream"])
def test_an_error_without_json_is_told_the_same(asking: Asking, body: str) -> None:
    error = asking.outcome(Reply(body, 502, content_type="text/html")).error
    assert error is not None
    assert fields_of(error) == ("server_error", 502, None, False)
    assert "<" not in error[1]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, f"Your request was rejected as a result of our safety system. {KEY}"),
        (400, "Output blocked by content filtering policy"),
        (403, "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"),
    ],
)
def test_a_filtered_prompt_is_a_refusal(asking: Asking, status: int, message: str) -> None:
    answer = asking.outcome(Reply(asking.speaker.error(status, message), status)).answer
    assert answer == Answer(refusal=message.replace(KEY, "<CANARY_KEY>"), finish_reason="content_filter")


def test_no_money_left_is_no_reason_to_wait(asking: Asking) -> None:
    body = {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}
    error = asking.outcome(Reply(body, 429)).error
    assert error is not None
    assert error[0] is PermanentCallError
    assert "fix: add credit" in error[1]


# ------------------------------------------------------------------------------------------ broken on the way

BREAKS: dict[str, tuple[Reply, tuple[str, None, None, bool]]] = {
    "reset": (Reply(act="reset"), ("connection", None, None, True)),
    "closed": (Reply(act="close"), ("connection", None, None, True)),
    "truncated": (Reply('{"id": "whole"}', act="truncate"), ("truncated", None, None, True)),
    "not_json": (Reply("good morning"), ("truncated", None, None, True)),
    "half_json": (Reply('{"id": "chatcmpl-1", "choi'), ("truncated", None, None, True)),
    "not_utf8": (Reply(b'{"id": "\xff\xfe'), ("truncated", None, None, True)),
    "empty_body": (Reply(""), ("truncated", None, None, True)),
    "no_completion": (Reply({"status": "fine"}), ("truncated", None, None, True)),
    "a_list": (Reply("[1, 2]"), ("truncated", None, None, True)),
}


@pytest.mark.parametrize("case", sorted(BREAKS))
def test_a_broken_answer_is_told_the_same(asking: Asking, case: str) -> None:
    reply, expected = BREAKS[case]
    error = asking.outcome(reply).error
    assert error is not None
    assert error[0] is TransientCallError
    assert fields_of(error) == expected
