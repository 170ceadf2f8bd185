import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synth_pipeline.components.budgets import SpendConfig, make_spender, read_cap, spender_of, tighter
from synth_pipeline.components.declaration import DEFS_FOLDER, list_recipes, load_declaration
from synth_pipeline.contracts.errors import InputError, RecipeError
from synth_pipeline.contracts.spending import Budget, Cap, Scope, Spender

SHIPPED = list_recipes()[0]
BUDGET = Budget(run=Cap(max_cost_usd=5), partition=Cap(max_tokens=1000), recipe=Cap(max_cost_usd=50, max_tokens=9))


# ------------------------------------------------------------------------------------------ scopes


def test_a_run_a_partition_and_a_recipe_spend_each_under_its_own_cap() -> None:
    assert make_spender("parcels", "anna|7", "r1", BUDGET) == Spender(
        run="r1",
        partition="anna|7",
        recipe="parcels",
        scopes=(
            Scope("run:r1", Cap(max_cost_usd=5)),
            Scope("partition:parcels|anna|7", Cap(max_tokens=1000)),
            Scope("recipe:parcels", Cap(max_cost_usd=50, max_tokens=9)),
        ),
    )


def test_what_has_no_cap_is_counted_all_the_same() -> None:
    scopes = make_spender("parcels", "anna|7", "r1", Budget()).scopes
    assert [scope.name for scope in scopes] == ["run:r1", "partition:parcels|anna|7", "recipe:parcels"]
    assert {scope.cap for scope in scopes} == {Cap()}


@pytest.mark.parametrize(
    ("own", "held"),
    [
        (Cap(), Cap(max_cost_usd=5)),
        (Cap(max_cost_usd=2), Cap(max_cost_usd=2)),
        (Cap(max_cost_usd=9), Cap(max_cost_usd=5)),
        (Cap(max_cost_usd=0, max_tokens=10), Cap(max_cost_usd=0, max_tokens=10)),
    ],
)
def test_the_tighter_of_the_runs_cap_and_the_recipes_holds(own: Cap, held: Cap) -> None:
    assert make_spender("parcels", "anna|7", "r1", BUDGET, own).scopes[0].cap == held
    assert tighter(own, BUDGET.run) == tighter(BUDGET.run, own) == held


# ------------------------------------------------------------------------------------------ the run's configuration


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"max_cost_usd": -1.0}, "max_cost_usd -1.0: input should be greater than or equal to 0"),
        ({"max_tokens": -5}, "max_tokens -5: input should be greater than or equal to 0"),
        ({"max_cost_usd": float("nan")}, "max_cost_usd nan: input should be a finite number"),
    ],
)
def test_a_cap_below_zero_is_refused_with_its_field(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError) as refused:
        read_cap(SpendConfig(**given))
    assert named in str(refused.value)
    assert "fix: give max_" in str(refused.value)


def spend(tags: Mapping[str, str], **config: float) -> dg.ExecuteInProcessResult:
    """Run an asset that returns its spender, in the partition of a shipped provider and seed 3."""
    declaration = load_declaration(SHIPPED)
    cells = dg.MultiPartitionsDefinition(
        {"provider": dg.StaticPartitionsDefinition(["anna"]), "seed": dg.StaticPartitionsDefinition(["3"])}
    )

    @dg.asset(partitions_def=cells, io_manager_key="mem")
    def bought(context: dg.AssetExecutionContext, config: SpendConfig) -> Spender:
        return spender_of(context, declaration, config)

    return dg.materialize(
        [bought],
        partition_key=dg.MultiPartitionKey({"provider": "anna", "seed": "3"}),
        resources={"mem": dg.mem_io_manager},
        run_config={
            "ops": {"bought": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        tags=tags,
        raise_on_error=False,
    )


def test_a_dagster_run_spends_as_itself() -> None:
    result = spend({}, max_cost_usd=2.5)
    spender = result.output_for_node("bought")
    assert (spender.run, spender.partition, spender.recipe) == (result.run_id, "anna|3", SHIPPED)
    assert spender.scopes[0] == Scope(f"run:{result.run_id}", Cap(max_cost_usd=2.5))


def test_runs_with_one_tag_spend_as_one() -> None:
    spender = spend({"synth/spending": "both"}).output_for_node("bought")
    assert spender.run == "both"
    assert spender.scopes[0] == Scope("run:both", Cap())


def test_a_misspelled_cap_is_refused_by_dagster_before_anything_runs() -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=r'unexpected config entry "max_usd"[^@]*max_cost_usd'):
        spend({}, max_usd=5)


# ------------------------------------------------------------------------------------------ the recipe's budget


def declare(tmp_path: Path, budget: str) -> Path:
    """Return a defs folder with the shipped recipe and a budget."""
    shutil.copytree(DEFS_FOLDER / SHIPPED, tmp_path / "defs" / SHIPPED)
    file = tmp_path / "defs" / SHIPPED / "defs.yaml"
    file.write_text(f"{file.read_text(encoding='utf-8').rstrip()}\n  budget: {budget}\n", encoding="utf-8")
    return tmp_path / "defs"


def test_a_recipe_declares_its_budget(tmp_path: Path) -> None:
    defs = declare(tmp_path, "{run: {max_cost_usd: 5}, partition: {max_tokens: 100000}, recipe: {max_cost_usd: 40}}")
    assert load_declaration(SHIPPED, defs).recipe.budget == Budget(
        run=Cap(max_cost_usd=5), partition=Cap(max_tokens=100_000), recipe=Cap(max_cost_usd=40)
    )


@pytest.mark.parametrize(
    ("budget", "named"),
    [
        ("{run: {max_cost_usd: -5}}", "budget.run.max_cost_usd: Input should be greater than or equal to 0"),
        ("{recipe: {max_tokens: -1}}", "budget.recipe.max_tokens: Input should be greater than or equal to 0"),
        ("{run: {max_cost_usd: five}}", "budget.run.max_cost_usd: Input should be a valid number"),
        ("{run: {max_usd: 5}}", "budget.run.max_usd: Extra inputs are not permitted"),
        ("{max_cost_usd: 5}", "budget.max_cost_usd: Extra inputs are not permitted"),
    ],
)
def test_a_budget_that_cannot_hold_is_refused_with_its_field(tmp_path: Path, budget: str, named: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load_declaration(SHIPPED, declare(tmp_path, budget))
    assert named in str(refused.value)
    assert "defs.yaml:" in str(refused.value)
    assert "fix: " in str(refused.value)


def test_another_budget_makes_no_other_dataset(tmp_path: Path) -> None:
    plain, budgeted = load_declaration(SHIPPED), load_declaration(SHIPPED, declare(tmp_path, "{run: {max_tokens: 5}}"))
    assert budgeted.recipe.budget != plain.recipe.budget
    assert budgeted.code_version("write") == plain.code_version("write")
    assert budgeted.identity == plain.identity
