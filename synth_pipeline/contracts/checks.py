"""What a check says: declared when the code location loads, concluded on a partition."""

from dataclasses import dataclass, field
from typing import Any, Literal

MAX_IDS = 50


@dataclass(frozen=True)
class DeclaredCheck:
    """A check that will be reported for an asset: its name, severity, and whether failing stops what follows."""

    name: str
    description: str
    severity: Literal["warn", "error"] = "error"
    blocking: bool = False


@dataclass(frozen=True)
class Conclusion:
    """What a check found.

    Args:
        name: the declared check's name.
        passed: whether the expectation holds.
        observed: the value that was found.
        limit: what it was held against.
        n: rows that were looked at.
        offending_ids: items that break it, at most MAX_IDS.
        n_offending: how many there are.
        advice: what to do now, where it failed.
        figures: further numbers, by name.
    """

    name: str
    passed: bool
    observed: Any
    limit: str
    n: int
    offending_ids: tuple[str, ...] = ()
    n_offending: int = 0
    advice: str = ""
    figures: dict[str, float] = field(default_factory=dict)
