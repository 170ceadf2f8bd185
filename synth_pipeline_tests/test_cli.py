import json
from pathlib import Path

import pytest

from synth_pipeline_tests.checkout import Checkout, Said, make_checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path / "project")


def assert_refused(said: Said, *named: str) -> None:
    assert said.code == 2
    assert said.out == ""
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) < 12
    for name in (*named, "fix: "):
        assert name in said.err


def test_a_recipe_that_contradicts_itself_ends_with_one_screen_and_exit_code_2(checkout: Checkout) -> None:
    checkout.replace(checkout.recipe_file, "psm: {share: 0.14,", "psm: {share: 0.24,")
    said = checkout.synth("run", "evidence", "--limit", "5")
    assert_refused(said, "defs.yaml:", "axes.method", "shares sum to 1.1, not 1")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "nothing"), ("unknown recipe 'nothing'", "use one of evidence")),
        (("run", "evidence", "--provider", "nobody"), ("unknown provider 'nobody'", "offline-terse")),
        (("run", "evidence", "--provider", "openai"), ("OPENAI_API_KEY",)),
        (("run", "evidence", "--seed", "100"), ("seed 100 is no partition",)),
        (("run", "evidence", "--reference", "gone.parquet"), ("gone.parquet", "no such file")),
    ],
)
def test_wrong_arguments_are_refused_with_what_would_be_right(
    checkout: Checkout, arguments: tuple[str, ...], named: tuple[str, ...]
) -> None:
    assert_refused(checkout.synth(*arguments), *named)


def test_a_broken_recipe_beside_the_one_that_runs_is_named(checkout: Checkout) -> None:
    broken = checkout.recipe_file.parent.with_name("broken") / "defs.yaml"
    broken.parent.mkdir()
    broken.write_text("type: synth_pipeline.components.TextDataset\nattributes: {}\n", encoding="utf-8")
    assert_refused(checkout.synth("status"), "broken/defs.yaml:", "description: Field required")


def test_a_preview_writes_nothing(checkout: Checkout) -> None:
    before = sorted(path for path in checkout.folder.rglob("*") if "__pycache__" not in path.parts)
    said = checkout.synth("preview", "evidence", "-n", "2", "--json")
    after = sorted(path for path in checkout.folder.rglob("*") if "__pycache__" not in path.parts)
    assert said.code == 0
    assert {record["planned_id"] for record in said.json()}
    assert all(record["offline"] for record in said.json())
    assert after == before


def test_every_shipped_provider_is_listed_with_the_variable_that_it_lacks(checkout: Checkout) -> None:
    rows = {row["name"]: row for row in checkout.synth("providers", "--json").json()}
    assert list(rows) == [
        *("offline-terse", "offline-formal", "offline-messy"),
        *("openai", "anthropic", "gemini", "mistral", "xai", "local"),
    ]
    assert rows["offline-terse"]["ready"]
    assert rows["anthropic"]["missing"] == ["ANTHROPIC_API_KEY"]
    assert rows["local"]["missing"] == ["LOCAL_LLM_BASE_URL"]


def test_verifying_a_folder_that_is_no_export_fails_and_says_so(checkout: Checkout) -> None:
    said = checkout.synth("verify", "prompts")
    assert said.code == 1
    assert "manifest.json: is missing" in said.err


def test_status_before_the_first_run_is_empty(checkout: Checkout) -> None:
    said = checkout.synth("status", "--json")
    assert json.loads(said.out) == {"partitions": [], "spent": []}
