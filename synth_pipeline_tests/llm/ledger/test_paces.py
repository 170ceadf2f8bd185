"""A pace spreads calls evenly; what it did not use is lost, and a clock that is set back does not stop it."""

import pytest

from synth_pipeline.llm.ledger import Pace
from synth_pipeline.llm.ledger.paces import AHEAD_S, CREDIT_S, LONGEST_GAP_S, Paces

NOW = 1_000.0
ONE = Pace("requests", per_s=10, amount=1)


def test_an_idle_pace_gives_out_no_burst() -> None:
    paces = Paces({"requests": NOW - 3600}, NOW)
    starts = []
    for _ in range(20):
        starts.append(paces.start_of([ONE]))
        paces.take([ONE], starts[-1])
    assert starts[0] == NOW
    assert starts[-1] >= NOW + 19 / ONE.per_s - CREDIT_S - 1e-9


def test_a_pace_is_not_slowed_by_one_that_is_slower() -> None:
    slow = Pace("tokens", per_s=10, amount=20)
    paces = Paces({}, NOW)
    for _ in range(2):
        paces.take([ONE, slow], paces.start_of([ONE, slow]))
    assert dict(paces.written()) == pytest.approx({"requests": NOW + 2 - CREDIT_S + 0.1, "tokens": NOW + 4})


def test_a_start_that_no_call_can_have_been_given_is_forgotten() -> None:
    assert Paces({"requests": NOW + AHEAD_S + LONGEST_GAP_S + 1}, NOW).start_of([ONE]) == NOW
    assert Paces({"requests": NOW + AHEAD_S + LONGEST_GAP_S - 1}, NOW).start_of([ONE]) > NOW
