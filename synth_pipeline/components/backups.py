"""A backup of the call ledger after each run: by the command that ran it, or by a sensor where the UI did."""

from pathlib import Path

import dagster as dg

from synth_pipeline.components.places import find_places
from synth_pipeline.contracts.errors import StorageError
from synth_pipeline.llm.ledger.care.backup import back_up_after_run
from synth_pipeline.llm.ledger.care.place import ledger_file

BACKUPS = "backups"


def keep_backup() -> Path | None:
    """Return the backup that a run leaves behind; None where nothing was bought, or the ledger is no file.

    Raises:
        StorageError: the ledger cannot be read, or the backup not written.
    """
    places = find_places()
    file = ledger_file(places.ledger_url)
    if file is None or not file.is_file():
        return None
    return back_up_after_run(file, places.data / BACKUPS)


def backup_sensors() -> list[dg.SensorDefinition]:
    """Return the sensors that keep a backup after each run that the UI, a schedule or a backfill launched."""
    ends = {"success": dg.DagsterRunStatus.SUCCESS, "failure": dg.DagsterRunStatus.FAILURE}
    return [_sensor(f"ledger_backup_after_{name}", status) for name, status in ends.items()]


def _sensor(name: str, status: dg.DagsterRunStatus) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=name,
        run_status=status,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Keeps a backup of the call ledger; the last three are kept, none where nothing was bought.",
    )
    def backup(context: dg.RunStatusSensorContext) -> dg.SkipReason:
        try:
            made = keep_backup()
        except StorageError as error:
            context.log.error(str(error))
            return dg.SkipReason(f"no backup: {error}")
        return dg.SkipReason(f"backed up to {made}" if made else "nothing was bought since the last backup")

    return backup
