"""Every way in which a provider says what is left and how long to wait, with the values worked out by hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.llm.purchases import RateHeaders
from synth_pipeline.llm.routes.headers import LONGEST_WAIT_S, read_rate, read_wait

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "0",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:30Z",
    "anthropic-ratelimit-tokens-limit": "40000",
    "anthropic-ratelimit-tokens-remaining": "39000",
    "anthropic-ratelimit-tokens-reset": "2026-01-01T00:01:00+00:00",
}


@pytest.mark.parametrize(
    ("headers", "rate"),
    [
        (OPENAI, RateHeaders(59, 0.12, 149_984, 360.0)),
        ({name.title(): value for name, value in OPENAI.items()}, RateHeaders(59, 0.12, 149_984, 360.0)),
        (ANTHROPIC, RateHeaders(0, 30.0, 39_000, 60.0)),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "20"}, RateHeaders(3, 20.0)),
        ({"ratelimit-remaining": "3", "ratelimit-reset": "1767225605"}, RateHeaders(3, 5.0)),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "1767225605500"}, RateHeaders(3, 5.5)),
        ({"x-ratelimit-reset": "1767225000"}, RateHeaders(requests_reset_s=0.0)),
        ({"x-ratelimit-remaining-req-minute": "4"}, RateHeaders(4)),
        ({"x-ratelimit-remaining-tokens-minute": "4"}, RateHeaders(tokens_left=4)),
        ({"x-ratelimit-reset-requests": "1h2m3.5s"}, RateHeaders(requests_reset_s=3_723.5)),
        ({"x-ratelimit-remaining-requests": "1.0"}, RateHeaders(1)),
        ({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "soon"}, None),
        ({"x-ratelimit-reset-requests": "1s and more"}, None),
        ({"anthropic-ratelimit-requests-reset": "2025-01-01T00:00:00Z"}, None),
        ({"content-type": "application/json"}, None),
        ({}, None),
    ],
)
def test_what_is_left_is_read(headers: dict[str, str], rate: RateHeaders | None) -> None:
    assert read_rate(headers, NOW) == rate


DELAYED = {"error": {"code": 429, "details": [{"@type": "Help"}, {"@type": "RetryInfo", "retryDelay": "34.5s"}]}}
USED_UP = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s"}


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"Retry-After": "3"}, "", 3.0),
        ({"retry-after": "0"}, "", 0.0),
        ({"retry-after": "0.25"}, "", 0.25),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}, "", 7.0),
        ({"retry-after": "Wed, 31 Dec 2025 23:59:00 GMT"}, "", None),
        ({"retry-after-ms": "1500", "retry-after": "2"}, "", 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, "", 2.0),
        ({"retry-after": "-1"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": ""}, "", None),
        ({"retry-after": "86400"}, "", LONGEST_WAIT_S),
        ({}, json.dumps(DELAYED), 34.5),
        ({}, json.dumps([DELAYED]), 34.5),
        ({}, '{"retryDelay": 3}', None),
        ({}, 'retryDelay: "3s"', None),
        (USED_UP, "", 2.0),
        ({**USED_UP, "retry-after": "9"}, "", 9.0),
        ({**USED_UP, "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "5s"}, "", 5.0),
        ({**USED_UP, "x-ratelimit-remaining-requests": "1"}, "", None),
        ({}, "", None),
    ],
)
def test_how_long_to_wait_is_read(headers: dict[str, str], body: str, wait: float | None) -> None:
    assert read_wait(429, headers, body, NOW) == wait


def test_a_date_is_read_by_the_clock_that_wrote_it() -> None:
    headers = {"Date": "Fri, 31 Dec 2027 23:59:50 GMT", "Retry-After": "Sat, 01 Jan 2028 00:00:00 GMT"}
    assert read_wait(503, headers) == 10.0


def test_a_limit_that_is_used_up_delays_nothing_but_a_rate_limit() -> None:
    assert read_wait(500, USED_UP, "", NOW) is None


@given(st.dictionaries(st.sampled_from([*OPENAI, "retry-after", "retry-after-ms", "ratelimit-reset"]), st.text()))
def test_no_header_breaks_the_reader(headers: dict[str, str]) -> None:
    wait = read_wait(429, headers, "", NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT_S
