"""Figures as people read them: dollars, counts, seconds."""

import math

SIGNIFICANT_BELOW_USD = 0.01
SELDOM_PER_S = 0.1
MINUTE_S, HOUR_S = 60, 3600


def dollars(usd: float) -> str:
    """Return US dollars: cents from one dollar on, four decimals below, two figures where even those say nothing."""
    if usd == 0:
        return "$0"
    size = abs(usd)
    if size >= 1:
        return f"${usd:,.2f}"
    decimals = 4 if size >= SIGNIFICANT_BELOW_USD else 1 - math.floor(math.log10(size))
    return f"${usd:.{decimals}f}"


def amount(n: int) -> str:
    """Return a large count in few characters: 9,360, 31.2k, 1.25M."""
    if n < 10_000:
        return f"{n:,}"
    return f"{n / 1e3:.1f}k" if n < 1_000_000 else f"{n / 1e6:.2f}M"


def duration(seconds: float) -> str:
    """Return a length of time by its two largest units: 42 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S:02d} s"
    return f"{whole // HOUR_S:,} h {whole % HOUR_S // MINUTE_S:02d} min"


def rate(per_s: float) -> str:
    """Return how often something happens: a minute where that is seldom, else a second."""
    if 0 < per_s < SELDOM_PER_S:
        return f"{per_s * MINUTE_S:.1f}/min"
    return f"{per_s:.1f}/s" if per_s < 100 else f"{per_s:,.0f}/s"
