"""Whether more calls are turned away than chance would have it."""

ENOUGH, LEAK, MOST_LEAK = 1.9, 0.01, 0.25
RANDOM, WEIGHT = 0.025, 1 / 256
LEAK_GAIN, ENOUGH_GAIN = 4, 80


class Unrest:
    """A leaking count of calls that were turned away, which learns what share is turned away whatever we do.

    That share is measured while all is *quiet*: while less is let through than was once found to be fine.
    """

    def __init__(self) -> None:
        self._level = self._share = 0.0

    @property
    def _excess(self) -> float:
        return max(0.0, self._share - RANDOM)

    def ok(self, *, quiet: bool) -> None:
        """A call was answered."""
        self._level = max(0.0, self._level - min(MOST_LEAK, LEAK + LEAK_GAIN * self._excess))
        if quiet:
            self._share -= WEIGHT * self._share

    def turned_away(self, *, quiet: bool) -> bool:
        """A call was turned away; return whether that makes too many. Then the count begins anew."""
        self._level += 1
        if quiet:
            self._share += WEIGHT * (1 - self._share)
        if self._level < ENOUGH + ENOUGH_GAIN * self._excess:
            return False
        self._level = 0.0
        return True
