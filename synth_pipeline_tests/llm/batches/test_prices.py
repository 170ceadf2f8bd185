"""A batch costs what the row says of batches, else what LiteLLM lists, else the ordinary price."""

from typing import Any

import pytest

from synth_pipeline.contracts.errors import ProviderError
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.llm.batches import batch_price_of, find_batch_price

OWN = {"usd_per_mtok_in": 3.0, "usd_per_mtok_out": 9.0}
IN_BATCHES = {"batch_usd_per_mtok_in": 1.0, "batch_usd_per_mtok_out": 2.0}
LISTED, UNLISTED = "openai/gpt-4.1", "openai/gpt-0-of-our-own"


def row(**changes: Any) -> Provider:
    return Provider(name="anna", family="anna", models={"default": LISTED}, **changes)


def plain(usd_in: float, usd_out: float) -> Price:
    return Price(usd_per_mtok_in=usd_in, usd_per_mtok_out=usd_out)


@pytest.mark.parametrize(
    ("changes", "found", "charged"),
    [
        ({}, plain(1, 4), plain(1, 4)),
        ({"prices": {LISTED: OWN}}, None, plain(3, 9)),
        ({"prices": {LISTED: {**OWN, "batch_usd_per_mtok_in": 1.0}}}, None, plain(3, 9)),
        ({"prices": {LISTED: {**OWN, **IN_BATCHES}}}, plain(1, 2), plain(1, 2)),
        ({"free": True}, plain(0, 0), plain(0, 0)),
    ],
    ids=["listed", "own without", "own with half of it", "own", "free"],
)
def test_the_price_in_batches(changes: dict[str, Any], found: Price | None, charged: Price) -> None:
    assert find_batch_price(row(**changes), LISTED) == found
    assert batch_price_of(row(**changes), LISTED) == charged


def test_a_model_without_any_price_is_refused() -> None:
    assert find_batch_price(row(), UNLISTED) is None
    with pytest.raises(ProviderError, match=f"the price of '{UNLISTED}' is not known"):
        batch_price_of(row(), UNLISTED)
