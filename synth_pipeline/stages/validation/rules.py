"""The rules: each a function from its declaration and the items to what is wrong with each, vectorized."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import polars as pl

from synth_pipeline.contracts.rules import (
    AnyRule,
    AsPlanned,
    ExactDuplicate,
    NumberInText,
    Ordered,
    PlausibleRange,
    StatesQuantity,
    WordsBetween,
)

NOT_A_DIGIT_BEFORE, NOT_A_DIGIT_AFTER = r"(^|[^\d.,])", r"($|[^\d.,]|[.,]($|\D))"
Fault = pl.Expr
FIELD, PLANNED = "field__", "planned__"
MAX_GROUPS = 7  # of three digits: every 64-bit integer


def fault_of(rule: AnyRule) -> Fault:
    """Return an expression: why an item fails the rule, or null where it passes.

    It reads `text`, the record's fields as `field__<name>`, the planned values as `planned__<name>` and, for
    duplicates, `same_as`: the earlier item or reference example with the same text.
    """
    return FAULTS[type(rule)](rule)


def applies_to(rule: AnyRule) -> pl.Expr:
    """Return an expression: whether the rule says anything about an item that has a record."""
    return pl.col("stated_value").is_not_null() if isinstance(rule, StatesQuantity) else pl.lit(value=True)


def stated_in_text(number: pl.Expr) -> pl.Expr:
    """Return an expression: whether `number` stands in `text` in digits, not inside a longer number.

    Thousands may be written together or parted by a comma, a space or a thin space; zeros may end the decimals.
    """
    decimals = number.cast(pl.String).str.extract(r"\.(\d*[1-9])")
    ending = pl.when(decimals.is_null()).then(pl.lit(r"(\.0+)?")).otherwise(pl.format(r"\.{}0*", decimals))
    return _stands_in_text(number.cast(pl.String), ending)


def _stands_in_text(number: pl.Expr, ending: pl.Expr) -> pl.Expr:
    """Return whether the whole part of a written number, followed by the pattern `ending`, stands in `text`."""
    sign = pl.when(number.str.starts_with("-")).then(pl.lit("[-−]")).otherwise(pl.lit(""))
    whole = _grouped(number.str.extract(r"^-?(\d+)"))
    pattern = pl.concat_str(pl.lit(NOT_A_DIGIT_BEFORE), sign, whole, ending, pl.lit(NOT_A_DIGIT_AFTER))
    return pl.col("text").str.contains(pattern)


def _grouped(digits: pl.Expr) -> pl.Expr:
    """Return a pattern of the digits with an optional separator before every third from the right."""
    left, threes = digits, []
    for _ in range(MAX_GROUPS):
        threes.append(left.str.tail(3))
        left = left.str.head(-3)
    parts = [pl.when(part != "").then(part) for part in reversed(threes)]
    return pl.concat_str(parts, separator=r"[,\s]?", ignore_nulls=True)


def _plausible_range(rule: PlausibleRange) -> Fault:
    value, key = pl.col(FIELD + rule.field), pl.col(PLANNED + rule.by)
    low = key.replace_strict({k: v[0] for k, v in rule.ranges.items()}, default=None, return_dtype=pl.Float64())
    high = key.replace_strict({k: v[1] for k, v in rule.ranges.items()}, default=None, return_dtype=pl.Float64())
    reason = pl.format(f"{rule.field} {{}} lies outside {{}} to {{}}, plausible for {{}}", value, low, high, key)
    return pl.when(~value.is_between(low, high)).then(reason)


def _ordered(rule: Ordered) -> Fault:
    fields = [pl.col(FIELD + field) for field in rule.order]
    falls = pl.any_horizontal(earlier > later for earlier, later in pairwise(fields))
    numbers = pl.concat_str(fields, separator=", ")
    return pl.when(falls).then(pl.format(f"{', '.join(rule.order)} are {{}}: not in this order", numbers))


def _number_in_text(rule: NumberInText) -> Fault:
    value = pl.col(FIELD + rule.field)
    return pl.when(~stated_in_text(value)).then(pl.format(f"the text does not state {rule.field} {{}}", value))


def _as_planned(rule: AsPlanned) -> Fault:
    differences = [
        pl.when(pl.col(FIELD + name) != pl.col(PLANNED + name)).then(
            pl.format(f"{name} is {{}}, planned {{}}", pl.col(FIELD + name), pl.col(PLANNED + name))
        )
        for name in rule.planned
    ]
    joined = pl.concat_str(differences, separator="; ", ignore_nulls=True)
    return pl.when(joined != "").then(joined)


def _states_quantity(_rule: StatesQuantity) -> Fault:
    value = pl.col("stated_value")
    decimals = value.str.extract(r"\.(\d+)$")
    ending = pl.when(decimals.is_null()).then(pl.lit("")).otherwise(pl.format(r"\.{}", decimals))
    missing = ~_stands_in_text(value, ending)
    unproven = pl.col("proof").is_not_null() & (pl.col("proof") != "proven")
    return (
        pl.when(unproven)
        .then(pl.format("the planned damage is not proven: {}", pl.col("proof")))
        .when(missing)
        .then(pl.format("the text does not state {} {}", pl.col("quantity"), value))
    )


def _words_between(rule: WordsBetween) -> Fault:
    words = pl.col("text").str.count_matches(r"\S+")
    reason = pl.format(f"the text has {{}} words, not {rule.least} to {rule.most}", words)
    return pl.when(~words.is_between(rule.least, rule.most)).then(reason)


def _exact_duplicate(_rule: ExactDuplicate) -> Fault:
    same = pl.col("same_as")
    return pl.when(same.is_not_null()).then(pl.format("the same text as {}", same))


FAULTS: dict[type[Any], Callable[[Any], Fault]] = {
    PlausibleRange: _plausible_range,
    Ordered: _ordered,
    NumberInText: _number_in_text,
    AsPlanned: _as_planned,
    StatesQuantity: _states_quantity,
    WordsBetween: _words_between,
    ExactDuplicate: _exact_duplicate,
}
