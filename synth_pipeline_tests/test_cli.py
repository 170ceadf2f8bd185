import json
from dataclasses import dataclass
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


# ------------------------------------------------------------------------------------------ money and the ledger

PRICED = """
cheap: {family: a, models: {default: offline/terse}, prices: {offline/terse: {usd_per_mtok_in: 2, usd_per_mtok_out: 8}}}
offline-terse: {family: b, models: {default: offline/terse}, free: true}
offline-formal: {family: c, models: {default: offline/formal}, free: true}
offline-messy: {family: d, models: {default: offline/messy}, free: true}
"""
CAP_USD = 0.06
PLAN = ("evidence", "-p", "cheap", "--limit", "20")


@dataclass(frozen=True)
class Spent:
    """A checkout in which a run came to its cap, and another went on from there; what each command said."""

    checkout: Checkout
    providers: str
    before: Said
    capped: Said
    done: Said

    def synth(self, *arguments: str) -> Said:
        """Run `synth` there."""
        return self.checkout.synth(*arguments, SYNTH_PROVIDERS=self.providers)


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Spent:
    checkout = make_checkout(tmp_path_factory.mktemp("spent") / "project")
    providers = checkout.folder / "providers.yaml"
    providers.write_text(PRICED, encoding="utf-8")
    commands = (
        ("estimate", *PLAN, "--json"),
        ("run", *PLAN, "--max-cost-usd", str(CAP_USD), "--json"),
        ("run", *PLAN, "--json"),
    )
    return Spent(checkout, str(providers), *(checkout.synth(*one, SYNTH_PROVIDERS=str(providers)) for one in commands))


def test_an_estimate_comes_first_and_says_what_is_to_be_bought(spent: Spent) -> None:
    totals = spent.before.json()["totals"]
    assert (totals["n_planned"], totals["n_held"]) == (totals["n_to_buy"], 0)
    assert 0 < totals["expected_usd"] < totals["worst_usd"]


def test_a_run_that_comes_to_its_cap_ends_with_code_3_and_keeps_what_it_bought(spent: Spent) -> None:
    report = spent.capped.json()
    assert spent.capped.code == 3
    assert "stopped at the budget" in report["stops"][0]
    assert sum(run["n_out_of_budget"] for run in report["runs"]) > 0
    assert 0 < sum(run["spent_now_usd"] for run in report["runs"]) <= CAP_USD


def test_the_next_run_goes_on_from_there(spent: Spent) -> None:
    first, second = spent.capped.json(), spent.done.json()
    assert spent.done.code == 0
    assert second["stops"] == []
    assert sum(run["n_calls_from_ledger"] for run in second["runs"]) >= sum(
        run["n_calls_bought"] for run in first["runs"]
    )
    assert second["costs"]["stages"]["all"]["cost_usd"] == pytest.approx(
        sum(run["spent_now_usd"] for report in (first, second) for run in report["runs"])
    )


def test_what_was_bought_is_estimated_at_nothing(spent: Spent) -> None:
    said = spent.synth("estimate", *PLAN)
    assert said.code == 0
    assert "total: nothing to buy, $0; all" in said.out


def test_each_run_leaves_a_backup_of_the_ledger(spent: Spent) -> None:
    assert "backed up to data/backups/ledger-" in spent.capped.json()["backup"]
    assert len(list((spent.checkout.folder / "data" / "backups").glob("ledger-*.sqlite"))) == 2


def test_the_ledger_is_sound_and_can_be_shown_exported_and_pruned(spent: Spent) -> None:
    verified, shown = spent.synth("ledger", "verify", "--json"), spent.synth("ledger", "show", "--json")
    assert (verified.code, verified.json()["n_problems"]) == (0, 0)
    n_calls = sum(row["calls"] for row in shown.json()["calls"])
    assert n_calls == verified.json()["n_calls"] > 20
    assert f"calls.jsonl: {n_calls} calls" in spent.synth("ledger", "export", "calls.jsonl").out
    pruned = spent.synth("ledger", "prune", "--recipe", "evidence", "--json").json()
    assert (pruned["n"], pruned["done"]) == (n_calls, False)


def test_one_call_is_shown_by_its_key(spent: Spent) -> None:
    spent.synth("ledger", "export", "one.jsonl", "--status", "ok", "--force")
    call = json.loads((spent.checkout.folder / "one.jsonl").read_text(encoding="utf-8").splitlines()[0])
    said = spent.synth("ledger", "show", "--key", call["call_key"][:12])
    assert call["content"] in said.out
    assert spent.synth("ledger", "show", "--key", call["call_key"], "--json").json()["call"]["sample"] == call["sample"]


def test_a_ledger_that_was_tampered_with_fails_its_verification(checkout: Checkout) -> None:
    said = checkout.synth("ledger", "verify")
    assert_refused(said, "there is no call ledger yet")
    (checkout.folder / "data").mkdir()
    (checkout.folder / "data" / "ledger.sqlite").write_bytes(b"no database at all" * 1000)
    said = checkout.synth("ledger", "verify")
    assert said.code == 1
    assert "file is not a database" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "evidence", "--max-cost-usd", "-1"), "max-cost-usd"),
        (("ledger", "prune"), "nothing was chosen"),
        (("ledger", "export", "calls.csv"), "neither .jsonl nor .parquet"),
    ],
)
def test_wrong_options_are_refused(spent: Spent, arguments: tuple[str, ...], named: str) -> None:
    said = spent.synth(*arguments)
    assert said.code == 2
    assert named in said.err
    assert "Traceback" not in said.err
