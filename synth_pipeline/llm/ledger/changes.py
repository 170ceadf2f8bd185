"""What may be done to the ledger, and what comes of it. Changes are values: they are gathered and applied together."""

from dataclasses import dataclass

from synth_pipeline.contracts.spending import NANO, Cap, Cost, Scope
from synth_pipeline.llm.ledger.entries import CallStatus, FailedTry, LedgerEntry

NOTHING = Cost(0, 0)


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate that all processes share.

    Args:
        name: whose rate, such as `anna:large:requests`.
        per_s: how much a second allows.
        amount: how much this call takes: 1 request, or its tokens.
    """

    name: str
    per_s: float
    amount: float


# ---------------------------------------------------------------------------------------------- changes


@dataclass(frozen=True, slots=True)
class Admit:
    """Ask for the exclusive right to buy a call, the money that it may cost, and a start that the paces allow.

    The holder that has the right already (it tries again) is admitted again, with no more reserved than the worst case.
    """

    key: str
    holder: str
    scopes: tuple[Scope, ...]
    worst: Cost
    paces: tuple[Pace, ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """Append a completion, settle its reservation and give the right to it back.

    Args:
        entry: the completion.
        scopes: what it is booked under.
        cost: what it cost; no more than was reserved.
        schema_json: the schema that was asked for, whose hash the entry names; empty: none.
        holder: who bought it.
    """

    entry: LedgerEntry
    scopes: tuple[Scope, ...]
    cost: Cost
    schema_json: str
    holder: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Record a try that brought nothing.

    Args:
        row: the try.
        scopes: what `at_risk` is booked under.
        at_risk: what the provider may have billed all the same; it is counted as spent.
        release: whether the right to buy the call is given back.
    """

    row: FailedTry
    scopes: tuple[Scope, ...] = ()
    at_risk: Cost = NOTHING
    release: bool = True


@dataclass(frozen=True, slots=True)
class Release:
    """Give back the right to buy a call, and its reservation: nothing was sent."""

    key: str
    holder: str


@dataclass(frozen=True, slots=True)
class Note:
    """Record what parsing made of a completion."""

    key: str
    status: CallStatus
    reason: str | None = None
    parsed: str | None = None


# ---------------------------------------------------------------------------------------------- outcomes


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call is this holder's to buy, and may be sent at `start_at` (wall clock, at most two seconds ahead)."""

    start_at: float


@dataclass(frozen=True, slots=True)
class Bought:
    """Somebody has bought the call; here is the completion."""

    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class Claimed:
    """Another holder that lives is buying the call."""

    by: str


@dataclass(frozen=True, slots=True)
class Paced:
    """The paces are taken for the next seconds: ask again at `ask_at` (wall clock). Nothing more is held meanwhile."""

    ask_at: float


@dataclass(frozen=True, slots=True)
class OverCap:
    """The call may cost more than a scope has left. Nothing is held, not even what an earlier try had reserved.

    Args:
        scope: whose cap it is.
        spent: what the scope has spent.
        reserved: what other calls under way have reserved of it.
        worst: what this call may cost.
    """

    scope: Scope
    spent: Cost
    reserved: Cost
    worst: Cost

    @property
    def may_fit_later(self) -> bool:
        """Whether there is room once the calls under way have ended, should they cost nothing."""
        return self.reserved != NOTHING and fits(self.scope.cap, self.spent, self.worst)


Change = Admit | Keep | Fail | Release | Note
Admission = Admitted | Bought | Claimed | Paced | OverCap
Outcome = Admission | LedgerEntry | None


def fits(cap: Cap, taken: Cost, more: Cost) -> bool:
    """Return whether a scope that has taken so much may take more: a free call always, but never under 0 tokens."""
    if cap.max_cost_usd is not None and more.nano_usd and taken.nano_usd + more.nano_usd > nano(cap.max_cost_usd):
        return False
    return cap.max_tokens is None or (cap.max_tokens > 0 and taken.tokens + more.tokens <= cap.max_tokens)


def nano(usd: float) -> int:
    """Return the whole nano-dollars in `usd`, as its decimals are written."""
    return int(round(usd * NANO, 3))
