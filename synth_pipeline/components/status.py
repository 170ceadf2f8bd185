"""Which partitions are materialized, which are stale, and what they lack."""

from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContext

from synth_pipeline.components.summary import CHAIN


@dataclass(frozen=True)
class PartitionStatus:
    """One partition of a recipe that has been begun: assets made, assets whose inputs changed since, assets missing."""

    partition: str
    made: tuple[str, ...]
    stale: tuple[str, ...]
    pending: tuple[str, ...]


class _Loading(LoadingContext):
    """What Dagster's own resolver loads through; the webserver has one, a command must bring its own."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict[type, Any] = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[type, Any]:
        return self._loaders


def list_statuses(recipe: str, definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[PartitionStatus]:
    """Return the status of every partition of which at least one asset is materialized, as the UI would show it."""
    resolver = CachingStaleStatusResolver(instance, definitions.resolve_asset_graph(), _Loading(instance))
    made: dict[str, list[str]] = {}
    for asset in CHAIN:
        for partition in instance.get_materialized_partitions(dg.AssetKey([recipe, asset])):
            made.setdefault(partition, []).append(asset)
    return [_status(recipe, partition, assets, resolver) for partition, assets in sorted(made.items())]


def _status(recipe: str, partition: str, assets: list[str], resolver: CachingStaleStatusResolver) -> PartitionStatus:
    stale = [
        asset for asset in assets if resolver.get_status(dg.AssetKey([recipe, asset]), partition) == StaleStatus.STALE
    ]
    pending = [asset for asset in CHAIN if asset not in assets]
    return PartitionStatus(partition, tuple(assets), tuple(stale), tuple(pending))
