"""The score compares like with like, decides nothing on few examples, and knows a leak when it sees one."""

from typing import Any

import polars as pl
import pytest

from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.tables import REFERENCE
from synth_pipeline.stages.discriminator import score_slices
from synth_pipeline.stages.discriminator.auc import AucReport
from synth_pipeline.stages.discriminator.score import judge
from synth_pipeline_tests.scenario import RECIPE, item, recipe_with, reference_frame, validated_frame
from synth_pipeline_tests.stages.discriminator.pools import CLOSING, texts


def real(shown: list[str], label: str | None = "late", prefix: str = "r") -> pl.DataFrame:
    """Return a reference of these texts."""
    return reference_frame([(f"{prefix}{index:04}", label, label, text) for index, text in enumerate(shown)])


def synthetic(shown: list[str], **changes: Any) -> pl.DataFrame:
    """Return a validated set of these texts."""
    prefix = changes.get("topic", "late")
    return validated_frame([item(f"{prefix}{index:04}", text, **changes) for index, text in enumerate(shown)])


def score(
    validated: pl.DataFrame, reference: pl.DataFrame, recipe: Recipe = RECIPE
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the scores by slice and family."""
    rows = score_slices(validated, reference, recipe, provider="anna", seed=7).to_dicts()
    return {(row["slice"], row["family"]): row for row in rows}


ALIKE = score(synthetic(texts(220, "synthetic")), real(texts(220, "real")))
STOCK = score(synthetic([f"{text} {CLOSING}" for text in texts(220, "synthetic")]), real(texts(220, "real")))


@pytest.mark.parametrize("family", ["words", "surface"])
def test_pools_that_are_alike_pass(family: str) -> None:
    row = ALIKE["all", family]
    assert (row["verdict"], row["limit"], row["n_real"], row["n_synthetic"]) == ("pass", 0.75, 220, 220)
    assert row["low"] < 0.5 < row["high"] < 0.75
    assert row["verdict_reason"].startswith(
        f"AUC {row['auc']:.3f} [{row['low']:.3f}, {row['high']:.3f}] at n = 220 a side"
    )


@pytest.mark.parametrize("family", ["words", "surface"])
def test_a_stock_closing_line_fails_and_is_given_away(family: str) -> None:
    row = STOCK["all", family]
    assert (row["verdict"], row["n_needed"]) == ("fail", None)
    assert row["auc"] > 0.95
    assert row["verdict_reason"].endswith("above 0.75")
    assert row["giveaways"]


@pytest.mark.parametrize("family", ["words", "surface"])
def test_a_score_stands_beside_its_floor_and_its_shuffled_baseline(family: str) -> None:
    row = STOCK["all", family]
    assert row["n_floor"] == 110
    assert abs(row["floor_auc"] - 0.5) < 0.15
    assert abs(row["shuffled_auc"] - 0.5) < 0.15


def test_only_valid_records_without_a_flaw_are_compared() -> None:
    shown = texts(40, "synthetic")
    mixed = pl.concat(
        [
            synthetic(shown[:20]),
            synthetic(shown[20:30], topic="lost", label="late", flaw="missing_scans"),
            synthetic(shown[30:], topic="broken", label="late", state="rejected"),
        ]
    )
    assert score(mixed, real(texts(50, "real")))["all", "words"]["n_synthetic"] == 20


def test_both_sides_have_the_same_number_of_each_label() -> None:
    validated = pl.concat([synthetic(texts(30, "a")), synthetic(texts(12, "b"), topic="lost")])
    reference = pl.concat([real(texts(15, "c")), real(texts(40, "d"), "lost", "s"), real(texts(9, "e"), None, "t")])
    row = score(validated, reference)["all", "surface"]
    assert (row["n_real"], row["n_synthetic"]) == (15 + 12, 15 + 12)


def test_a_label_that_one_side_lacks_is_left_out() -> None:
    validated = pl.concat([synthetic(texts(12, "a")), synthetic(texts(30, "b"), topic="broken")])
    assert score(validated, real(texts(40, "c")))["all", "words"]["n_synthetic"] == 12


def test_each_label_can_be_scored_by_itself() -> None:
    validated = pl.concat([synthetic(texts(15, "a")), synthetic(texts(12, "b"), topic="lost")])
    reference = pl.concat([real(texts(15, "c")), real(texts(40, "d"), "lost", "s")])
    rows = score(validated, reference, recipe_with(gate={"by_label": True, "limit": 0.8}))
    assert {(name, family): row["n_real"] for (name, family), row in rows.items() if family == "words"} == {
        ("all", "words"): 27,
        ("topic=late", "words"): 15,
        ("topic=lost", "words"): 12,
        ("topic=broken", "words"): 0,
    }
    assert {row["limit"] for row in rows.values()} == {0.8}


@pytest.mark.parametrize("reference", [REFERENCE.empty(), real(texts(20, "c"), None)])
def test_without_labelled_real_examples_nothing_is_decided(reference: pl.DataFrame) -> None:
    row = score(synthetic(texts(20, "a")), reference)["all", "words"]
    assert (row["verdict"], row["auc"], row["shuffled_auc"], row["n_needed"]) == ("undecided", None, None, 200)
    assert row["verdict_reason"] == "0 a side with matching labels; a classifier needs at least 10"


def test_without_synthetic_records_nothing_is_decided() -> None:
    row = score(validated_frame([]), real(texts(20, "c")))["all", "surface"]
    assert (row["verdict"], row["n_real"], row["offline"]) == ("undecided", 0, False)


def test_a_score_of_an_offline_stand_in_says_so() -> None:
    rows = score(synthetic(texts(12, "a"), offline=True), real(texts(12, "c")))
    assert all(row["offline"] for row in rows.values())


def test_the_same_seed_gives_the_same_scores_whatever_the_row_order() -> None:
    validated, reference = synthetic(texts(40, "a")), real(texts(25, "c"))
    assert score(validated, reference) == score(validated.reverse(), reference.reverse())


def test_copies_of_the_reference_are_kept_in_its_fold() -> None:
    shown = texts(60, "real")
    row = score(synthetic(shown), real(shown))["all", "words"]
    assert row["auc"] == pytest.approx(0.5)


# ------------------------------------------------------------------------------------------ verdicts


def report(auc: float, low: float, high: float) -> AucReport:
    """Return an AUC with its interval."""
    return AucReport(auc, low, high, 500, 500)


@pytest.mark.parametrize(
    ("auc", "low", "high", "n", "verdict", "reason", "n_needed"),
    [
        (0.60, 0.55, 0.65, 500, "pass", "AUC 0.600 [0.550, 0.650] at n = 500 a side: not above 0.75", None),
        (0.60, 0.55, 0.75, 500, "pass", "AUC 0.600 [0.550, 0.750] at n = 500 a side: not above 0.75", None),
        (0.85, 0.80, 0.90, 500, "fail", "AUC 0.850 [0.800, 0.900] at n = 500 a side: above 0.75", None),
        (
            *(0.70, 0.62, 0.78, 500, "undecided"),
            *("AUC 0.700 [0.620, 0.780] at n = 500 a side: the interval holds the limit 0.75", 512),
        ),
        (
            *(0.90, 0.85, 0.95, 199, "undecided"),
            *("AUC 0.900 [0.850, 0.950] at n = 199 a side: under 200 a side nothing is decided", 200),
        ),
        (
            *(0.70, 0.50, 0.90, 50, "undecided"),
            *("AUC 0.700 [0.500, 0.900] at n = 50 a side: under 200 a side nothing is decided", 512),
        ),
        (
            *(0.40, 0.33, 0.47, 500, "fail"),
            (
                "AUC 0.400 [0.330, 0.470] at n = 500 a side: below chance; "
                "the sides share sources that the folds do not know of"
            ),
            None,
        ),
        (0.44, 0.37, 0.51, 500, "pass", "AUC 0.440 [0.370, 0.510] at n = 500 a side: not above 0.75", None),
        (0.46, 0.44, 0.48, 500, "pass", "AUC 0.460 [0.440, 0.480] at n = 500 a side: not above 0.75", None),
    ],
)
def test_verdicts_by_hand(
    auc: float, low: float, high: float, n: int, verdict: str, reason: str, n_needed: int | None
) -> None:
    assert judge(report(auc, low, high), 0.75, n=n) == (verdict, reason, n_needed)
