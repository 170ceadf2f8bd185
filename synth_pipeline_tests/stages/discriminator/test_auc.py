"""The two-sample test cannot tell the same from the same, sees what differs, and never recognises a text twice."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.stages.discriminator.auc import (
    AucReport,
    join_groups,
    n_to_decide,
    shuffled_baseline,
    standard_error,
    tell_apart,
)
from synth_pipeline.stages.discriminator.families import (
    SURFACE,
    Family,
    surface_family,
    surface_features,
    words_family,
)
from synth_pipeline_tests.stages.discriminator.pools import CLOSING, texts

FAMILIES = [words_family(), surface_family()]
REAL, ALIKE = texts(150, "real"), texts(150, "alike")


def tell(first: list[str], second: list[str], family: Family, groups: list[str] | None = None) -> AucReport:
    """Return how well the family tells both sides apart; by default each text is a group of its own."""
    named = groups or [f"g{index}" for index in range(len(first) + len(second))]
    report = tell_apart(first, second, named, family, seed=1)
    assert report is not None
    return report


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_two_draws_of_one_pool_cannot_be_told_apart(family: Family) -> None:
    report = tell(REAL, ALIKE, family)
    assert report.low < 0.5 < report.high
    assert abs(report.auc - 0.5) < 0.12
    assert (report.n_first, report.n_second) == (150, 150)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_very_same_texts_on_both_sides_score_one_half(family: Family) -> None:
    assert tell(REAL, list(REAL), family).auc == pytest.approx(0.5)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_stock_closing_line_is_seen(family: Family) -> None:
    report = tell(REAL, [f"{text} {CLOSING}" for text in ALIKE], family)
    assert report.auc > 0.95
    assert report.low > 0.9


def test_what_gives_a_side_away_is_named_strongest_first() -> None:
    report = tell(REAL, [f"{text} {CLOSING}" for text in ALIKE], words_family())
    assert 0 < len(report.giveaways) <= 10
    assert {"earliest", "convenience", "forward"} & set(" ".join(report.giveaways).split())


def test_a_surface_habit_is_named_in_plain_words() -> None:
    shouted = [text.replace(".", "!;") for text in ALIKE]
    assert tell(REAL, shouted, surface_family()).giveaways[0] == "colons and semicolons"


def test_a_side_that_differs_in_words_alone_is_seen_by_the_words() -> None:
    swapped = [text.replace("sun", "moon") for text in ALIKE]
    assert tell(REAL, swapped, words_family()).low > 0.6


# ------------------------------------------------------------------------------------------ groups and folds


def test_records_of_one_group_are_never_recognised_across_folds() -> None:
    # ten records of a group share three words of their own: whoever sees some of them knows the others again
    leaky = [f"{text} {own_words(index // 10)}" for index, text in enumerate(texts(200, "alike"))]
    plain = [f"{text} {own_words(1000 + index)}" for index, text in enumerate(texts(200, "real"))]
    alone = [f"r{index}" for index in range(200)]
    parted = tell(plain, leaky, words_family(), [*alone, *(f"s{index}" for index in range(200))])
    kept = tell(plain, leaky, words_family(), [*alone, *(f"s{index // 10}" for index in range(200))])
    assert parted.auc > 0.9
    assert kept.auc < 0.62


def own_words(number: int) -> str:
    """Return three words that only texts with this number hold."""
    return f"red{number} green{number} blue{number}"


def test_equal_texts_share_a_group_across_the_sides() -> None:
    joined = join_groups(["one", "two", "ONE ", "three", "two\n"], ["a", "b", "c", "d", "e"])
    assert joined[0] == joined[2]
    assert joined[1] == joined[4]
    assert len(set(joined.tolist())) == 3


def test_a_copied_example_takes_its_twins_along() -> None:
    # the copy of r0 is planned in p0, whose second record is thereby kept in the fold of r0 too
    joined = join_groups(["the same", "another", "the same", "its twin"], ["r0", "r1", "p0", "p0"])
    assert joined[0] == joined[2] == joined[3] != joined[1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("vwxyz")), min_size=1, max_size=12))
def test_joined_groups_are_the_finest_that_part_neither_a_group_nor_a_text(told: list[tuple[str, str]]) -> None:
    groups, shown = [group for group, _ in told], [text for _, text in told]
    joined = join_groups(shown, groups)
    reached = [{index} for index in range(len(told))]
    for _ in told:
        for known in reached:
            near = {groups[index] for index in known}, {shown[index] for index in known}
            known |= {index for index in range(len(told)) if groups[index] in near[0] or shown[index] in near[1]}
    pairs = [(one, other) for one in range(len(told)) for other in range(len(told))]
    assert all((joined[one] == joined[other]) == (other in reached[one]) for one, other in pairs)


def test_copies_of_real_examples_do_not_push_the_score_below_chance() -> None:
    # parted from their originals, the copies would teach the classifier the wrong side
    half_copied = [*REAL[:75], *ALIKE[75:]]
    report = tell(REAL, half_copied, words_family())
    assert abs(report.auc - 0.5) < 0.1


# ------------------------------------------------------------------------------------------ baselines and intervals


def test_fewer_than_ten_a_side_tell_nothing() -> None:
    assert tell_apart(REAL[:9], ALIKE[:50], [str(i) for i in range(59)], words_family(), seed=1) is None
    assert tell_apart(REAL[:10], ALIKE[:10], [str(i) for i in range(20)], words_family(), seed=1) is not None


def test_shuffled_labels_score_one_half_even_where_the_sides_differ() -> None:
    both = [*REAL, *(f"{text} {CLOSING}" for text in ALIKE)]
    shuffled = shuffled_baseline(both, [str(index) for index in range(300)], words_family(), seed=1)
    assert shuffled is not None
    assert abs(shuffled - 0.5) < 0.12


def test_too_few_texts_have_no_shuffled_baseline() -> None:
    assert shuffled_baseline(REAL[:12], [str(index) for index in range(12)], words_family(), seed=1) is None


def test_the_same_seed_gives_the_same_report() -> None:
    assert tell(REAL[:60], ALIKE[:60], words_family()) == tell(REAL[:60], ALIKE[:60], words_family())


def test_the_interval_is_half_as_wide_again_as_hanley_and_mcneil_say() -> None:
    report = tell(REAL, ALIKE, surface_family())
    half = 1.959963984540054 * 1.5 * standard_error(report.auc, 150, 150)
    assert (report.low, report.high) == pytest.approx((report.auc - half, report.auc + half))


@pytest.mark.parametrize(
    ("auc", "n", "error"),
    [
        # at one half: q1 = q2 = 1/3, so the variance is (1/4 + 2 (n - 1) / 12) / n**2
        (0.5, 100, math.sqrt((0.25 + 2 * 99 / 12) / 100**2)),
        # at 0.8: q1 = 2/3, q2 = 32/45
        (0.8, 50, math.sqrt((0.16 + 49 * (2 / 3 - 0.64) + 49 * (32 / 45 - 0.64)) / 50**2)),
        (0.2, 50, math.sqrt((0.16 + 49 * (2 / 3 - 0.64) + 49 * (32 / 45 - 0.64)) / 50**2)),
    ],
)
def test_standard_errors_by_hand(auc: float, n: int, error: float) -> None:
    assert standard_error(auc, n, n) == pytest.approx(error)


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(10, 2000))
def test_an_error_is_never_nought_and_shrinks_with_more_examples(auc: float, n: int) -> None:
    assert 0 < standard_error(auc, 2 * n, 2 * n) < standard_error(auc, n, n)


def test_more_examples_are_needed_the_nearer_the_score_lies_to_the_limit() -> None:
    # about (2.94 / distance)**2 times the variance of one pair (0.167, 0.135, 0.122): 23, 467 and 10505, as powers of 2
    needed = [n_to_decide(auc, 0.75) for auc in (0.5, 0.7, 0.74)]
    assert needed == [32, 512, 16384]
    assert n_to_decide(0.75, 0.75) is None


# ------------------------------------------------------------------------------------------ features


def test_surface_features_by_hand() -> None:
    counted = dict(zip(SURFACE, surface_features(["We sent 12 boxes, (two) to Bern: 5%."])[0].tolist(), strict=True))
    assert counted == {
        "characters": 36,
        "words": 8,
        "sentences": 1,
        "mean word length": 4.5,
        "digits": 3,
        "commas": 1,
        "brackets": 2,
        "capitals": 2,
        "per cent signs": 1,
        "colons and semicolons": 1,
        "first person": 1,
    }


def test_an_empty_text_has_features_too() -> None:
    assert np.isfinite(surface_features(["", "a"])).all()
