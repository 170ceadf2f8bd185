"""Partitions: provider by seed for the seven assets, seed alone for the merged ones."""

import os
from collections.abc import Iterable

import dagster as dg

from synth_pipeline.contracts.errors import InputError

PROVIDER, SEED = "provider", "seed"
SEEDS_VARIABLE, DEFAULT_SEEDS = "SYNTH_SEEDS", 100


def count_seeds() -> int:
    """Return how many seeds there are: SYNTH_SEEDS, or 100.

    Raises:
        InputError: SYNTH_SEEDS is not a whole number above 0.
    """
    raw = os.environ.get(SEEDS_VARIABLE) or str(DEFAULT_SEEDS)
    if not raw.isdigit() or int(raw) < 1:
        raise InputError(f"{raw!r} is not a whole number above 0", where=SEEDS_VARIABLE, fix="set it to, say, 100")
    return int(raw)


def seed_partitions() -> dg.StaticPartitionsDefinition:
    """Return the seeds, `0` upwards."""
    return dg.StaticPartitionsDefinition([str(seed) for seed in range(count_seeds())])


def cell_partitions(providers: Iterable[str]) -> dg.MultiPartitionsDefinition:
    """Return provider by seed; a key reads `provider|seed`."""
    return dg.MultiPartitionsDefinition(
        {PROVIDER: dg.StaticPartitionsDefinition(list(providers)), SEED: seed_partitions()}
    )


def provider_of(context: dg.AssetExecutionContext) -> str:
    """Return the provider of the partition that is being made."""
    return _keys(context)[PROVIDER]


def seed_of(context: dg.AssetExecutionContext) -> int:
    """Return the seed of the partition that is being made."""
    key = context.partition_key
    return int(_keys(context)[SEED] if isinstance(key, dg.MultiPartitionKey) else key)


def _keys(context: dg.AssetExecutionContext) -> dict[str, str]:
    key = context.partition_key
    if not isinstance(key, dg.MultiPartitionKey):
        raise InputError(f"partition {key!r} names no provider", where="partition", fix="use provider|seed")
    return dict(key.keys_by_dimension)
