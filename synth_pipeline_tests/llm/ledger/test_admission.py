"""Who may buy a call, for how much, and when."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline.contracts.spending import Cap, Cost, Scope
from synth_pipeline.llm.ledger import (
    Admit,
    Admitted,
    Bought,
    Claimed,
    Holder,
    Ledger,
    OverCap,
    Pace,
    Paced,
    Release,
)
from synth_pipeline_tests.llm.entries import entry
from synth_pipeline_tests.llm.ledger.changes import ANN, BOB, COST, NOTHING, WORST, admit, failed, keep, scopes

ROOM_FOR_TWO = scopes(run=Cap(max_cost_usd=2_500e-9))
TOKENS_FOR_TWO = scopes(recipe=Cap(max_tokens=250))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with closing(Ledger.open(url)) as opened:
        yield opened


def outcomes(ledger: Ledger, *changes: Admit) -> list[type]:
    return [type(outcome) for outcome in ledger.apply(changes)]


def reserved(ledger: Ledger) -> Cost:
    """What the first scope has reserved, as all of them do; the totals agree with the rows."""
    balances = ledger.balances()
    assert all(balance.reserved == balance.reserved_in_rows for balance in balances)
    assert all(balance.spent == balance.spent_in_rows for balance in balances)
    [sums] = {balance.reserved for balance in balances} or {NOTHING}
    return sums


def spent(ledger: Ledger) -> Cost:
    """What the first scope has spent, as all of them have."""
    [sums] = {balance.spent for balance in ledger.balances()} or {NOTHING}
    return sums


# ------------------------------------------------------------------------------------------ claims


def test_only_one_holder_may_buy_a_call_until_it_is_bought(ledger: Ledger) -> None:
    assert outcomes(ledger, admit(holder=ANN)) == [Admitted]
    assert ledger.apply([admit(holder=BOB)]) == [Claimed(ANN)]
    ledger.apply([keep(holder=ANN)])
    assert ledger.apply([admit(holder=BOB), admit(holder=ANN)]) == [Bought(entry()), Bought(entry())]


def test_within_one_transaction_it_is_the_same(ledger: Ledger) -> None:
    done = ledger.apply([admit(holder=ANN), admit(holder=BOB), keep(holder=ANN), admit(holder=BOB)])
    assert done[1:] == [Claimed(ANN), entry(), Bought(entry())]
    assert reserved(ledger) == NOTHING


def test_a_call_that_is_given_back_is_free_for_others(ledger: Ledger) -> None:
    ledger.apply([admit("k0"), admit("k1"), Release("k0", ANN), failed("k1")])
    assert outcomes(ledger, admit("k0", BOB), admit("k1", BOB)) == [Admitted, Admitted]


def test_a_holder_that_finds_its_call_bought_by_another_holds_nothing_any_more(ledger: Ledger) -> None:
    ledger.apply([admit(holder=ANN), keep(holder=BOB)])
    assert reserved(ledger) == WORST
    assert ledger.apply([admit(holder=ANN)]) == [Bought(entry())]
    assert reserved(ledger) == NOTHING


def test_nobody_gives_back_what_another_holds(ledger: Ledger) -> None:
    ledger.apply([admit(holder=ANN), Release("k0", BOB), failed(holder=BOB), keep("k1", holder=BOB)])
    assert ledger.apply([admit(holder=BOB)]) == [Claimed(ANN)]


def test_a_holder_that_leaves_gives_all_back(url: str, ledger: Ledger) -> None:
    ann = Holder.here()
    ledger.register(ann)
    ledger.apply([admit("k0", ann.name), admit("k1", ann.name), admit("k2", BOB)])
    ledger.leave(ann)
    assert reserved(ledger) == WORST
    assert outcomes(ledger, admit("k0", BOB), admit("k1", BOB)) == [Admitted, Admitted]


# ------------------------------------------------------------------------------------------ budget


@pytest.mark.parametrize("under", [ROOM_FOR_TWO, TOKENS_FOR_TWO])
def test_no_more_is_admitted_than_the_worst_case_leaves_room_for(ledger: Ledger, under: tuple[Scope, ...]) -> None:
    [capped] = [scope for scope in under if scope.cap != Cap()]
    done = ledger.apply([admit(f"k{number}", under=under) for number in range(3)])
    assert done[2:] == [OverCap(capped, NOTHING, Cost(2_000, 200), WORST)]
    assert outcomes(ledger, admit("k3", under=under)) == [OverCap]
    assert reserved(ledger) == Cost(2_000, 200)


def test_what_was_cheaper_than_its_worst_case_makes_room(ledger: Ledger) -> None:
    ledger.apply([admit("k0", under=ROOM_FOR_TWO), admit("k1", under=ROOM_FOR_TWO)])
    ledger.apply([keep("k0", under=ROOM_FOR_TWO)])
    assert (spent(ledger), reserved(ledger)) == (COST, WORST)
    assert outcomes(ledger, admit("k2", under=ROOM_FOR_TWO)) == [OverCap]
    ledger.apply([keep("k1", under=ROOM_FOR_TWO)])
    assert outcomes(ledger, admit("k2", under=ROOM_FOR_TWO), admit("k3", under=ROOM_FOR_TWO)) == [Admitted, OverCap]


def test_a_refusal_says_whether_there_may_be_room_later(ledger: Ledger) -> None:
    ledger.apply([admit("k0", under=ROOM_FOR_TWO), admit("k1", under=ROOM_FOR_TWO)])
    [waits] = ledger.apply([admit("k2", under=ROOM_FOR_TWO)])
    assert isinstance(waits, OverCap)
    assert waits.may_fit_later
    [never] = ledger.apply([admit("k3", under=ROOM_FOR_TWO, worst=Cost(2_501, 1))])
    assert isinstance(never, OverCap)
    assert not never.may_fit_later
    ledger.apply([keep("k0", cost=WORST), keep("k1", cost=WORST)])
    [spent_up] = ledger.apply([admit("k2", under=ROOM_FOR_TWO)])
    assert isinstance(spent_up, OverCap)
    assert not spent_up.may_fit_later


def test_a_cap_that_leaves_no_room_ever_is_told_before_one_that_may(ledger: Ledger) -> None:
    both = scopes(run=Cap(max_cost_usd=1_500e-9), recipe=Cap(max_tokens=50))
    ledger.apply([admit("k0")])
    [refusal] = ledger.apply([admit("k1", under=both)])
    assert isinstance(refusal, OverCap)
    assert refusal.scope == both[2]


def test_a_budget_of_no_dollars_admits_what_is_free_whatever_was_spent_before(ledger: Ledger) -> None:
    nothing = scopes(run=Cap(max_cost_usd=0), recipe=Cap(max_cost_usd=0))
    ledger.apply([admit("k0"), keep("k0")])
    assert outcomes(ledger, admit("k1", under=nothing, worst=Cost(0, 100))) == [Admitted]
    assert outcomes(ledger, admit("k2", under=nothing, worst=Cost(1, 100))) == [OverCap]


def test_a_budget_of_no_tokens_admits_nothing(ledger: Ledger) -> None:
    nothing = scopes(run=Cap(max_tokens=0))
    done = outcomes(ledger, *(admit("k0", under=nothing, worst=worst) for worst in (WORST, Cost(0, 1), NOTHING)))
    assert done == [OverCap] * 3


def test_a_cap_counts_to_the_last_nano_dollar(ledger: Ledger) -> None:
    exact = scopes(run=Cap(max_cost_usd=0.29))  # times 10**9 it is a little less than 290 million as a float
    assert outcomes(ledger, admit("k0", under=exact, worst=Cost(290_000_001, 1))) == [OverCap]
    assert outcomes(ledger, admit("k0", under=exact, worst=Cost(290_000_000, 1))) == [Admitted]


def test_a_call_that_is_tried_again_reserves_its_worst_case_once(ledger: Ledger) -> None:
    ledger.apply([admit(under=ROOM_FOR_TWO), failed(release=False)])
    assert outcomes(ledger, *[admit(under=ROOM_FOR_TWO)] * 3) == [Admitted] * 3
    assert (spent(ledger), reserved(ledger)) == (NOTHING, WORST)


def test_a_try_that_may_be_billed_turns_its_reservation_into_spending(ledger: Ledger) -> None:
    ledger.apply([admit(under=ROOM_FOR_TWO), failed(at_risk=WORST, release=False)])
    assert (spent(ledger), reserved(ledger)) == (WORST, NOTHING)
    assert outcomes(ledger, admit(under=ROOM_FOR_TWO)) == [Admitted]
    ledger.apply([failed(at_risk=WORST, release=False)])
    assert outcomes(ledger, admit(under=ROOM_FOR_TWO)) == [OverCap]
    assert outcomes(ledger, admit(holder=BOB)) == [Admitted]  # who is refused holds nothing


def test_scopes_are_capped_each_by_itself(ledger: Ledger) -> None:
    mine = (Scope("run:r0", Cap(max_cost_usd=1e-6)), Scope("recipe:parcels", Cap()))
    yours = (Scope("run:r1", Cap(max_cost_usd=1e-6)), Scope("recipe:parcels", Cap(max_cost_usd=2e-6)))
    assert outcomes(ledger, admit("k0", under=mine), admit("k1", under=mine)) == [Admitted, OverCap]
    assert outcomes(ledger, admit("k1", under=yours), admit("k2", under=yours)) == [Admitted, OverCap]


# ------------------------------------------------------------------------------------------ paces


def paced(key: str, *paces: Pace, under: tuple[Scope, ...] = scopes()) -> Admit:
    return Admit(key, ANN, under, WORST, paces)


def starts(ledger: Ledger, *changes: Admit) -> list[float]:
    done = ledger.apply(changes)
    return [outcome.start_at for outcome in done if isinstance(outcome, Admitted)]


def test_a_call_without_a_pace_starts_at_once(ledger: Ledger) -> None:
    before = time.time()
    assert before <= starts(ledger, admit())[0] <= time.time()


def test_calls_of_one_pace_start_evenly_spread_whoever_makes_them(url: str, ledger: Ledger) -> None:
    requests = Pace("anna:requests", per_s=10, amount=1)
    with closing(Ledger.open(url)) as other:
        first, second = starts(ledger, paced("k0", requests), paced("k1", requests))
        [third] = starts(other, paced("k2", requests))
    assert second - first == pytest.approx(0.1)
    assert third - second >= 0.1 - 1e-6  # more on a machine that stalls


def test_of_several_paces_the_slowest_counts(ledger: Ledger) -> None:
    requests, tokens = Pace("anna:requests", 10, 1), Pace("anna:tokens", 100, 50)
    first, second, third = starts(ledger, *(paced(f"k{number}", requests, tokens) for number in range(3)))
    assert (second - first, third - second) == pytest.approx((0.5, 0.5))


def test_starts_are_given_out_for_the_next_two_seconds_only(ledger: Ledger) -> None:
    slow = Pace("anna:requests", per_s=1, amount=1)
    before = time.time()
    done = ledger.apply([paced(f"k{number}", slow) for number in range(5)])
    assert [type(outcome) for outcome in done] == [Admitted] * 3 + [Paced] * 2
    asks_at = [outcome.ask_at for outcome in done if isinstance(outcome, Paced)]
    assert asks_at == pytest.approx([before + 2] * 2, abs=0.5)
    assert reserved(ledger) == Cost(3_000, 300)
    assert outcomes(ledger, admit("k4", BOB)) == [Admitted]


def test_a_call_that_waits_for_its_pace_to_try_again_stays_claimed(ledger: Ledger) -> None:
    slow = Pace("anna:tokens", per_s=1, amount=10)
    ledger.apply([paced("k0", slow), failed("k0", release=False)])
    assert outcomes(ledger, paced("k0", slow)) == [Paced]
    assert ledger.apply([admit("k0", BOB)]) == [Claimed(ANN)]


def test_a_call_that_is_refused_takes_nothing_of_its_pace(ledger: Ledger) -> None:
    requests, empty = Pace("anna:requests", 10, 1), scopes(run=Cap(max_tokens=0))
    done = ledger.apply([paced("k0", requests), paced("k1", requests, under=empty), paced("k2", requests)])
    first, refused, second = done
    assert isinstance(first, Admitted)
    assert isinstance(refused, OverCap)
    assert isinstance(second, Admitted)
    assert second.start_at - first.start_at == pytest.approx(0.1)
