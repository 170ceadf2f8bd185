"""The classifier two-sample test: a grouped, cross-validated AUC with an interval that is honest about folds.

Source:
    Lopez-Paz & Oquab 2017, Revisiting Classifier Two-Sample Tests; Hanley & McNeil 1982 for the standard error,
    widened by 1.5 because scores from different folds are not independent (measured on real halves).
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.stages.discriminator.families import Family

N_FOLDS = 5
MIN_A_SIDE = 10
N_DEALS = 3
Z95 = 1.959963984540054
FOLD_WIDENING = 1.5


@dataclass(frozen=True)
class AucReport:
    """An AUC in [0, 1], its 95 % interval, the n of each side, and what gave the second side away."""

    auc: float
    low: float
    high: float
    n_first: int
    n_second: int
    giveaways: tuple[str, ...] = ()


def tell_apart(
    first: Sequence[str], second: Sequence[str], groups: Sequence[str], family: Family, *, seed: int
) -> AucReport | None:
    """Return how well `family` tells the texts of `second` from those of `first`; None where either has fewer than 10.

    Args:
        first: texts of one side.
        second: texts of the other.
        groups: one group for each text, first side first; a group never straddles two folds, and groups that hold
            equal texts (white space and case folded) are one.
        family: what the classifier sees.
        seed: fixes the folds, nothing else.
    """
    if min(len(first), len(second)) < MIN_A_SIDE:
        return None
    texts = np.array([*first, *second], dtype=object)
    labels = np.repeat([0, 1], [len(first), len(second)])
    auc = _fold_mean(texts, labels, join_groups(texts, groups), family, seed)
    if auc is None:
        return None
    half = Z95 * FOLD_WIDENING * standard_error(auc, len(first), len(second))
    top = name_giveaways(texts, labels, family)
    return AucReport(auc, max(0.0, auc - half), min(1.0, auc + half), len(first), len(second), top)


def shuffled_baseline(texts: Sequence[str], groups: Sequence[str], family: Family, *, seed: int) -> float | None:
    """Return the mean AUC of texts whose two halves are dealt out at random, whole groups each: 0.5 up to chance.

    Over both sides it is the label-shuffled baseline, over the real side alone the floor: real told from real.
    """
    if len(texts) < 2 * MIN_A_SIDE:
        return None
    named = join_groups(texts, groups)
    aucs = [_dealt_auc(np.array(list(texts), dtype=object), named, family, seed + deal) for deal in range(N_DEALS)]
    known = [auc for auc in aucs if auc is not None]
    return float(np.mean(known)) if known else None


def _dealt_auc(texts: NDArray[np.object_], groups: NDArray[np.int64], family: Family, seed: int) -> float | None:
    distinct = np.unique(groups)
    dealt = np.random.default_rng(seed).permutation(np.arange(len(distinct)) % 2)
    labels = dealt[np.searchsorted(distinct, groups)]
    if min(labels.sum(), len(labels) - labels.sum()) < MIN_A_SIDE:
        return None
    return _fold_mean(texts, labels, groups, family, seed)


def join_groups(texts: Sequence[str] | NDArray[np.object_], groups: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each text's group, where groups that hold equal texts are one. Shape (n,).

    A reference example that was copied into the synthetic side shares the reference's group, and its twins follow it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group_codes = np.unique(groups, return_inverse=True)[1]
    text_codes = np.unique([" ".join(text.lower().split()) for text in texts], return_inverse=True)[1]
    first_text = int(group_codes.max()) + 1
    n_nodes = first_text + int(text_codes.max()) + 1
    links = np.ones(len(group_codes)), (group_codes, first_text + text_codes)
    _, components = connected_components(coo_array(links, shape=(n_nodes, n_nodes)), directed=False)
    return np.asarray(components[group_codes], dtype=np.int64)


def standard_error(auc: float, n_first: int, n_second: int) -> float:
    """Return the standard error of an AUC.

    The variance at 0.5 is kept as a floor for an AUC of 0 or 1 at small n, by taking AUC no nearer to 1 than one pair.
    """
    near = min(max(auc, 1 - auc), 1 - 1 / (2 * n_first * n_second))
    q1, q2 = near / (2 - near), 2 * near**2 / (1 + near)
    variance = near * (1 - near) + (n_first - 1) * (q1 - near**2) + (n_second - 1) * (q2 - near**2)
    return math.sqrt(max(variance, 0.0) / (n_first * n_second))


def n_to_decide(auc: float, limit: float) -> int | None:
    """Return the examples a side whose interval would no longer hold `limit`; None where the AUC lies on it."""
    for power in range(4, 21):
        n = 1 << power
        if abs(auc - limit) > Z95 * FOLD_WIDENING * standard_error(auc, n, n):
            return n
    return None


def name_giveaways(
    texts: NDArray[np.object_], labels: NDArray[np.int64], family: Family, *, most: int = 10
) -> tuple[str, ...]:
    """Return the features that weigh most for the second side, strongest first."""
    model = family.make()
    _fit(model, texts, labels)
    weights = model[-1].coef_[0]
    names = family.name_features(model)
    return tuple(names[index] for index in np.argsort(-weights)[:most] if weights[index] > 0)


def _fold_mean(
    texts: NDArray[np.object_], labels: NDArray[np.int64], groups: NDArray[np.int64], family: Family, seed: int
) -> float | None:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    aucs = []
    for train, test in StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed).split(texts, labels, groups):
        if len(np.unique(labels[test])) < 2 or len(np.unique(labels[train])) < 2:
            continue
        model = family.make()
        _fit(model, texts[train], labels[train])
        aucs.append(roc_auc_score(labels[test], model.decision_function(texts[test])))
    return float(np.mean(aucs)) if aucs else None


def _fit(model: object, texts: NDArray[np.object_], labels: NDArray[np.int64]) -> None:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # the ranking is what counts, not the last digit of the loss
        model.fit(texts, labels)  # type: ignore[attr-defined]  # any scikit-learn pipeline
