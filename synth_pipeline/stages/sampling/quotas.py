"""Exact quotas for every margin, matched so that no constraint is broken."""

import itertools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.contracts.errors import RecipeError
from synth_pipeline.contracts.identity import seed_for
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.space import Constraint

Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
MAX_STALE_ROUNDS = 100
WANDER_SHARE = 0.5


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
    """Swap until nothing clashes.

    Raises:
        RecipeError: the clashes have not become fewer for many rounds.
    """
    fewest, stale = math.inf, 0
    for round_number in itertools.count():
        clashing = [constraint for constraint in recipe.constraints if _forbidden(recipe, constraint, codes).any()]
        if not clashing:
            return
        n_broken = int(_n_broken(recipe, codes).sum())
        fewest, stale = (n_broken, 0) if n_broken < fewest else (fewest, stale + 1)
        if stale > MAX_STALE_ROUNDS:
            raise _infeasible(recipe, codes)
        for constraint in clashing:
            axes = sorted(constraint.forbid)
            _swap_once(recipe, codes, constraint, axes[round_number % len(axes)], rng)


def _swap_once(
    recipe: Recipe, codes: dict[str, Codes], constraint: Constraint, axis: str, rng: np.random.Generator
) -> None:
    """Swap one axis between clashing rows and others, where the pair breaks no more constraints than before.

    Partners are the rows that can take the clashing value; every other time one row of each cell, whether it can or
    not, so that a clash which no partner mends wanders to where one does.
    """
    allowed = np.array([value not in constraint.forbid[axis] for value in recipe.axes[axis].values])
    wander = rng.random() < WANDER_SHARE
    for value in np.unique(codes[axis][_forbidden(recipe, constraint, codes)]):
        clashing, before = _forbidden(recipe, constraint, codes), _n_broken(recipe, codes)
        could_take = _n_broken(recipe, {**codes, axis: np.full_like(codes[axis], value)}) <= before
        partners = rng.permutation(np.flatnonzero(~clashing & allowed[codes[axis]] & (wander | could_take)))
        partners = rng.permutation(_one_of_each_cell(recipe, codes, partners)) if wander else partners
        rows = rng.permutation(np.flatnonzero(clashing & (codes[axis] == value)))
        _swap_pairs(recipe, codes, axis, rows[: len(partners)], partners[: len(rows)])


def _one_of_each_cell(recipe: Recipe, codes: Mapping[str, Codes], rows: Rows) -> Rows:
    """Return the first of `rows` for each combination of the axes that constraints name."""
    cells = np.zeros(len(rows), dtype=np.int64)
    for axis in {axis: None for constraint in recipe.constraints for axis in constraint.forbid}:
        cells = cells * len(recipe.axes[axis].values) + codes[axis][rows]
    return rows[np.unique(cells, return_index=True)[1]]


def _swap_pairs(recipe: Recipe, codes: dict[str, Codes], axis: str, rows: Rows, partners: Rows) -> None:
    swapped = codes[axis].copy()
    swapped[rows], swapped[partners] = codes[axis][partners], codes[axis][rows]
    before, after = _n_broken(recipe, codes), _n_broken(recipe, {**codes, axis: swapped})
    kept = after[rows] + after[partners] <= before[rows] + before[partners]
    for changed in (rows[kept], partners[kept]):
        codes[axis][changed] = swapped[changed]


def _n_broken(recipe: Recipe, codes: Mapping[str, Codes]) -> NDArray[np.int64]:
    broken = [_forbidden(recipe, constraint, codes) for constraint in recipe.constraints]
    return np.asarray(np.sum(broken, axis=0, dtype=np.int64))


def _forbidden(recipe: Recipe, constraint: Constraint, codes: Mapping[str, Codes]) -> Mask:
    mask = np.ones(len(next(iter(codes.values()))), dtype=np.bool_)
    for axis, values in constraint.forbid.items():
        listed = np.array([value in values for value in recipe.axes[axis].values])
        mask &= listed[codes[axis]]
    return mask


def _infeasible(recipe: Recipe, codes: Mapping[str, Codes]) -> RecipeError:
    counts = [(int(_forbidden(recipe, c, codes).sum()), i, c) for i, c in enumerate(recipe.constraints)]
    count, index, constraint = max(counts, key=lambda entry: entry[0])
    return RecipeError(
        f"{count} planned records cannot avoid {constraint.forbid} ({constraint.because}) with the shares as they are",
        where=f"constraints.{index}",
        fix="raise the shares of the values that are allowed together, or loosen the constraint",
    )
