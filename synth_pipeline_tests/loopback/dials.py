"""The dials: how a server behaves, and how they are set over HTTP."""

import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline_tests.loopback.faults import FAULTS, SPOILT

Latency = Literal["uniform", "constant", "lognormal"]
RetryAfterForm = Literal["seconds", "date", "ms"]
BatchEnd = Literal["completed", "expired", "failed"]
MINUTE_S = 60.0


@dataclass(frozen=True)
class Dials:
    """How the server behaves.

    Args:
        latency_s: mean seconds before an answer.
        latency: how they spread: `uniform` between half and one and a half of the mean, `constant`, or `lognormal`.
        latency_sigma: the lognormal's sigma.
        seed: fixes latencies and fault shares by the number of the request.
        faults: how many of the next requests meet each fault, in the order given.
        fault_shares: which share of the requests meets each fault, once `faults` is used up.
        store_faults: as `faults`, for files, batches and the list of models. What is asked for is done all the same
            unless the fault turns it away.
        retry_after: what a 429, 503 or 529 asks to wait: seconds, or any text; None leaves the header out.
        retry_after_form: as `Retry-After` in seconds (or the text as it is) or as an HTTP date, or as `retry-after-ms`.
        admit: how many requests are worked on at once; the rest are turned away at once. None: all.
        requests_per_minute: how many requests the window admits; those that are turned away do not count.
        tokens_per_minute: how many tokens, of the prompt and `max_tokens` together.
        window_s: seconds of the sliding window that both are counted in, at the same rate.
        dead: every connection is closed at once; dials and statistics still answer.
        content: what every completion says; None: what the voice writes.
        voice_faults: whether the voice errs by its own dials too.
        batch_s: seconds that a batch takes.
        batch_ends: how it ends: completed, expired with half of its lines done, or failed in validation.
    """

    latency_s: float = 0.0
    latency: Latency = "uniform"
    latency_sigma: float = 0.5
    seed: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    fault_shares: Mapping[str, float] = field(default_factory=dict)
    store_faults: Mapping[str, int] = field(default_factory=dict)
    retry_after: str | float | None = None
    retry_after_form: RetryAfterForm = "seconds"
    admit: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    window_s: float = MINUTE_S
    dead: bool = False
    content: str | None = None
    voice_faults: bool = False
    batch_s: float = 0.0
    batch_ends: BatchEnd = "completed"

    def turned(self, given: Mapping[str, Any]) -> "Dials":
        """Return the dials with those in `given` set.

        Raises:
            ValueError: a dial or a fault is not known, or a word is none of its words.
        """
        known = {dial.name for dial in fields(self)}
        if unknown := sorted(set(given) - known):
            raise ValueError(f"no dial is called {unknown}; the dials are {sorted(known)}")
        dials = replace(self, **given)
        dials.check()
        return dials

    def check(self) -> None:
        """Raise ValueError where a fault is not known or a word is none of the dial's."""
        named = {*self.faults, *self.fault_shares, *self.store_faults}
        if unknown := sorted(named - FAULTS):
            raise ValueError(f"no fault is called {unknown}; the faults are {sorted(FAULTS)}")
        if misplaced := sorted(set(self.store_faults) & set(SPOILT)):
            raise ValueError(f"{misplaced} spoil completions, which a store does not give")
        if sum(self.fault_shares.values()) > 1:
            raise ValueError("the fault shares are more than 1 together")
        for word, words in (
            (self.latency, Latency),
            (self.retry_after_form, RetryAfterForm),
            (self.batch_ends, BatchEnd),
        ):
            if word not in get_args(words):
                raise ValueError(f"{word!r} is none of {list(get_args(words))}")

    def latency_of(self, number: int) -> float:
        """Return how many seconds the request of that number takes."""
        if self.latency == "constant" or not self.latency_s:
            return self.latency_s
        rng = rng_for("loopback", self.seed, number)
        if self.latency == "uniform":
            return self.latency_s * rng.uniform(0.5, 1.5)
        return rng.lognormvariate(math.log(self.latency_s) - self.latency_sigma**2 / 2, self.latency_sigma)

    def ask_to_wait(self) -> dict[str, str]:
        """Return the header that says how long to wait; none where the dial is not set."""
        if self.retry_after is None:
            return {}
        if self.retry_after_form == "date":
            return {
                "Retry-After": email.utils.formatdate(math.ceil(time.time() + float(self.retry_after)), usegmt=True)
            }
        if self.retry_after_form == "ms":
            return {"retry-after-ms": f"{float(self.retry_after) * 1000:.0f}"}
        return {"Retry-After": str(self.retry_after)}
