import dagster as dg

from synth_pipeline.components.progress import LogReporter
from synth_pipeline.components.runs import Runner, RunReport, run_job

CELLS = dg.StaticPartitionsDefinition(["anna|7"])


@dg.asset(partitions_def=CELLS)
def written(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Say what a stage that was stopped by its budget says."""
    told = {"n_calls_bought": 312, "n_calls_from_ledger": 4, "n_out_of_budget": 188, "spent_now_usd": 4.99}
    return dg.MaterializeResult(metadata={**told, "tagged": context.run.tags.get("synth/spending", "")})


@dg.asset(partitions_def=CELLS, deps=[written])
def damaged() -> dg.MaterializeResult[None]:
    """Say that nothing was left to spend."""
    return dg.MaterializeResult(metadata={"n_calls_bought": 0, "n_out_of_budget": 2, "spent_now_usd": 0.0})


def run(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> RunReport:
    """Run both assets."""
    definitions = dg.Definitions(
        assets=[written, damaged], jobs=[dg.define_asset_job("chain")], resources={"progress": LogReporter()}
    )
    return run_job(Runner(definitions, instance, LogReporter()), "chain", "anna|7", tags=tags)


def test_a_report_adds_up_what_was_bought_and_what_the_budget_left_out() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        report = run(instance)
    assert report.success
    assert (report.n_calls_bought, report.n_calls_from_ledger, report.n_out_of_budget) == (312, 4, 190)
    assert report.spent_now_usd == 4.99


def test_the_tags_of_a_run_reach_its_assets() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run(instance, {"synth/spending": "both"})
        event = instance.get_latest_materialization_event(written.key)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["tagged"].value == "both"


def test_a_check_that_blocks_is_no_defect_of_the_program() -> None:
    @dg.asset_check(asset=written, blocking=True)
    def sound() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    definitions = dg.Definitions(
        assets=[written, damaged],
        asset_checks=[sound],
        jobs=[dg.define_asset_job("chain")],
        resources={"progress": LogReporter()},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        report = run_job(Runner(definitions, instance, LogReporter()), "chain", "anna|7")
    assert not report.success
    assert [check.name for check in report.failed_checks] == ["sound"]
    assert report.errors == ("written_sound: 1 blocking asset check failed with ERROR severity: written: sound",)
