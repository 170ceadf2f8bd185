"""Running a recipe's jobs in this process, over the same definitions and instance as the UI."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from synth_pipeline.components.places import find_project_folder
from synth_pipeline.components.progress import Reporter

INTERRUPTED = dg.DagsterExecutionInterruptedError.__name__
BLOCKED = "DagsterAssetCheckFailedError"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class FailedCheck:
    """A check that did not pass."""

    asset: str
    name: str
    severity: str
    blocking: bool
    description: str


@dataclass(frozen=True)
class RunReport:
    """What became of one run: its failures as messages, the checks that failed, and what was bought."""

    job: str
    partition: str
    success: bool
    errors: tuple[str, ...]
    failed_checks: tuple[FailedCheck, ...]
    n_checks: int
    n_calls_bought: int = 0
    n_calls_from_ledger: int = 0
    n_out_of_budget: int = 0
    spent_now_usd: float = 0.0
    folders: tuple[str, ...] = field(default=())


@contextmanager
def project_instance() -> Iterator[dg.DagsterInstance]:
    """Yield the project's Dagster instance, the one that the UI shows; the working directory is the project's folder.

    Raises:
        InputError: there is no dagster.yaml here or above.
    """
    folder = find_project_folder()
    os.chdir(folder)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


@dataclass(frozen=True)
class Runner:
    """Runs jobs in this process: the code location's definitions, where runs are recorded, who is told of progress."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    reporter: Reporter


def run_job(
    runner: Runner,
    job: str,
    partition: str,
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunReport:
    """Return what became of running `job` on one partition.

    An interrupt ends the run and is raised again, so that nothing else is begun.

    Args:
        runner: definitions, instance and reporter.
        job: the job's name.
        partition: `provider|seed`, or the seed alone for a merge.
        config: op -> its configuration.
        tags: the run's tags; runs of one `synth/spending` share a cap.
    """
    definition = runner.definitions.resolve_job_def(job)
    ops = {name: {"config": dict(values)} for name, values in (config or {}).items()}
    result = definition.execute_in_process(
        run_config={**QUIET, "ops": ops},
        partition_key=partition,
        instance=runner.instance,
        tags=dict(tags or {}),
        resources={"progress": runner.reporter},
        raise_on_error=False,
    )
    return _report(job, partition, result)


def _report(job: str, partition: str, result: dg.ExecuteInProcessResult) -> RunReport:
    made = [
        event.step_materialization_data.materialization for event in result.all_events if event.is_step_materialization
    ]
    checks = result.get_asset_check_evaluations()
    failed = tuple(
        FailedCheck(
            "/".join(check.asset_key.path),
            check.check_name,
            check.severity.value,
            bool(check.blocking),
            check.description or "",
        )
        for check in checks
        if not check.passed
    )
    folders = [str(one.metadata["folder"].value) for one in made if "folder" in one.metadata]
    return RunReport(
        job=job,
        partition=partition,
        success=result.success,
        errors=tuple(_failures(result)),
        failed_checks=failed,
        n_checks=len(checks),
        n_calls_bought=int(_sum(made, "n_calls_bought")),
        n_calls_from_ledger=int(_sum(made, "n_calls_from_ledger")),
        n_out_of_budget=int(_sum(made, "n_out_of_budget")),
        spent_now_usd=_sum(made, "spent_now_usd"),
        folders=tuple(folders),
    )


def _sum(made: list[dg.AssetMaterialization], name: str) -> float:
    return sum((float(str(one.metadata[name].value)) for one in made if name in one.metadata), 0.0)


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.error and _innermost(data.error).cls_name == INTERRUPTED:
                raise KeyboardInterrupt
            told = data.user_failure_data.description if data.user_failure_data else None
            yield told or f"{event.step_key}: {_root_cause(data.error)}"


def _innermost(error: Any) -> Any:
    while error is not None and error.cause is not None:
        error = error.cause
    return error


def _root_cause(outer: Any) -> str:
    """Return the innermost message of a Dagster error, and where it was raised unless a check that blocks raised it."""
    error = _innermost(outer)
    if error is None:
        return "failed without a message"
    if error.cls_name == BLOCKED:
        return " ".join(error.message.split(": ", 1)[-1].split())
    place = error.stack[-1].strip().splitlines()[0] if error.stack else ""
    return f"{error.message.strip()} ({place}); a defect of this program: please report it"


def relative(path: Path | str) -> str:
    """Return a path as people read it: relative to the working directory where it lies below it."""
    place = Path(path)
    return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else str(place)
