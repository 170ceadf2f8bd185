"""What is expected of a validated partition, from the recipe: plausibility, skew, and its own statements."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from synth_pipeline.contracts.checks import MAX_IDS, Conclusion, DeclaredCheck
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.rules import Expectation
from synth_pipeline.stages.validation.rules import FIELD
from synth_pipeline.stages.validation.suite import Finding, Stated, run_suite
from synth_pipeline.stages.validation.verdicts import SCHEMA_RULE, with_fields

NOT_EMPTY = "not_empty"
ROW_COUNT = "ExpectTableRowCountToBeBetween"
IN_SET = "ExpectColumnValuesToBeInSet"
BETWEEN = "ExpectColumnValuesToBeBetween"
SCHEMA_PASS_SHARE = 0.5


def declare_checks(recipe: Recipe) -> list[DeclaredCheck]:
    """Return the checks of the recipe's validated set; their names are known before any row is."""
    rules = [(SCHEMA_RULE, SCHEMA_PASS_SHARE), *((rule.name, rule.min_pass_share) for rule in recipe.rules)]
    skew = recipe.skew
    return [
        DeclaredCheck(NOT_EMPTY, "At least one record is valid.", blocking=True),
        *(DeclaredCheck(f"pass_share_{name}", f"At least {share:.0%} pass `{name}`.") for name, share in rules),
        *(_declare(expectation) for expectation in recipe.expectations),
        *(
            DeclaredCheck(
                f"skew_{axis}",
                f"No value's share among the valid, clean records lies more than {skew.limit:g} from its target.",
                blocking=skew.blocking,
            )
            for axis in (skew.axes if skew else ())
            if skew
        ),
    ]


def conclude_checks(validated: pl.DataFrame, recipe: Recipe) -> list[Conclusion]:
    """Return what every declared check found in VALIDATED_SET of one partition, in the order of `declare_checks`."""
    valid = validated.filter(pl.col("state") == "valid")
    conclusions = [*_not_empty(valid), *_rule_shares(validated, recipe), *_stated(valid, recipe)]
    if recipe.skew:
        clean = valid.filter(pl.col("flaw").is_null())
        conclusions += [_skew(clean, recipe, axis, recipe.skew.limit) for axis in recipe.skew.axes]
    return conclusions


def _declare(expectation: Expectation) -> DeclaredCheck:
    arguments = ", ".join(f"{name}={value}" for name, value in expectation.arguments.items())
    stated = f"{expectation.expectation}({arguments}) over the valid records; source: {expectation.source}."
    description = f"{expectation.description} {stated}" if expectation.description else stated
    return DeclaredCheck(expectation.name, description, expectation.severity, expectation.blocking)


def _not_empty(valid: pl.DataFrame) -> list[Conclusion]:
    stated = Stated(NOT_EMPTY, ROW_COUNT, {"min_value": 1})
    found = run_suite(valid.select("item_id"), [stated], id_column="item_id")[0]
    advice = "read the reasons in validated_set; the provider refuses, fails, or ignores the plan"
    return [Conclusion(NOT_EMPTY, found.passed, found.observed, "at least 1 row", valid.height, advice=advice)]


def _rule_shares(validated: pl.DataFrame, recipe: Recipe) -> list[Conclusion]:
    """Every rule's pass share over the items that it applies to, by Great Expectations' `mostly`."""
    shares = {SCHEMA_RULE: SCHEMA_PASS_SHARE} | {rule.name: rule.min_pass_share for rule in recipe.rules}
    verdicts = validated.select("item_id", "verdicts").explode("verdicts").unnest("verdicts")
    passed = pl.when(pl.col("verdict") != "not_applicable").then(pl.col("verdict") == "pass")
    wide = verdicts.with_columns(passed.alias("passed")).pivot("rule", index="item_id", values="passed")
    wide = wide.with_columns(
        pl.lit(None, dtype=pl.Boolean()).alias(name) for name in shares if name not in wide.columns
    )
    stated = [
        Stated(name, IN_SET, {"column": name, "value_set": [True], "mostly": share}) for name, share in shares.items()
    ]
    findings = run_suite(wide, stated, id_column="item_id")
    return [
        _conclusion(
            found,
            f"pass_share_{found.name}",
            f"pass share at least {shares[found.name]:g}",
            _RULE_ADVICE,
        )
        for found in findings
    ]


_RULE_ADVICE = "read the reasons of the offending items in validated_set; mend the write prompt or loosen the rule"


def _stated(valid: pl.DataFrame, recipe: Recipe) -> list[Conclusion]:
    if not recipe.expectations:
        return []
    fields = with_fields(valid, recipe)
    named = fields.rename(
        {
            c: c.removeprefix(FIELD)
            for c in fields.columns
            if c.startswith(FIELD) and c.removeprefix(FIELD) not in fields.columns
        }
    )
    plain = named.drop("verdicts", "reasons", strict=False)
    stated = [Stated(e.name, e.expectation, e.arguments) for e in recipe.expectations]
    limits = {
        e.name: ", ".join(f"{k}={v}" for k, v in e.arguments.items() if k != "column") for e in recipe.expectations
    }
    findings = run_suite(plain, stated, id_column="item_id")
    advice = "look at the valid records; mend the plan or the prompt, or move the limit with a source"
    return [_conclusion(found, found.name, limits[found.name], advice) for found in findings]


def _conclusion(found: Finding, name: str, limit: str, advice: str) -> Conclusion:
    observed = found.error or found.observed
    return Conclusion(
        name=name,
        passed=found.passed and found.error is None,
        observed=observed,
        limit=limit,
        n=found.n,
        offending_ids=found.unexpected_ids,
        n_offending=found.n_unexpected,
        advice=advice,
    )


def _skew(clean: pl.DataFrame, recipe: Recipe, axis: str, limit: float) -> Conclusion:
    """Hold every value's gap between realised and target share against the limit.

    With few records a target itself cannot be met: rounding to whole records is allowed for, one record's share.
    """
    targets = pl.DataFrame(
        {"value": list(recipe.axes[axis].values), "target": [v.share for v in recipe.axes[axis].values.values()]}
    )
    counts = clean.group_by(pl.col(axis).alias("value")).agg(pl.len().alias("n"))
    margin = targets.join(counts, on="value", how="left", maintain_order="left").with_columns(pl.col("n").fill_null(0))
    total = max(clean.height, 1)
    margin = margin.with_columns((pl.col("n") / total - pl.col("target")).round(9).alias("gap"))
    allowed = round(limit + 1 / total, 9)
    stated = Stated(axis, BETWEEN, {"column": "gap", "min_value": -allowed, "max_value": allowed})
    found = run_suite(margin, [stated], id_column="value")[0]
    worst = margin.sort(pl.col("gap").abs(), descending=True).row(0, named=True)
    over = margin.filter(pl.col("value").is_in(list(found.unexpected_ids)) & (pl.col("gap") > 0))["value"].to_list()
    ids: Sequence[Any] = clean.filter(pl.col(axis).is_in(over))["item_id"].to_list()
    return Conclusion(
        name=f"skew_{axis}",
        passed=found.passed and found.error is None and math.isfinite(worst["gap"]),
        observed=found.error or f"{worst['value']}: share {worst['n'] / total:.3f}, target {worst['target']:.3f}",
        limit=f"gap at most {limit:g} (and one record of {clean.height})",
        n=clean.height,
        offending_ids=tuple(ids[:MAX_IDS]),
        n_offending=len(ids),
        advice="the ids are of over-represented values; see which rules reject the others, then run them again",
        figures={"largest_gap": float(abs(worst["gap"]))},
    )
