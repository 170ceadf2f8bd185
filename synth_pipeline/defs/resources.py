"""What the assets are handed: tables, models, exports, progress; kept below the data folder."""

import dagster as dg

from synth_pipeline.components.backups import backup_sensors
from synth_pipeline.components.export_files import ExportFolder
from synth_pipeline.components.io_managers import DuckDBFrames
from synth_pipeline.components.models import Models
from synth_pipeline.components.places import find_places
from synth_pipeline.components.progress import LogReporter
from synth_pipeline.components.store import DuckDBStore


@dg.definitions
def resources() -> dg.Definitions:
    """Return the resources of every recipe; one partition's run is its own process, so its steps share it."""
    places = find_places()
    return dg.Definitions(
        resources={
            "frames": DuckDBFrames(store=DuckDBStore(database=places.database)),
            "models": Models(ledger_url=places.ledger_url),
            "exports": ExportFolder(root=str(places.exports)),
            "progress": LogReporter(),
        },
        executor=dg.in_process_executor,
        sensors=backup_sensors(),
    )
