import pytest

from synth_pipeline.components.figures import amount, dollars, duration, rate


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0, "$0"),
        (1234.5, "$1,234.50"),
        (1, "$1.00"),
        (0.312, "$0.3120"),
        (0.01, "$0.0100"),
        (0.00427, "$0.0043"),
        (0.0000214, "$0.000021"),
    ],
)
def test_dollars_keep_the_figures_that_say_something(usd: float, shown: str) -> None:
    assert dollars(usd) == shown


@pytest.mark.parametrize(("n", "shown"), [(0, "0"), (9360, "9,360"), (31_200, "31.2k"), (1_250_000, "1.25M")])
def test_large_counts_are_short(n: int, shown: str) -> None:
    assert amount(n) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (42, "42 s"), (200, "3 min 20 s"), (3900, "1 h 05 min"), (59.7, "1 min 00 s")]
)
def test_a_length_of_time_has_two_units_at_most(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(("per_s", "shown"), [(0, "0.0/s"), (0.05, "3.0/min"), (11.94, "11.9/s"), (1550.4, "1,550/s")])
def test_what_happens_seldom_is_counted_by_the_minute(per_s: float, shown: str) -> None:
    assert rate(per_s) == shown
