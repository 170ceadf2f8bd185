from dataclasses import replace

import dagster as dg
import polars as pl
import pytest

from synth_pipeline.components.checks import build_checks
from synth_pipeline.components.declaration import Declaration, load_declaration
from synth_pipeline.contracts.settings import Gate
from synth_pipeline.contracts.tables import DISCRIMINATOR_SCORE


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
