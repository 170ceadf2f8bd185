import subprocess
import sys
from pathlib import Path

import pytest

from synth_pipeline_tests.checkout import Checkout, make_checkout

DG = Path(sys.executable).with_name("dg")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path / "project")


def scaffold(checkout: Checkout, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(DG), "scaffold", "defs", "synth_pipeline.components.TextDataset", name],
        cwd=checkout.folder,
        env=checkout.environment(VIRTUAL_ENV=sys.prefix, DAGSTER_DG_UPDATE_CHECK_ENABLED="0"),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_scaffolded_dataset_runs_all_seven_assets_at_once(checkout: Checkout) -> None:
    made = scaffold(checkout, "freshly_made")
    assert made.returncode == 0, made.stderr
    prompts = {file.name for file in (checkout.folder / "prompts" / "freshly_made").iterdir()}
    assert prompts == {"structure.md", "write.md", "flaw.md", "export.md"}
    run = checkout.synth("run", "freshly_made", "--limit", "40", "--json")
    assert run.code == 0, run.err
    funnel = run.json()["funnels"][0]
    assert funnel["planned"] == funnel["written"] == 40
    assert funnel["twins"] > 0
    assert funnel["exported"] == funnel["valid"] >= 40


def test_scaffolding_over_prompts_that_are_there_is_refused(checkout: Checkout) -> None:
    prompt = checkout.folder / "prompts" / "freshly_made" / "write.md"
    prompt.parent.mkdir()
    prompt.write_text("mine", encoding="utf-8")
    assert scaffold(checkout, "freshly_made").returncode != 0
    assert prompt.read_text(encoding="utf-8") == "mine"
