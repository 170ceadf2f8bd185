"""What a provider's response headers say: what is left of its limits, and how long it asks to wait."""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from synth_pipeline.llm.purchases import RateHeaders

LONGEST_WAIT_S = 600.0  # chosen: past ten minutes a provider is down, and that is the breaker's to say
MARK = "ratelimit"
TOO_MANY = 429
UNIX_S, UNIX_MS = 1e9, 1e12  # from here on a plain number is a time, not a span
SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
RETRY_DELAY = "retryDelay"  # Google says it in the body

# The first name that is there counts: OpenAI and its kin, Anthropic, Mistral, then what anybody may send.
REQUESTS_LEFT = (
    "x-ratelimit-remaining-requests",
    "anthropic-ratelimit-requests-remaining",
    "x-ratelimit-remaining-req-minute",
    "x-ratelimit-remaining",
    "ratelimit-remaining",
)
REQUESTS_RESET = (
    "x-ratelimit-reset-requests",
    "anthropic-ratelimit-requests-reset",
    "x-ratelimit-reset",
    "ratelimit-reset",
)
TOKENS_LEFT = (
    "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit-tokens-remaining",
    "x-ratelimit-remaining-tokens-minute",
)
TOKENS_RESET = ("x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset")


def read_rate(headers: Mapping[str, str], now: float | None = None) -> RateHeaders | None:
    """Return what `headers` say of limits; None where they say nothing that can be read.

    Args:
        headers: of a response, their names in any case.
        now: the time as a Unix time; None for the clock's.
    """
    found = {name.lower(): value for name, value in headers.items() if MARK in name.lower()}
    if not found:
        return None
    at = time.time() if now is None else now
    rate = RateHeaders(
        _count(_first(found, REQUESTS_LEFT)),
        _seconds_until(_first(found, REQUESTS_RESET), at),
        _count(_first(found, TOKENS_LEFT)),
        _seconds_until(_first(found, TOKENS_RESET), at),
    )
    return None if rate == RateHeaders() else rate


def read_wait(status: int, headers: Mapping[str, str], body: str = "", now: float | None = None) -> float | None:
    """Return the seconds that an error response asks to wait, at most ten minutes; None where it does not say.

    It may say so in milliseconds, in seconds, as a date, in Google's error details, or by a limit that is used up.
    """
    named = {name.lower(): value for name, value in headers.items()}
    at = _clock(named) if now is None else now
    asked = (
        _span(named.get("retry-after-ms"), unit_s=1e-3),
        _seconds_until(named.get("retry-after"), at),
        _delay_in(body),
        _until_refilled(read_rate(named, at)) if status == TOO_MANY else None,
    )
    wait = next((seconds for seconds in asked if seconds is not None), None)
    return None if wait is None else min(wait, LONGEST_WAIT_S)


def _clock(headers: Mapping[str, str]) -> float:
    """Return the time by the provider's clock where it sends it, so that a date is not read by another clock."""
    there = _unix_time(headers.get("date", ""))
    return time.time() if there is None else there


def _first(found: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((found[name] for name in names if name in found), None)


def _count(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def _number(text: str | None) -> float | None:
    """Return `text` as a finite number that is not negative; None where it is none."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _span(text: str | None, unit_s: float = 1.0) -> float | None:
    """Return the seconds of `120ms`, `6m0s` or a plain number of units; None where it is none of them."""
    number = _number(text)
    if number is not None:
        return number * unit_s
    parts = SPAN.findall(text or "")
    if not parts or "".join(amount + unit for amount, unit in parts) != (text or "").strip():
        return None
    return sum(float(amount) * SECONDS[unit] for amount, unit in parts)


def _seconds_until(text: str | None, now: float) -> float | None:
    """Return the seconds until what `text` says: a span, a Unix time, an HTTP date or an RFC 3339 time."""
    span = _span(text)
    if span is None:
        at = _unix_time(text or "")
        return None if at is None or at < now else round(at - now, 3)
    if span < UNIX_S:
        return span
    return max(0.0, round((span if span < UNIX_MS else span / 1000) - now, 3))


def _unix_time(text: str) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = parse(text)
        except ValueError:
            continue
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None


def _delay_in(body: str) -> float | None:
    if RETRY_DELAY not in body:
        return None
    try:
        said = json.loads(body)
        error = (said[0] if isinstance(said, list) else said)["error"]
        return next((_span(detail[RETRY_DELAY]) for detail in error["details"] if RETRY_DELAY in detail), None)
    except (ValueError, LookupError, TypeError):
        return None


def _until_refilled(rate: RateHeaders | None) -> float | None:
    """Return when the limit that is used up is full again; the later one where both are."""
    if rate is None:
        return None
    used_up = [
        reset
        for left, reset in ((rate.requests_left, rate.requests_reset_s), (rate.tokens_left, rate.tokens_reset_s))
        if left == 0 and reset is not None
    ]
    return max(used_up, default=None)
