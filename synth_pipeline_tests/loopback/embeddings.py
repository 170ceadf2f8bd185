"""OpenAI's embeddings: a unit vector from each text's hash, so that equal texts are equal and others are unrelated."""

import base64
import math
import struct
from collections.abc import Sequence
from typing import Any

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.offline.answer import estimate_tokens
from synth_pipeline_tests.loopback.faults import Json

N_DIMENSIONS = 64


def unit_vector(model: str, text: str, n_dimensions: int = N_DIMENSIONS) -> list[float]:
    """Return the vector of a text: the same for the same model, text and length."""
    rng = rng_for("loopback-embedding", model, text, n_dimensions)
    drawn = [rng.gauss(0, 1) for _ in range(n_dimensions)]
    length = math.hypot(*drawn)
    return [number / length for number in drawn]


def read_input(body: Json) -> list[str]:
    """Return the texts that a request asks to embed; a list of tokens is read as their numbers.

    Raises:
        ValueError: there is no input, or an empty one.
    """
    given: Any = body.get("input")
    texts = given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]
    if not all(texts):
        raise ValueError("input must be a text or a list of texts, none of them empty")
    return [text if isinstance(text, str) else " ".join(map(str, text)) for text in texts]


def count_tokens(texts: Sequence[str]) -> int:
    """Return how many tokens the texts make."""
    return sum(estimate_tokens(len(text)) for text in texts)


def write_embeddings(body: Json, texts: Sequence[str]) -> Json:
    """Return the answer's body, in the encoding and length that the request asks for."""
    n_dimensions = int(body.get("dimensions") or N_DIMENSIONS)
    vectors = [unit_vector(body["model"], text, n_dimensions) for text in texts]
    packed = body.get("encoding_format") == "base64"
    n_tokens = count_tokens(texts)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _pack(vector) if packed else vector}
            for index, vector in enumerate(vectors)
        ],
        "model": body["model"],
        "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
    }


def _pack(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
