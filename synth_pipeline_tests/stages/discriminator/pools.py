"""Pools of texts whose sides are known to be alike or to differ in one planted way."""

from synth_pipeline.contracts.identity import rng_for

HEADS, TAILS = (
    ("bar", "cor", "den", "fal", "gem", "hol", "mir", "sun"),
    ("a", "bel", "do", "en", "is", "kel", "or", "ut"),
)
WORDS = [head + tail for head in HEADS for tail in TAILS]
CLOSING = "I look forward to hearing from you at your earliest convenience."


def texts(n: int, *names: object, own: str = "") -> list[str]:
    """Return `n` texts of three sentences from one distribution; each also holds the word `own` with its number."""
    made = []
    for index in range(n):
        rng = rng_for("pool", *names, index)
        sentences = [" ".join(rng.choices(WORDS, k=rng.randint(5, 12))).capitalize() + "." for _ in range(3)]
        made.append(" ".join([*sentences, *([f"{own}{index} {own}{index}."] if own else [])]))
    return made
