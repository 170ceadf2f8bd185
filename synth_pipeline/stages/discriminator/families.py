"""What a classifier may see of a text: families of features, each with its model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

SURFACE = {
    "characters": pl.col("text").str.len_chars(),
    "words": pl.col("text").str.count_matches(r"\S+"),
    "sentences": pl.col("text").str.count_matches(r"[.!?](\s|$)"),
    "mean word length": pl.col("text").str.len_chars() / pl.col("text").str.count_matches(r"\S+").clip(1),
    "digits": pl.col("text").str.count_matches(r"\d"),
    "commas": pl.col("text").str.count_matches(","),
    "brackets": pl.col("text").str.count_matches(r"[()\[\]]"),
    "capitals": pl.col("text").str.count_matches(r"[A-Z]"),
    "per cent signs": pl.col("text").str.count_matches("%"),
    "colons and semicolons": pl.col("text").str.count_matches("[:;]"),
    "first person": pl.col("text").str.count_matches(r"(?i)\b(we|our|us|i|my)\b"),
}


@dataclass(frozen=True)
class Family:
    """One way to see texts: `make` returns a fresh, unfitted model over them; `name_features` names its columns."""

    name: str
    make: Callable[[], Any]
    name_features: Callable[[Any], Sequence[str]]


def words_family() -> Family:
    """Return word 1- and 2-grams by TF-IDF with logistic regression; the vocabulary is learned inside each fold."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def make() -> Any:
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=50_000)
        return make_pipeline(vectorizer, LogisticRegression(C=1.0, solver="liblinear", random_state=0))

    return Family("words", make, lambda model: list(model[0].get_feature_names_out()))


def surface_family() -> Family:
    """Return counts of characters, words, digits, punctuation and the like with logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    def make() -> Any:
        return make_pipeline(
            FunctionTransformer(surface_features), StandardScaler(), LogisticRegression(C=1.0, random_state=0)
        )

    return Family("surface", make, lambda _model: list(SURFACE))


def surface_features(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the surface statistics of texts, shape (n, len(SURFACE))."""
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String()})
    return frame.select(**SURFACE).cast(pl.Float64).to_numpy()
