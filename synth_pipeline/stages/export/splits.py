"""Splits without leakage: what shares a planned record shares a split, and keeps it when data grows."""

import hashlib
from collections.abc import Mapping

import polars as pl

SCALE = 2.0**48


def split_of(planned_id: str, shares: Mapping[str, float]) -> str:
    """Return the split of a planned record: fixed by its id, so that twins and all providers' records share it."""
    point = int.from_bytes(hashlib.blake2b(f"split|{planned_id}".encode(), digest_size=6).digest()) / SCALE
    reached = 0.0
    for name, share in shares.items():
        reached += share
        if point < reached:
            return name
    return [name for name, share in shares.items() if share > 0][-1]


def add_splits(items: pl.DataFrame, shares: Mapping[str, float]) -> pl.DataFrame:
    """Return the items with their `split`."""
    planned = items["planned_id"].to_list()
    return items.with_columns(pl.Series("split", [split_of(one, shares) for one in planned], dtype=pl.String()))
