"""Numbers lie in their ranges, on the grid of their decimals, and belong to their record alone."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.space import NumberAxis
from synth_pipeline.stages.sampling.numbers import add_numbers, spread, uniforms
from synth_pipeline_tests.scenario import recipe_with

IDS = [f"planned-{index}" for index in range(400)]
SHARES = st.floats(0, 1, exclude_max=True)


def numbers_of(number: dict[str, Any], **columns: Any) -> pl.Series:
    """Return the drawn `size` of 400 planned records, with some columns of the plan set."""
    plan = pl.DataFrame({"planned_id": IDS}).with_columns(
        *(
            pl.Series(name, values) if isinstance(values, list) else pl.lit(values).alias(name)
            for name, values in columns.items()
        )
    )
    return add_numbers(plan, recipe_with(numbers={"size": number}, rules=[]))["size"]


@st.composite
def intervals(draw: st.DrawFn) -> tuple[float, float, int]:
    """An interval that holds a number with so many decimals."""
    decimals = draw(st.integers(0, 4))
    low, width = draw(st.integers(-5000, 5000)), draw(st.integers(0, 5000))
    return low / 10**decimals, (low + width) / 10**decimals, decimals


@settings(deadline=None)
@given(intervals())
def test_a_range_is_kept_on_the_grid_of_its_decimals(interval: tuple[float, float, int]) -> None:
    low, high, decimals = interval
    drawn = numbers_of({"range": [low, high], "decimals": decimals})
    assert drawn.min() >= low  # type: ignore[operator]  # polars types a minimum widely
    assert drawn.max() <= high  # type: ignore[operator]
    assert drawn.to_list() == [round(value, decimals) for value in drawn]
    assert drawn.dtype == (pl.Float64() if decimals else pl.Int64())


@settings(deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=3, max_size=3).map(sorted), st.integers(0, 3))
def test_quantiles_bound_what_is_drawn(quantiles: list[float], decimals: int) -> None:
    number = {"quantiles": quantiles, "decimals": decimals}
    try:
        NumberAxis.model_validate(number)
    except ValueError:
        return  # no number of these decimals lies between them: refused when the recipe loads
    drawn = numbers_of(number)
    assert quantiles[0] - 1e-6 <= drawn.min()  # type: ignore[operator]  # polars types a minimum widely
    assert drawn.max() <= quantiles[2] + 1e-6  # type: ignore[operator]


@settings(deadline=None)
@given(intervals(), SHARES)
def test_a_spread_value_lies_inside_its_interval_and_shows_its_decimals(
    interval: tuple[float, float, int], share: float
) -> None:
    low, high, decimals = interval
    written = spread((low, high), share, decimals)
    assert low - 1e-9 <= float(written) <= high + 1e-9
    assert len(written.partition(".")[2]) == decimals


@pytest.mark.parametrize(
    ("interval", "share", "decimals", "written"),
    [
        ((2.0, 5.0), 0.0, 1, "2.0"),
        ((2.0, 5.0), 0.5, 1, "3.5"),
        ((2.0, 5.0), 0.999, 1, "5.0"),
        ((6, 12), 0.0, 0, "6"),
        ((6, 12), 0.999, 0, "12"),
        ((0.001, 0.004), 0.5, 3, "0.003"),
        ((0.25, 0.38), 0.0, 1, "0.3"),  # 0.2 would lie below
        ((0.25, 0.38), 0.999, 1, "0.3"),  # 0.4 would lie above
        ((-1.5, -0.5), 0.0, 1, "-1.5"),
    ],
)
def test_spread_values_by_hand(interval: tuple[float, float], share: float, decimals: int, written: str) -> None:
    assert spread(interval, share, decimals) == written


def test_a_narrow_range_with_coarse_decimals_never_rounds_out_of_it() -> None:
    assert set(numbers_of({"range": [0.6, 2.4]})) == {1, 2}
    assert set(numbers_of({"quantiles": [0.6, 1.5, 2.4]})) == {1, 2}


def test_every_number_of_a_range_is_drawn_about_equally_often() -> None:
    counts = dict(numbers_of({"range": [1, 4]}).value_counts().iter_rows())
    assert counts.keys() == {1, 2, 3, 4}
    assert all(abs(count - 100) < 5 * math.sqrt(400 * 0.25 * 0.75) for count in counts.values())


def test_half_of_what_is_drawn_lies_below_the_median() -> None:
    drawn = numbers_of({"quantiles": [10, 100, 100000], "decimals": 2}).to_list()
    below = sum(value < 100 for value in drawn)
    assert abs(below - 200) < 5 * math.sqrt(400 * 0.25)


def test_a_number_goes_by_the_value_of_its_axis() -> None:
    cities = (["Bern", "Lyon", "Turin"] * 134)[:400]
    bounds = {"Bern": [1, 9], "Lyon": [10, 19], "Turin": [20, 29]}
    drawn = numbers_of({"by": "city", "range": bounds}, city=cities)
    first = {"Bern": 1, "Lyon": 10, "Turin": 20}
    assert all(first[city] <= value <= first[city] + 9 for city, value in zip(cities, drawn, strict=True))
    assert drawn.n_unique() > 20


def test_a_number_is_raised_to_the_floor_of_its_value() -> None:
    cities = ["Bern", "Turin"] * 200
    drawn = numbers_of({"range": [1, 9], "at_least": {"city": {"Turin": 7}}}, city=cities)
    assert set(drawn.gather_every(2)) == set(range(1, 10))
    assert set(drawn.gather_every(2, 1)) == {7, 8, 9}


def test_the_highest_of_several_floors_counts() -> None:
    floors = {"city": {"Turin": 3}, "tone": {"calm": 8}}
    assert set(numbers_of({"range": [1, 9], "at_least": floors}, city="Turin", tone="calm")) == {8, 9}


def test_a_floor_between_two_numbers_counts_as_the_upper() -> None:
    assert set(numbers_of({"range": [1, 4], "at_least": {"city": {"Turin": 2.5}}}, city="Turin")) == {3, 4}


def test_a_difference_is_the_first_number_less_the_second() -> None:
    numbers = {
        "came_on": {"range": [100, 200]},
        "days": {"range": [1, 40]},
        "sent_on": {"difference": ["came_on", "days"]},
    }
    plan = add_numbers(pl.DataFrame({"planned_id": IDS}), recipe_with(numbers=numbers, rules=[]))
    assert plan["sent_on"].equals((plan["came_on"] - plan["days"]).alias("sent_on"))


def test_a_difference_of_decimals_shows_no_noise() -> None:
    numbers = {
        "paid": {"range": [0.3, 0.3], "decimals": 1},
        "owed": {"range": [0.1, 0.1], "decimals": 1},
        "left": {"difference": ["paid", "owed"], "decimals": 1},
    }
    plan = add_numbers(pl.DataFrame({"planned_id": IDS[:1]}), recipe_with(numbers=numbers, rules=[]))
    assert plan["left"].to_list() == [0.2]


def test_a_record_draws_the_same_whatever_stands_beside_it() -> None:
    together = uniforms(IDS, "number", "size")
    alone = np.concatenate([uniforms([one], "number", "size") for one in IDS])
    assert together.tolist() == alone.tolist()


def test_another_purpose_is_another_draw() -> None:
    assert not np.isclose(uniforms(IDS, "number", "size"), uniforms(IDS, "number", "price")).any()


def test_draws_are_spread_over_the_unit_interval() -> None:
    draws = uniforms(IDS, "number", "size")
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(draws.mean() - 0.5) < 5 / math.sqrt(12 * 400)


def test_a_draw_never_changes() -> None:
    # `printf 'p0number|size' | b2sum -l 48` gives 4af88fdc425a, as a share of 2**48
    assert uniforms(["p0"], "number", "size").tolist() == [0x4AF88FDC425A / 2**48]
