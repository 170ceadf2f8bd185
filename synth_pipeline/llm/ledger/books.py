"""One transaction on the ledger: changes taken in their order, read and written with few statements."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from synth_pipeline.contracts.spending import Cost
from synth_pipeline.llm.ledger.balances import Balances
from synth_pipeline.llm.ledger.changes import (
    Admission,
    Admit,
    Admitted,
    Bought,
    Change,
    Claimed,
    Fail,
    Keep,
    Note,
    Outcome,
    Paced,
    Release,
)
from synth_pipeline.llm.ledger.claims import Claims
from synth_pipeline.llm.ledger.entries import FailedTry, LedgerEntry
from synth_pipeline.llm.ledger.holders import SILENT_S, is_dead
from synth_pipeline.llm.ledger.paces import AHEAD_S, Paces
from synth_pipeline.llm.ledger.rows import HOLDER_DIED, Claim, Names, Rows, names_of

BOUGHT_TWICE = "bought_twice"


class Books:
    """What a transaction has read, decided and will write.

    Args:
        rows: the ledger's rows, which nobody else can change meanwhile.
        changes: those that will be taken; what they speak of is read at once.
    """

    def __init__(self, rows: Rows, changes: Sequence[Change] = ()) -> None:
        admits = [change for change in changes if isinstance(change, Admit)]
        keys = {change.key for change in admits} | {one.entry.call_key for one in changes if isinstance(one, Keep)}
        others = {one.key for one in changes if isinstance(one, Release)}
        others |= {one.row.call_key for one in changes if isinstance(one, Fail)}
        self._rows, self._now = rows, time.time()
        self._entries = rows.entries(keys)
        self._balances = Balances(rows.totals({scope.name for change in admits for scope in change.scopes}))
        self._claims = Claims(rows.claims(keys | others), self._balances)
        self._paces = Paces(rows.paces({pace.name for change in admits for pace in change.paces}), self._now)
        self._calls: dict[str, tuple[LedgerEntry, Cost, Names]] = {}
        self._tries: list[tuple[FailedTry, Cost, Names]] = []
        self._notes: list[Note] = []
        self._looked_for_dead = False
        self.schemas: dict[str, str] = {}

    def take(self, change: Change) -> Outcome:
        """Return what comes of one change."""
        match change:
            case Admit():
                return self._admit(change)
            case Keep():
                return self._keep(change)
            case Fail():
                self._fail(change)
            case Release():
                self._give_back(change.key, change.holder)
            case Note():
                self._note(change)
        return None

    def write(self) -> None:
        """Write all that was decided."""
        rows = self._rows
        rows.note(self._notes)
        rows.add_calls(self._calls.values())
        rows.add_tries(self._tries)
        rows.set_claims(self._claims.written())
        rows.drop_claims(self._claims.dropped())
        rows.move_totals(self._balances.moved())
        rows.set_paces(self._paces.written())

    def bury_the_dead(self) -> None:
        """Give up the claims of holders that are gone; what each had reserved counts as spent: it may be billed."""
        if self._looked_for_dead:
            return
        self._looked_for_dead = True
        dead = [holder.name for holder, beat_at in self._rows.holders() if is_dead(holder, self._now - beat_at)]
        lost = self._claims.adopt(self._rows.claims_of(dead, self._now - SILENT_S))
        for key, claim in lost.items():
            self._claims.drop(key)
            self._balances.book(claim.scopes, claim.cost)
        told = "its buyer died, or was not heard of for long, before an answer was kept"
        self._rows.add_tries(
            (self._lost(key, claim.holder, HOLDER_DIED, told), claim.cost, claim.scopes) for key, claim in lost.items()
        )
        if dead:
            self._rows.drop_holders(dead)

    # ------------------------------------------------------------------------------------------ admission

    def _admit(self, change: Admit) -> Admission:
        key, entry = change.key, self._entries.get(change.key)
        if entry:
            if self._claims.held_by(change.holder, key):
                self._claims.drop(key)
            return Bought(entry)
        claim = self._claims.on(key)
        if claim and claim.holder != change.holder:
            self.bury_the_dead()
            claim = self._claims.on(key)
            if claim:
                return Claimed(claim.holder)
        return self._reserve(change, claim)

    def _reserve(self, change: Admit, held: Claim | None) -> Admission:
        """Return the admission where money and paces allow the call; `held` is the claim of an earlier try."""
        self._claims.drop(change.key)
        if held is None or exceeds(change.worst, held.cost):
            refusal = self._balances.refusal(change.scopes, change.worst)
            if refusal:
                self.bury_the_dead()
                return self._balances.refusal(change.scopes, change.worst) or refusal
        start_at = self._paces.start_of(change.paces)
        if start_at > self._now + AHEAD_S:
            if held:
                self._claims.set(change.key, held)
            return Paced(start_at - AHEAD_S / 2)
        self._paces.take(change.paces, start_at)
        self._claims.set(change.key, Claim(change.holder, names_of(change.scopes), change.worst, self._now))
        return Admitted(start_at)

    # ------------------------------------------------------------------------------------------ settlement

    def _keep(self, change: Keep) -> LedgerEntry:
        entry, names = change.entry, names_of(change.scopes)
        self._give_back(entry.call_key, change.holder)
        first = self._entries.get(entry.call_key)
        if first is None:
            first = self._entries[entry.call_key] = entry
            self._calls[entry.call_key] = entry, change.cost, names
            self._balances.book(names, change.cost)
            if entry.schema_sha256 and change.schema_json:
                self.schemas[entry.schema_sha256] = change.schema_json
        elif not is_same_purchase(first, entry):
            row = self._lost(entry.call_key, change.holder, BOUGHT_TWICE, "another answer to the call is kept already")
            self._tries.append((row, change.cost, names))
            self._balances.book(names, change.cost)
        return first

    def _fail(self, change: Fail) -> None:
        row, names = change.row, names_of(change.scopes)
        held = self._claims.held_by(row.holder, row.call_key)
        self._give_back(row.call_key, row.holder)
        self._tries.append((row, change.at_risk, names))
        self._balances.book(names, change.at_risk)
        if held and not change.release:
            self._claims.set(row.call_key, replace(held, cost=less(held.cost, change.at_risk)))

    def _give_back(self, key: str, holder: str) -> None:
        """Drop the holder's claim on a call, or what was booked when the holder was thought dead."""
        if self._claims.held_by(holder, key):
            self._claims.drop(key)
            return
        for row, names, cost in self._rows.lost(key, holder):
            self._rows.settle_lost(row)
            self._balances.unbook(names, cost)

    def _note(self, change: Note) -> None:
        entry = self._entries.get(change.key)
        if entry:
            entry = replace(entry, status=change.status, reason=change.reason, parsed=change.parsed)
            self._entries[change.key] = entry
        if entry and change.key in self._calls:
            self._calls[change.key] = entry, *self._calls[change.key][1:]
        else:
            self._notes.append(change)

    def _lost(self, key: str, holder: str, fault: str, reason: str) -> FailedTry:
        at = datetime.fromtimestamp(self._now, UTC).isoformat(timespec="milliseconds")
        return FailedTry(key, holder, "lost", reason, at, fault=fault)


def exceeds(cost: Cost, other: Cost) -> bool:
    """Return whether `cost` has more of anything than `other`."""
    return cost.nano_usd > other.nano_usd or cost.tokens > other.tokens


def less(cost: Cost, other: Cost) -> Cost:
    """Return what is left of `cost` without `other`: nothing below zero."""
    return Cost(max(0, cost.nano_usd - other.nano_usd), max(0, cost.tokens - other.tokens))


def is_same_purchase(kept: LedgerEntry, entry: LedgerEntry) -> bool:
    """Return whether two entries are of one answer, whatever parsing has made of it."""
    return replace(kept, status=entry.status, reason=entry.reason, parsed=entry.parsed) == entry
