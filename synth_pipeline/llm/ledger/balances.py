"""What scopes have spent and reserved, as it stands within one transaction."""

from collections.abc import Iterable, Mapping

from synth_pipeline.contracts.spending import Cost, Scope
from synth_pipeline.llm.ledger.changes import OverCap, fits
from synth_pipeline.llm.ledger.rows import Claim, Names, Sums

NONE: Sums = (0, 0, 0, 0)
SPENT, RESERVED = 0, 2  # where the nano-dollars of each stand in the sums; the tokens follow


class Balances:
    """Spent and reserved sums: as they were found, and what the transaction adds.

    Args:
        found: the sums of the scopes that are capped.
    """

    def __init__(self, found: Mapping[str, Sums]) -> None:
        self._found = found
        self._moved: dict[str, list[int]] = {}

    def book(self, scopes: Names, cost: Cost) -> None:
        """Count `cost` as spent."""
        self._move(scopes, cost.nano_usd, cost.tokens)

    def unbook(self, scopes: Names, cost: Cost) -> None:
        """Count `cost` as not spent after all."""
        self._move(scopes, -cost.nano_usd, -cost.tokens)

    def reserve(self, claim: Claim) -> None:
        """Hold what a claim may cost."""
        self._move(claim.scopes, claim.cost.nano_usd, claim.cost.tokens, RESERVED)

    def release(self, claim: Claim) -> None:
        """Hold it no more."""
        self._move(claim.scopes, -claim.cost.nano_usd, -claim.cost.tokens, RESERVED)

    def refusal(self, scopes: Iterable[Scope], worst: Cost) -> OverCap | None:
        """Return why `worst` cannot be reserved: a cap that leaves no room, one that never will before one that may."""
        refusal = None
        for scope in scopes:
            if scope.cap.max_cost_usd is None and scope.cap.max_tokens is None:
                continue
            spent, reserved = self._of(scope.name)
            if fits(scope.cap, Cost(spent.nano_usd + reserved.nano_usd, spent.tokens + reserved.tokens), worst):
                continue
            over = OverCap(scope, spent, reserved, worst)
            if not over.may_fit_later:
                return over
            refusal = refusal or over
        return refusal

    def moved(self) -> Iterable[tuple[str, list[int]]]:
        """Return what is to be added to each scope's sums."""
        return [(scope, sums) for scope, sums in self._moved.items() if any(sums)]

    def _of(self, scope: str) -> tuple[Cost, Cost]:
        found, moved = self._found.get(scope, NONE), self._moved.get(scope, NONE)
        nano_usd, tokens, reserved_nano_usd, reserved_tokens = map(int.__add__, found, moved)
        return Cost(nano_usd, tokens), Cost(reserved_nano_usd, reserved_tokens)

    def _move(self, scopes: Names, nano_usd: int, tokens: int, place: int = SPENT) -> None:
        for scope in scopes:
            sums = self._moved.get(scope)
            if sums is None:
                sums = self._moved[scope] = [0, 0, 0, 0]
            sums[place] += nano_usd
            sums[place + 1] += tokens
