"""Every margin is exact, every constraint obeyed, and what cannot be obeyed is said with its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.errors import RecipeError
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.stages.sampling.quotas import draw_cells, largest_remainder
from synth_pipeline_tests.stages.sampling.recipes import bare_recipe, constrained_recipes, free_recipes

N = st.integers(0, 300)
SEEDS = st.integers(0, 2**31 - 1)


def drawn_values(recipe: Recipe, seed: int, n: int) -> dict[str, list[str]]:
    """Return what is drawn for each axis, as values."""
    codes = draw_cells(recipe, "parcels", seed, n)
    return {name: [list(recipe.axes[name].values)[code] for code in codes[name]] for name in recipe.axes}


def n_listed(recipe: Recipe, axis: str, values: list[str]) -> dict[str, int]:
    """Return how many of the drawn values each value of an axis has."""
    return {value: values.count(value) for value in recipe.axes[axis].values}


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any), N)
def test_counts_sum_to_n_and_lie_within_one_of_their_share(parts: list[int], n: int) -> None:
    counts = largest_remainder(np.array(parts, dtype=np.float64), n)
    targets = np.array(parts) / sum(parts) * n
    assert counts.sum() == n
    assert np.abs(counts - targets).max() < 1 + 1e-9


@pytest.mark.parametrize(
    ("shares", "n", "counts"),
    [
        ([0.5, 0.3, 0.2], 10, [5, 3, 2]),
        ([0.5, 0.3, 0.2], 11, [6, 3, 2]),
        ([0.5, 0.3, 0.2], 1, [1, 0, 0]),
        ([0.25, 0.25, 0.25, 0.25], 2, [1, 1, 0, 0]),  # a tie goes to the earlier value
        ([0.1, 0.2, 0.7], 3, [0, 1, 2]),
        ([1.0, 0.0], 5, [5, 0]),
        ([0.3, 0.7], 0, [0, 0]),
    ],
)
def test_quotas_by_hand(shares: list[float], n: int, counts: list[int]) -> None:
    assert largest_remainder(np.array(shares), n).tolist() == counts


@settings(deadline=None)
@given(free_recipes(), N, SEEDS)
def test_every_value_gets_its_share_of_the_records_within_one(recipe: Recipe, n: int, seed: int) -> None:
    for axis, values in drawn_values(recipe, seed, n).items():
        assert len(values) == n
        for value, count in n_listed(recipe, axis, values).items():
            assert abs(count - recipe.axes[axis].values[value].share * n) < 1 + 1e-9


@settings(deadline=None)
@given(constrained_recipes(), N, SEEDS)
def test_a_constraint_is_obeyed_with_exact_margins_or_named_as_infeasible(recipe: Recipe, n: int, seed: int) -> None:
    forbid = recipe.constraints[0].forbid
    counts = {
        name: dict(
            zip(axis.values, largest_remainder(np.array([v.share for v in axis.values.values()]), n), strict=True)
        )
        for name, axis in recipe.axes.items()
    }
    # by the pigeonhole: two sets of records can keep apart exactly when together they are no more than all
    feasible = sum(int(counts[axis][value]) for axis, values in forbid.items() for value in values) <= n
    if not feasible:
        with pytest.raises(RecipeError, match=r"constraints\.0"):
            draw_cells(recipe, "parcels", seed, n)
        return
    drawn = drawn_values(recipe, seed, n)
    assert not [
        pair for pair in zip(drawn["a"], drawn["b"], strict=True) if pair[0] in forbid["a"] and pair[1] in forbid["b"]
    ]
    assert {axis: n_listed(recipe, axis, values) for axis, values in drawn.items()} == counts


@settings(deadline=None)
@given(free_recipes(), SEEDS)
def test_the_same_seed_draws_the_same_cells(recipe: Recipe, seed: int) -> None:
    assert drawn_values(recipe, seed, 50) == drawn_values(recipe, seed, 50)


def test_another_seed_or_recipe_matches_the_margins_otherwise() -> None:
    recipe = bare_recipe({"a": {"x": 0.5, "y": 0.5}, "b": {"p": 0.5, "q": 0.5}})
    drawn = [draw_cells(recipe, name, seed, 60) for name, seed in (("parcels", 1), ("parcels", 2), ("letters", 1))]
    assert len({tuple(one["a"].tolist()) for one in drawn}) == 3


def test_axes_are_matched_independently() -> None:
    recipe = bare_recipe({"a": {"x": 0.5, "y": 0.5}, "b": {"p": 0.5, "q": 0.5}})
    drawn = drawn_values(recipe, 3, 4000)
    together = sum(pair == ("x", "p") for pair in zip(drawn["a"], drawn["b"], strict=True))
    assert abs(together - 1000) < 5 * 16  # five standard deviations of the hypergeometric count


def test_what_cannot_be_kept_apart_is_named_with_its_reason_and_a_fix() -> None:
    recipe = bare_recipe(
        {"a": {"x": 0.7, "y": 0.3}, "b": {"p": 0.6, "q": 0.4}},
        [{"forbid": {"a": ["x"], "b": ["p"]}, "because": "oil and water"}],
    )
    with pytest.raises(RecipeError) as caught:
        draw_cells(recipe, "parcels", 1, 10)
    assert str(caught.value) == (
        "constraints.0: 3 planned records cannot avoid {'a': ['x'], 'b': ['p']} (oil and water) "
        "with the shares as they are\n"
        "  fix: raise the shares of the values that are allowed together, or loosen the constraint"
    )


def test_of_several_constraints_the_one_that_cannot_be_obeyed_is_named() -> None:
    recipe = bare_recipe(
        {"a": {"x": 0.5, "y": 0.5}, "b": {"p": 0.9, "q": 0.1}},
        [
            {"forbid": {"a": ["y"], "b": ["q"]}, "because": "easy to obey"},
            {"forbid": {"a": ["x"], "b": ["p"]}, "because": "too many of both"},
        ],
    )
    with pytest.raises(RecipeError, match=r"constraints\.1: \d+ planned records cannot avoid .*too many of both"):
        draw_cells(recipe, "parcels", 1, 100)


def test_margins_that_fit_only_one_way_are_found() -> None:
    recipe = bare_recipe(
        {"a": {"x": 0.6, "y": 0.4}, "b": {"p": 0.4, "q": 0.6}},
        [{"forbid": {"a": ["x"], "b": ["p"]}, "because": "chosen"}],
    )
    drawn = drawn_values(recipe, 5, 1000)
    assert set(zip(drawn["a"], drawn["b"], strict=True)) == {("x", "q"), ("y", "p")}


@pytest.mark.parametrize("seed", range(5))
def test_margins_that_three_constraints_leave_no_choice_are_found(seed: int) -> None:
    recipe = bare_recipe(
        {"a": {"x": 0.2, "y": 0.2, "z": 0.4, "w": 0.2}, "b": {"p": 0.2, "q": 0.6, "r": 0.2}},
        [
            {"forbid": {"a": ["w", "y"], "b": ["r"]}, "because": "chosen"},
            {"forbid": {"a": ["x", "w"], "b": ["q"]}, "because": "chosen"},
            {"forbid": {"a": ["w"], "b": ["r"]}, "because": "chosen"},
        ],
    )
    drawn = drawn_values(recipe, seed, 2400)
    # w takes only p, and all of it; that leaves r to x, and q to y and z
    assert set(zip(drawn["a"], drawn["b"], strict=True)) == {("w", "p"), ("x", "r"), ("y", "q"), ("z", "q")}


@pytest.mark.parametrize("seed", range(10))
def test_constraints_that_lean_on_each_other_are_obeyed_where_they_can_be(seed: int) -> None:
    # c=u leaves only b=q, and a=x leaves only c=w: a swap that mends one clash at first moves it elsewhere
    recipe = bare_recipe(
        {
            "a": {"x": 0.3, "y": 0.3, "z": 0.4},
            "b": {"p": 0.5, "q": 0.5},
            "c": {"u": 0.5, "v": 0.2, "w": 0.3},
        },
        [
            {"forbid": {"c": ["u"], "b": ["p"]}, "because": "chosen"},
            {"forbid": {"a": ["x"], "c": ["u", "v"]}, "because": "chosen"},
            {"forbid": {"a": ["y"], "b": ["p"]}, "because": "chosen"},
        ],
    )
    drawn = drawn_values(recipe, seed, 50)
    cells = list(zip(drawn["a"], drawn["b"], drawn["c"], strict=True))
    assert not [cell for cell in cells if cell[2] == "u" and cell[1] == "p"]
    assert not [cell for cell in cells if cell[0] == "x" and cell[2] != "w"]
    assert not [cell for cell in cells if cell[0] == "y" and cell[1] == "p"]
