"""Exact quotas for every margin, matched so that no constraint is broken."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.contracts.errors import RecipeError
from synth_pipeline.contracts.identity import seed_for
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.space import Constraint

Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]
MAX_SWAP_ROUNDS = 400


def largest_remainder(shares: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return counts that sum to `n` and lie within one of `shares * n`; ties go to the earlier value.

    Source:
        Hamilton's method of apportionment.
    """
    targets = np.round(shares / shares.sum() * n, 9)
    counts: NDArray[np.int64] = np.floor(targets).astype(np.int64)
    order = np.argsort(-(targets - counts), kind="stable")
    counts[order[: n - int(counts.sum())]] += 1
    return counts


def draw_cells(recipe: Recipe, name: str, seed: int, n: int) -> dict[str, Codes]:
    """Return the value codes of `n` records for each axis: every margin exact, every constraint obeyed.

    Args:
        recipe: axes and constraints.
        name: the recipe's name.
        seed: the random seed; the matching of margins depends on it, their counts do not.
        n: records to plan.

    Returns:
        Axis -> codes, shape (n,), positions in the axis's values.

    Raises:
        RecipeError: no matching was found that obeys a constraint; names it.
    """
    codes: dict[str, Codes] = {}
    for axis_name, axis in recipe.axes.items():
        shares = np.array([value.share for value in axis.values.values()])
        column = np.repeat(np.arange(len(shares), dtype=np.int32), largest_remainder(shares, n))
        codes[axis_name] = np.random.default_rng(seed_for(name, seed, "axis", axis_name)).permutation(column)
    _swap_until_allowed(recipe, codes, np.random.default_rng(seed_for(name, seed, "swaps")))
    return codes


def _swap_until_allowed(recipe: Recipe, codes: dict[str, Codes], rng: np.random.Generator) -> None:
    for round_number in range(MAX_SWAP_ROUNDS):
        clashing = [constraint for constraint in recipe.constraints if _forbidden(recipe, constraint, codes).any()]
        if not clashing:
            return
        for constraint in clashing:
            axes = sorted(constraint.forbid)
            _swap_once(recipe, codes, constraint, axes[round_number % len(axes)], rng)
    raise _infeasible(recipe, codes)


def _swap_once(
    recipe: Recipe, codes: dict[str, Codes], constraint: Constraint, axis: str, rng: np.random.Generator
) -> None:
    """Swap one axis between clashing rows and random others, where both rows are allowed afterwards."""
    forbidden = _forbidden(recipe, constraint, codes)
    rows, others = np.flatnonzero(forbidden), np.flatnonzero(~forbidden)
    count = min(len(rows), len(others))
    rows, partners = rng.permutation(rows)[:count], rng.permutation(others)[:count]
    swapped = {name: column.copy() for name, column in codes.items()}
    swapped[axis][rows], swapped[axis][partners] = codes[axis][partners], codes[axis][rows]
    broken = np.zeros(len(forbidden), dtype=np.bool_)
    for rule in recipe.constraints:
        broken |= _forbidden(recipe, rule, swapped)
    was_broken = np.zeros(len(forbidden), dtype=np.bool_)
    for rule in recipe.constraints:
        was_broken |= _forbidden(recipe, rule, codes)
    helps = ~broken[rows] & (~broken[partners] | was_broken[partners])
    codes[axis][rows[helps]], codes[axis][partners[helps]] = (
        swapped[axis][rows[helps]],
        swapped[axis][partners[helps]],
    )


def _forbidden(recipe: Recipe, constraint: Constraint, codes: Mapping[str, Codes]) -> Mask:
    mask = np.ones(len(next(iter(codes.values()))), dtype=np.bool_)
    for axis, values in constraint.forbid.items():
        names = list(recipe.axes[axis].values)
        mask &= np.isin(codes[axis], [names.index(value) for value in values])
    return mask


def _infeasible(recipe: Recipe, codes: Mapping[str, Codes]) -> RecipeError:
    counts = [(int(_forbidden(recipe, c, codes).sum()), i, c) for i, c in enumerate(recipe.constraints)]
    count, index, constraint = max(counts, key=lambda entry: entry[0])
    return RecipeError(
        f"{count} planned records cannot avoid {constraint.forbid} ({constraint.because}) with the shares as they are",
        where=f"constraints.{index}",
        fix="raise the shares of the values that are allowed together, or loosen the constraint",
    )
