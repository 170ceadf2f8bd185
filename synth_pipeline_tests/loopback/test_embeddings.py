"""Embeddings are unit vectors of their texts alone, in the encodings that OpenAI has."""

import base64
import math
import struct

import pytest

from synth_pipeline_tests.loopback import RunningServer
from synth_pipeline_tests.loopback.talking import Exchange, post

MODEL = "text-embedding-3-small"


def embed(server: RunningServer, given: object, **changes: object) -> Exchange:
    return post(f"{server.base_url}/embeddings", {"model": MODEL, "input": given, **changes})


def vectors(exchange: Exchange) -> list[list[float]]:
    return [row["embedding"] for row in exchange.json["data"]]


def test_equal_texts_have_equal_unit_vectors_and_others_have_others(server: RunningServer) -> None:
    first, second, third = vectors(embed(server, ["a text", "another", "a text"]))
    assert first == third != second
    assert len(first) == 64
    assert math.hypot(*first) == pytest.approx(1)
    assert vectors(embed(server, "a text")) == [first]
    assert abs(sum(a * b for a, b in zip(first, second, strict=True))) < 0.6


def test_length_and_encoding_are_as_asked(server: RunningServer) -> None:
    [plain] = vectors(embed(server, "a", dimensions=8))
    [packed] = embed(server, "a", dimensions=8, encoding_format="base64").json["data"]
    assert struct.unpack("<8f", base64.b64decode(packed["embedding"])) == pytest.approx(plain)


def test_usage_is_told_and_counted(server: RunningServer) -> None:
    told = embed(server, ["12345678", "1234"]).json
    assert told["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert (told["object"], told["model"], [row["index"] for row in told["data"]]) == ("list", MODEL, [0, 1])
    stats = server.stats()
    assert (stats["requests"], stats["answered"], stats["billed_tokens_in"], stats["billed_tokens_out"]) == (1, 1, 3, 0)
    assert stats["last_body"]["input"] == ["12345678", "1234"]


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2], [3]]])
def test_tokens_may_stand_for_texts(server: RunningServer, given: object) -> None:
    assert embed(server, given).status == 200


@pytest.mark.parametrize("given", [None, "", [""]])
def test_nothing_cannot_be_embedded(server: RunningServer, given: object) -> None:
    assert embed(server, given).status == 400
