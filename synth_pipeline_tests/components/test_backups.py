"""A run that the UI launched leaves a backup of the ledger too; nothing bought, nothing copied."""

from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from synth_pipeline.components.backups import backup_sensors, keep_backup
from synth_pipeline.llm.ledger import Ledger


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYNTH_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("SYNTH_LEDGER_URL", raising=False)
    return tmp_path


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def empty() -> None:
    """Run nothing."""
    nothing()


def told_after_a_run(sensor: dg.SensorDefinition) -> str:
    with dg.DagsterInstance.ephemeral() as instance:
        result = empty.execute_in_process(instance=instance)
        event = next(one for one in result.all_events if one.event_type == dg.DagsterEventType.PIPELINE_SUCCESS)
        context = dg.build_run_status_sensor_context(
            sensor.name, dagster_instance=instance, dagster_run=result.dagster_run, dagster_event=event
        )
        told = sensor(context)
    assert isinstance(told, dg.SkipReason)
    return str(told.skip_message)


@pytest.mark.parametrize("sensor", backup_sensors(), ids=lambda sensor: str(sensor.name))
def test_a_run_leaves_a_backup_and_the_next_one_none_where_nothing_was_bought(
    data: Path, sensor: dg.SensorDefinition
) -> None:
    with closing(Ledger.open(f"sqlite:///{data / 'ledger.sqlite'}")):
        pass
    assert told_after_a_run(sensor).startswith(f"backed up to {data / 'backups' / 'ledger-'}")
    assert told_after_a_run(sensor) == "nothing was bought since the last backup"
    assert len(list((data / "backups").glob("*.sqlite"))) == 1


def test_a_ledger_that_cannot_be_read_is_told_and_ends_no_run(data: Path) -> None:
    (data / "ledger.sqlite").write_text("this is no ledger")
    assert told_after_a_run(backup_sensors()[0]).startswith("no backup: ")


def test_no_ledger_is_no_backup(data: Path) -> None:
    assert keep_backup() is None
    assert not (data / "backups").exists()


def test_the_sensors_run_by_themselves() -> None:
    assert {sensor.default_status for sensor in backup_sensors()} == {dg.DefaultSensorStatus.RUNNING}
