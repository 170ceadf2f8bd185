from dataclasses import replace

import dagster as dg
import polars as pl
import pytest

from synth_pipeline.components.checks import build_checks
from synth_pipeline.components.declaration import Declaration, load_declaration
from synth_pipeline.contracts.settings import Gate
from synth_pipeline.contracts.tables import DISCRIMINATOR_SCORE, RAW_GENERATIONS
from synth_pipeline_tests.scenario import raw_frame, raw_row, record_of, variant_frame


def declare_gate(block_above: float | None) -> Declaration:
    declaration = load_declaration("evidence")
    gate = Gate(limit=0.75, block_above=block_above)
    return replace(declaration, recipe=declaration.recipe.model_copy(update={"gate": gate}))


def score(verdict: str, auc: float, low: float, n: int) -> pl.DataFrame:
    row: dict[str, object] = dict.fromkeys(DISCRIMINATOR_SCORE.schema.names())
    row |= {"provider": "someone", "seed": 0, "slice": "all", "auc": auc, "low": low, "high": 1.0, "limit": 0.75}
    row |= {"n_real": n, "n_synthetic": n, "n_floor": n // 2, "floor_auc": 0.5, "shuffled_auc": 0.5}
    row |= {"verdict": verdict, "verdict_reason": "told", "giveaways": ["also"], "offline": False}
    calm = row | {"family": "surface", "auc": 0.5, "low": 0.4, "high": 0.6, "verdict": "pass"}
    return DISCRIMINATOR_SCORE.frame([row | {"family": "words"}, calm])


def judge(declaration: Declaration, frame: pl.DataFrame) -> dg.AssetCheckResult:
    result = build_checks(declaration)[1](discriminator_score=frame)
    assert isinstance(result, dg.AssetCheckResult)
    return result


@pytest.mark.parametrize(("verdict", "n"), [("fail", 400), ("undecided", 40)])
def test_the_gate_warns_and_never_blocks_by_default(verdict: str, n: int) -> None:
    result = judge(declare_gate(None), score(verdict, auc=0.95, low=0.9, n=n))
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN


def test_the_gate_passes_where_every_family_does() -> None:
    assert judge(declare_gate(None), score("pass", auc=0.6, low=0.5, n=400)).passed


def test_the_gate_blocks_only_above_the_limit_that_the_recipe_sets() -> None:
    declaration = declare_gate(0.9)
    assert judge(declaration, score("fail", auc=0.97, low=0.95, n=400)).severity == dg.AssetCheckSeverity.ERROR
    assert judge(declaration, score("fail", auc=0.85, low=0.8, n=400)).severity == dg.AssetCheckSeverity.WARN


def test_an_undecided_score_never_blocks() -> None:
    result = judge(declare_gate(0.9), score("undecided", auc=1.0, low=0.99, n=40))
    assert result.severity == dg.AssetCheckSeverity.WARN


def test_the_gate_names_the_strongest_family_with_its_n_and_giveaways() -> None:
    result = judge(declare_gate(None), score("fail", auc=0.95, low=0.9, n=400))
    metadata = {name: value.value for name, value in result.metadata.items()}
    assert metadata["family"] == "words"
    assert metadata["n_real"] == metadata["n_synthetic"] == 400
    assert metadata["giveaways"] == ["also"]


def test_skew_and_emptiness_block_and_rejections_do_not() -> None:
    declared = {check.name: check.blocking for check in declare_gate(None).kind.declared_checks}
    assert declared["not_empty"]
    assert all(blocks for name, blocks in declared.items() if name.startswith("skew_"))
    assert not any(blocks for name, blocks in declared.items() if name != "not_empty" and "skew_" not in name)


# ------------------------------------------------------------------------------------------ all that was to be written


def complete(index: int, frame: pl.DataFrame, name: str) -> dg.AssetCheckResult:
    """Return what the check of generations (2) or variants (3) says."""
    result = build_checks(declare_gate(None))[index](frame=frame)
    assert isinstance(result, dg.AssetCheckResult)
    assert result.asset_key == dg.AssetKey(["evidence", name])
    return result


def test_a_partition_whose_records_were_all_answered_is_complete() -> None:
    refused_too = complete(2, raw_frame(), "raw_generations")
    assert refused_too.passed
    assert refused_too.metadata["observed"].value == "4 of 4 answered"
    assert complete(3, variant_frame(), "flawed_variants").passed


def test_records_that_failed_or_that_the_budget_left_out_warn_with_counts_and_ids() -> None:
    states = ("ok", "out_of_budget", "failed", "out_of_budget")
    rows = [raw_row(n, record_of("p0") if state == "ok" else None, state=state) for n, state in enumerate(states)]
    result = complete(2, RAW_GENERATIONS.frame(rows), "raw_generations")
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert result.description == "observed 1 failed, 2 out_of_budget of 4; limit: none failed, none out_of_budget"
    assert result.metadata["offending_ids"].value == ["w1", "w2", "w3"]
    assert "only what is missing is bought" in str(result.metadata["what_to_do"].value)


def test_twins_that_the_budget_left_out_are_named_by_their_own_ids() -> None:
    lost = variant_frame().with_columns(pl.lit("out_of_budget").alias("state"))
    assert complete(3, lost, "flawed_variants").metadata["offending_ids"].value == ["v0", "v2"]


def test_an_incomplete_partition_never_stops_what_follows() -> None:
    specs = [spec for check in build_checks(declare_gate(None))[2:] for spec in check.check_specs]
    assert [spec.name for spec in specs] == ["complete", "complete"]
    assert not any(spec.blocking for spec in specs)
