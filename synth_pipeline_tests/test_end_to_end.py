import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synth_pipeline_tests.checkout import Checkout, Said, make_checkout

RUN = ("run", "evidence", "-p", "offline-terse", "-p", "offline-messy", "--seed", "3", "--limit", "30", "--json")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return make_checkout(tmp_path_factory.mktemp("end_to_end") / "project")


@pytest.fixture(scope="module")
def first(checkout: Checkout) -> Said:
    return checkout.synth(*RUN)


def exports(checkout: Checkout) -> dict[str, str]:
    root = checkout.folder / "data" / "exports"
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(root.rglob("*"))
        if file.is_file()
    }


def test_two_providers_run_all_seven_assets_and_the_merge(checkout: Checkout, first: Said) -> None:
    assert first.code == 0, first.err
    report = first.json()
    assert [run["job"] for run in report["runs"]] == ["evidence_chain", "evidence_chain", "evidence_merge"]
    assert all(run["success"] for run in report["runs"])
    for funnel in report["funnels"]:
        assert funnel["planned"] == 30
        assert funnel["valid"] + funnel["rejected"] + funnel["flagged"] >= 30
        assert funnel["exported"] == funnel["valid"] > 0
        assert funnel["offline"]
    merged = [score for score in report["scores"] if score["provider"] == "merged"]
    assert {score["family"] for score in merged} == {"words", "surface"}
    assert all(score["verdict"] == "undecided" and score["n_needed"] >= 200 for score in merged)


def test_status_shows_both_partitions_whole_and_fresh(checkout: Checkout, first: Said) -> None:
    state = checkout.synth("status", "evidence", "--json").json()
    assert first.code == 0
    assert [one["partition"] for one in state["partitions"]] == ["offline-messy|3", "offline-terse|3"]
    assert all(one["materialized"] == "7/7" and not one["stale"] and not one["pending"] for one in state["partitions"])
    assert {row["recipe_role"] for row in state["spent"]} == {
        "evidence__structure",
        "evidence__write",
        "evidence__flaw",
    }


def test_a_second_run_buys_nothing_and_says_so(checkout: Checkout, first: Said) -> None:
    before = exports(checkout)
    again = checkout.synth(*[argument for argument in RUN if argument != "--json"])
    assert first.code == again.code == 0
    assert "nothing was bought" in again.out
    assert exports(checkout) == before


def test_an_emptied_ledger_and_database_give_byte_identical_exports(checkout: Checkout, first: Said) -> None:
    assert first.code == 0
    before = exports(checkout)
    shutil.rmtree(checkout.folder / "data")
    shutil.rmtree(checkout.folder / ".dagster")
    again = checkout.synth(*RUN)
    assert again.code == 0, again.err
    assert sum(run["n_calls_bought"] for run in again.json()["runs"]) > 0
    assert before
    assert exports(checkout) == before


def test_deleting_one_exported_byte_makes_verify_fail_and_name_the_file(checkout: Checkout, first: Said) -> None:
    assert first.code == 0
    export = checkout.folder / "data" / "exports" / "evidence" / "offline-terse" / "3"
    assert checkout.synth("verify", str(export)).code == 0
    file = export / "conversational" / "train.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    said = checkout.synth("verify", str(export))
    file.write_bytes(whole)
    assert said.code == 1
    assert "conversational/train.jsonl" in said.err


def test_a_changed_prompt_shows_the_partition_as_stale(checkout: Checkout, first: Said) -> None:
    assert first.code == 0
    prompt = checkout.folder / "prompts" / "evidence" / "write.md"
    text = prompt.read_text(encoding="utf-8")
    prompt.write_text(text.replace('version: "1.0"', 'version: "1.1"'), encoding="utf-8")
    state = checkout.synth("status", "evidence", "--json").json()
    prompt.write_text(text, encoding="utf-8")
    assert all("raw_generations" in one["stale"] for one in state["partitions"])
    assert all("sampling_plan" not in one["stale"] for one in state["partitions"])


def test_no_file_of_a_run_lies_outside_the_data_and_dagster_folders(checkout: Checkout, first: Said) -> None:
    assert first.code == 0
    top = {path.name for path in Path(checkout.folder).iterdir()}
    assert top == {"synth_pipeline", "prompts", "dagster.yaml", "pyproject.toml", "workspace.yaml", "data", ".dagster"}


def test_a_margin_skewed_past_its_limit_blocks_the_score_and_the_export(checkout: Checkout, first: Said) -> None:
    assert first.code == 0
    recipe = checkout.recipe_file.read_text(encoding="utf-8")
    checkout.recipe_file.write_text(recipe.replace("effect_metric], limit: 0.05}", "effect_metric], limit: 0.0001}"))
    said = checkout.synth("run", "evidence", "-p", "offline-messy", "--seed", "4", "--limit", "150", "--json")
    checkout.recipe_file.write_text(recipe, encoding="utf-8")
    assert said.code == 1
    report = said.json()
    chain = report["runs"][0]
    blocking = [check["name"] for check in chain["failed_checks"] if check["blocking"]]
    assert blocking
    assert all(name.startswith("skew_") for name in blocking)
    assert report["funnels"][0]["valid"] > 0
    assert report["funnels"][0]["exported"] == 0


def test_materializing_a_provider_without_its_key_names_the_variable(checkout: Checkout, first: Said) -> None:
    assert first.code == 0
    materialize = ["-m", "dagster", "asset", "materialize", "-m", "synth_pipeline.definitions"]
    chosen = ["--select", "evidence/sampling_plan,evidence/raw_generations", "--partition", "openai|0"]
    done = subprocess.run(
        [sys.executable, *materialize, *chosen],
        cwd=checkout.folder,
        env=checkout.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "provider 'openai' needs OPENAI_API_KEY, not set in the environment" in done.stderr + done.stdout
