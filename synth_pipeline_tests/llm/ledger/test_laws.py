"""Laws of the ledger, whatever is done to it in whatever order: caps hold, sums add up, grouping changes nothing."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.spending import Cap, Cost, Scope
from synth_pipeline.llm.ledger import (
    Admit,
    Admitted,
    Balance,
    Fail,
    FailedTry,
    Holder,
    Keep,
    Ledger,
    Note,
    Outcome,
    Release,
)
from synth_pipeline.llm.ledger.changes import Change
from synth_pipeline_tests.llm.entries import entry

AT = "2030-01-01T00:00:00.000+00:00"
LIVING, DEAD = ("ann", "bob"), "zoe"
MAX_PID = 2**22  # no process has this number
RECIPE_CAP, TOKEN_CAP = Cap(max_cost_usd=60e-9), Cap(max_tokens=40)

KEYS, HOLDERS = st.sampled_from(["k0", "k1", "k2", "k3"]), st.sampled_from([*LIVING, DEAD])
AMOUNTS, SHARES = st.integers(0, 12), st.floats(0, 1)


def scopes(run: str) -> tuple[Scope, ...]:
    """Two runs share a partition and a recipe, of which each has a cap."""
    return (
        Scope(f"run:{run}", Cap(max_cost_usd=30e-9)),
        Scope("partition:parcels|anna|0", TOKEN_CAP),
        Scope("recipe:parcels", RECIPE_CAP),
    )


CAPS = {scope.name: scope.cap for run in (*LIVING, DEAD) for scope in scopes(run)}


@dataclass(frozen=True)
class Step:
    """Something that a holder would like to do with a call; `share` is how much of its worst case that costs."""

    kind: str
    key: str
    holder: str
    worst: Cost
    share: float
    release: bool
    of_the_second: bool

    @property
    def cost(self) -> Cost:
        return Cost(int(self.worst.nano_usd * self.share), int(self.worst.tokens * self.share))

    def change(self, worst: Cost) -> Change:
        """The change, with the worst case that the holder was admitted with."""
        step, under = replace(self, worst=worst), scopes(self.holder)
        match self.kind:
            case "admit":
                return Admit(self.key, self.holder, under, self.worst)
            case "keep":
                return Keep(entry(call_key=self.key, content=self.holder), under, step.cost, "{}", self.holder)
            case "fail":
                row = FailedTry(self.key, self.holder, "transient_error", "busy", AT)
                return Fail(row, under, step.cost, self.release)
            case "note":
                return Note(self.key, "ok", None, "{}")
        return Release(self.key, self.holder)


STEPS = st.builds(
    Step,
    kind=st.sampled_from(["admit", "admit", "admit", "keep", "fail", "release", "note"]),
    key=KEYS,
    holder=HOLDERS,
    worst=st.builds(Cost, AMOUNTS, AMOUNTS),
    share=SHARES,
    release=st.booleans(),
    of_the_second=st.booleans(),
)


@contextmanager
def two_ledgers(*, same_file: bool) -> Iterator[tuple[Ledger, Ledger]]:
    with TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("a.sqlite", "a.sqlite" if same_file else "b.sqlite")]
        with closing(Ledger.open(f"sqlite:///{files[0]}")) as one, closing(Ledger.open(f"sqlite:///{files[1]}")) as two:
            for ledger in (one, two):
                for name in LIVING:
                    ledger.register(replace(Holder.here(), name=name))
            yield one, two


def assert_sums_hold(ledger: Ledger) -> None:
    for balance in ledger.balances():
        assert (balance.spent, balance.reserved) == (balance.spent_in_rows, balance.reserved_in_rows)
        cap = CAPS[balance.scope]
        if cap.max_cost_usd is not None:
            assert balance.spent.nano_usd + balance.reserved.nano_usd <= round(cap.max_cost_usd * 1e9)
        if cap.max_tokens is not None:
            assert balance.spent.tokens + balance.reserved.tokens <= cap.max_tokens


@given(steps=st.lists(STEPS, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_cap_is_ever_passed_and_sums_add_up_whoever_dies_and_comes_back(steps: Sequence[Step]) -> None:
    admitted: dict[tuple[str, str], Cost] = {}
    with two_ledgers(same_file=True) as ledgers:
        ledgers[0].register(replace(Holder.here(), name=DEAD, pid=MAX_PID))
        for step in steps:
            worst = admitted.get((step.key, step.holder))
            if worst is None and step.kind in {"keep", "fail"}:
                continue  # nobody buys what it was not admitted to
            [outcome] = ledgers[step.of_the_second].apply([step.change(worst or step.worst)])
            if step.kind == "admit":
                admitted.pop((step.key, step.holder), None)
                if isinstance(outcome, Admitted):
                    admitted[step.key, step.holder] = step.worst
            elif step.kind != "note":
                admitted.pop((step.key, step.holder), None)
            assert_sums_hold(ledgers[not step.of_the_second])


def moved(ledger: Ledger) -> list[Balance]:
    """The balances of scopes that have spent or reserved anything."""
    return [balance for balance in ledger.balances() if {balance.spent, balance.reserved} != {Cost(0, 0)}]


def plain(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes without their time."""
    return [Admitted(0) if isinstance(outcome, Admitted) else outcome for outcome in outcomes]


@given(steps=st.lists(STEPS, max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=60, deadline=None)
def test_changes_that_are_made_together_come_to_the_same_as_one_by_one(steps: list[Step], cuts: list[int]) -> None:
    changes = [step.change(step.worst) for step in steps if step.holder != DEAD]
    bounds = [0, *sorted(cuts), len(changes)]
    with two_ledgers(same_file=False) as (singly, together):
        one_by_one = [outcome for change in changes for outcome in singly.apply([change])]
        grouped = [outcome for first, last in pairwise(bounds) for outcome in together.apply(changes[first:last])]
        assert plain(grouped) == plain(one_by_one)
        assert moved(together) == moved(singly)
        keys = [step.key for step in steps]
        assert together.find(keys) == singly.find(keys)
