"""Whether more calls are turned away than chance would have it."""

ENOUGH, LEAK = 1.9, 0.01  # chosen: two with fewer than ten answers between
RANDOM, TOO_MUCH = 0.015, 0.12  # chosen: a share between them may be chance
ENOUGH_GAIN, LEAK_GAIN = 80, 4  # chosen: at 7 % by chance, a false alarm in some thousand calls


class Unrest:
    """A leaking count of calls that were turned away, which learns what share is turned away whatever we do.

    That share is measured while all is *quiet*: while less is let through than was found to be too much. So a provider
    that turns away a few in a hundred at random does not slow us down, which would not help.

    Args:
        weight: of one call in the share.
    """

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._count = self._share = 0.0

    @property
    def chance(self) -> float:
        """The share of calls turned away that looks like chance, beyond what needs no excuse."""
        return max(0.0, min(self._share - RANDOM, TOO_MUCH - self._share))

    def answered(self, *, quiet: bool) -> None:
        """A call was answered."""
        self._count = max(0.0, self._count - LEAK - LEAK_GAIN * self.chance)
        if quiet:
            self._share -= self._weight * self._share

    def turned_away(self, *, quiet: bool) -> bool:
        """A call was turned away; return whether that makes too many. Then the count begins anew."""
        self._count += 1
        if quiet:
            self._share += self._weight * (1 - self._share)
        if self._count < ENOUGH + ENOUGH_GAIN * self.chance:
            return False
        self._count = 0.0
        return True
