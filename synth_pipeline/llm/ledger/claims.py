"""Who is buying what, as it stands within one transaction."""

from collections.abc import Iterable, Mapping

from synth_pipeline.llm.ledger.balances import Balances
from synth_pipeline.llm.ledger.rows import Claim


class Claims:
    """The claims on the calls that a transaction touches; each holds its reservation in the balances.

    Args:
        found: the claims on those calls, as they were found.
        balances: where reservations are held.
    """

    def __init__(self, found: Mapping[str, Claim], balances: Balances) -> None:
        self._claims = dict(found)
        self._balances = balances
        self._changed: dict[str, None] = {}

    def on(self, key: str) -> Claim | None:
        """Return the claim on a call, or None where nobody is buying it."""
        return self._claims.get(key)

    def held_by(self, holder: str, key: str) -> Claim | None:
        """Return the claim on a call where it is this holder's, else None."""
        claim = self._claims.get(key)
        return claim if claim and claim.holder == holder else None

    def set(self, key: str, claim: Claim) -> None:
        """Make `claim` the one on this call."""
        self.drop(key)
        self._claims[key] = claim
        self._changed[key] = None
        self._balances.reserve(claim)

    def drop(self, key: str) -> None:
        """Remove the claim on a call, if there is one."""
        claim = self._claims.pop(key, None)
        if claim:
            self._changed[key] = None
            self._balances.release(claim)

    def adopt(self, found: Mapping[str, Claim]) -> Mapping[str, Claim]:
        """Return those of `found` that this transaction has not changed; they are known here from now on."""
        untouched = {key: claim for key, claim in found.items() if key not in self._changed}
        self._claims.update(untouched)
        return untouched

    def written(self) -> Iterable[tuple[str, Claim]]:
        """Return the claims that are new or changed."""
        return [(key, self._claims[key]) for key in self._changed if key in self._claims]

    def dropped(self) -> Iterable[str]:
        """Return the calls that nobody is buying any more."""
        return [key for key in self._changed if key not in self._claims]
