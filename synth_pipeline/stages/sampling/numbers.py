"""The numbers of planned records: drawn by name, so that a record keeps its numbers whatever stands beside it."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.space import Interval, NumberAxis, steps_in

FIVE_PERCENT, HALF = 0.05, 0.5


def uniforms(planned_ids: Sequence[str], *names: str) -> NDArray[np.float64]:
    """Return one number in [0, 1) for each planned record, fixed by its id and `names`. Shape (n,)."""
    suffix = "|".join(names).encode()
    heads = (hashlib.blake2b(planned.encode() + suffix, digest_size=6).digest() for planned in planned_ids)
    return np.fromiter((int.from_bytes(head) for head in heads), dtype=np.float64, count=len(planned_ids)) / 2.0**48


def add_numbers(plan: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Return the plan with one column for each of the recipe's numbers, drawn or derived in their order."""
    for name, number in recipe.numbers.items():
        values = _derived(plan, number) if number.difference else _drawn(plan, name, number)
        floor = _floors(plan, number)
        values = np.maximum(values, floor) if floor is not None else values
        rounded = np.round(values, number.decimals)
        plan = plan.with_columns(pl.Series(name, rounded if number.decimals else rounded.astype(np.int64)))
    return plan


def spread(interval: Interval, share: float, decimals: int) -> str:
    """Return the number at `share` (0-1) of `interval` as text with `decimals`, never outside the interval."""
    first, last = steps_in(interval, decimals)
    step = min(last, first + int(share * (last - first + 1)))
    return f"{step / 10**decimals:.{decimals}f}"


def _derived(plan: pl.DataFrame, number: NumberAxis) -> NDArray[np.float64]:
    first, second = number.difference or ("", "")
    return (plan[first] - plan[second]).to_numpy().astype(np.float64)


def _drawn(plan: pl.DataFrame, name: str, number: NumberAxis) -> NDArray[np.float64]:
    by_value = number.by_value()
    codes = dict(zip(by_value, range(len(by_value)), strict=True))
    rows = (
        plan[number.by].replace_strict(codes, return_dtype=pl.UInt32()).to_numpy() if number.by else [0] * plan.height
    )
    grid = np.array([steps_in((numbers[0], numbers[-1]), number.decimals) for numbers in by_value.values()])[rows]
    first, last, scale = grid[:, 0], grid[:, 1], 10**number.decimals
    share = uniforms(plan["planned_id"].to_list(), "number", name)
    if number.quantiles is None:
        steps = np.minimum(first + np.floor(share * (last - first + 1)), last)
    else:
        steps = np.clip(np.round(_log_between(np.array(list(by_value.values()))[rows], share) * scale), first, last)
    return np.asarray(steps / scale, dtype=np.float64)


def _log_between(bounds: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate on a log scale between the 5th, 50th and 95th percentile; nothing is drawn outside them."""
    logs = np.log(bounds)
    position = FIVE_PERCENT + share * (1 - 2 * FIVE_PERCENT)
    lower = logs[:, 0] + (logs[:, 1] - logs[:, 0]) * (position - FIVE_PERCENT) / (HALF - FIVE_PERCENT)
    upper = logs[:, 1] + (logs[:, 2] - logs[:, 1]) * (position - HALF) / (HALF - FIVE_PERCENT)
    return np.asarray(np.exp(np.where(position < HALF, lower, upper)))


def _floors(plan: pl.DataFrame, number: NumberAxis) -> NDArray[np.float64] | None:
    columns = [
        plan[axis].replace_strict(bounds, default=-math.inf, return_dtype=pl.Float64()).to_numpy()
        for axis, bounds in number.at_least.items()
    ]
    scale = 10**number.decimals
    return np.ceil(np.round(np.max(columns, axis=0) * scale, 6)) / scale if columns else None
