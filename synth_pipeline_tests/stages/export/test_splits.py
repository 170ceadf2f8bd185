"""Twins never straddle a split, and an item keeps its split when data grows."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.stages.export.splits import add_splits, split_of

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
IDS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=24), max_size=30)


def splits(ids: list[str], shares: dict[str, float] | None = None) -> list[str]:
    """Return the split of each planned id."""
    items = pl.DataFrame({"planned_id": ids}, schema={"planned_id": pl.String()})
    return add_splits(items, SHARES if shares is None else shares)["split"].to_list()


@settings(deadline=None)
@given(IDS)
def test_what_shares_a_planned_record_shares_a_split(ids: list[str]) -> None:
    assert splits(ids) == splits([*ids, *ids])[: len(ids)] == splits([*ids, *ids])[len(ids) :]


@settings(deadline=None)
@given(IDS, IDS)
def test_an_item_keeps_its_split_when_data_grows(ids: list[str], later: list[str]) -> None:
    assert splits([*later, *ids])[len(later) :] == splits(ids)


@settings(deadline=None)
@given(IDS, st.floats(0, 0.7), st.floats(0, 0.3))
def test_more_training_data_is_only_taken_from_the_other_splits(ids: list[str], train: float, more: float) -> None:
    small = {"train": train, "test": 1 - train}
    large = {"train": train + more, "test": 1 - train - more}
    pairs = zip(splits(ids, small), splits(ids, large), strict=True)
    assert all(before == after or (before, after) == ("test", "train") for before, after in pairs)


def test_splits_get_their_shares_up_to_chance() -> None:
    found = splits([f"planned-{index}" for index in range(5000)])
    for name, share in SHARES.items():
        assert abs(found.count(name) - 5000 * share) < 5 * math.sqrt(5000 * share * (1 - share))


@pytest.mark.parametrize("only", ["train", "test"])
def test_a_share_of_one_takes_all_and_a_share_of_nought_none(only: str) -> None:
    shares = {name: float(name == only) for name in SHARES}
    assert set(splits([f"planned-{index}" for index in range(300)], shares)) == {only}


def test_what_rounding_leaves_over_goes_to_the_last_split_with_a_share() -> None:
    assert split_of("planned-0", {"train": 0.0, "validation": 0.0, "test": 0.0, "rest": 1e-300}) == "rest"


@pytest.mark.parametrize(
    ("planned", "split"),
    [
        ("p0", "train"),  # `printf 'split|p0' | b2sum -l 48`, as a share of 2**48, is 0.19957
        ("p33", "train"),  # 0.799998
        ("p17", "validation"),  # 0.87536
        ("p30", "test"),  # 0.93550
    ],
)
def test_a_split_never_changes(planned: str, split: str) -> None:
    assert split_of(planned, SHARES) == split
