"""An estimate of a shipped recipe; what figures it is made of is held in llm/test_estimating.py."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from synth_pipeline.commands.estimate import EstimateRequest, estimate_recipe
from synth_pipeline.contracts.errors import InputError, ProviderError
from synth_pipeline.contracts.spending import Cap

PROVIDERS = """
cheap: {family: a, models: {default: offline/terse}, prices: {offline/terse: {usd_per_mtok_in: 1, usd_per_mtok_out: 4}}}
patient: {family: a, models: {default: offline/terse}, batch: true,
          prices: {offline/terse: {usd_per_mtok_in: 1,
  batch_usd_per_mtok_in: 0.5, batch_usd_per_mtok_out: 2.0, usd_per_mtok_out: 4}}}
dear: {family: b, models: {write: made-up/large, default: offline/terse}, api_key_env: NOBODY_HAS_SET_THIS,
       prices: {made-up/large: {usd_per_mtok_in: 10, usd_per_mtok_out: 40},
                offline/terse: {usd_per_mtok_in: 1, usd_per_mtok_out: 4}}}
priceless: {family: c, models: {default: offline/terse}}
offline-terse: {family: d, models: {default: offline/terse}, free: true}
offline-formal: {family: e, models: {default: offline/formal}, free: true}
offline-messy: {family: f, models: {default: offline/messy}, free: true}
"""
FIGURES = {
    *("n_planned", "n_held", "n_to_buy", "tokens_in", "tokens_out"),
    *("expected_usd", "worst_usd", "worst_tokens", "seconds"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "providers.yaml").write_text(PROVIDERS, encoding="utf-8")
    monkeypatch.setenv("SYNTH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("SYNTH_LEDGER_URL", raising=False)
    monkeypatch.setenv("SYNTH_PROVIDERS", str(tmp_path / "providers.yaml"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_is_written_and_no_key_is_needed(place: Path) -> None:
    before = sorted(place.rglob("*"))
    found = estimate_recipe(EstimateRequest("evidence", ["dear"], limit=8))
    assert found.n_records == 8
    assert sorted(place.rglob("*")) == before


def test_the_panel_counts_once_however_many_write(place: Path) -> None:
    both = estimate_recipe(EstimateRequest("evidence", ["cheap", "dear", "cheap"], limit=8)).as_dict()
    rows = [(row["provider"], row["stage"]) for row in both["stages"]]
    assert rows == [
        *((name, "structure") for name in ("offline-terse", "offline-formal", "offline-messy")),
        *((name, stage) for name in ("cheap", "dear") for stage in ("write", "flaw")),
    ]


def test_totals_are_the_sums_of_the_stages(place: Path) -> None:
    plain = estimate_recipe(EstimateRequest("evidence", ["cheap", "dear"], limit=8)).as_dict()
    assert plain["totals"].keys() == FIGURES
    for name in FIGURES:
        assert plain["totals"][name] == pytest.approx(sum(row[name] for row in plain["stages"]))
    written = {row["provider"]: row["expected_usd"] for row in plain["stages"] if row["stage"] == "write"}
    assert written["dear"] == pytest.approx(10 * written["cheap"])


def test_it_says_what_caps_apply_and_how_figures_were_had(place: Path) -> None:
    found = estimate_recipe(EstimateRequest("evidence", ["cheap"], limit=8, cap=Cap(max_cost_usd=0.001)))
    console = Console(file=StringIO(), width=300)
    found.show(console)
    assert isinstance(console.file, StringIO)
    said = console.file.getvalue()
    for told in (
        "8 records a provider",
        "cheap write",
        "no history yet",
        "cap of this run: $0.0010",
        "does not fit",
        "worst:",
    ):
        assert told in said


def test_batches_cost_what_the_row_says_and_may_take_a_day(place: Path) -> None:
    now, later = (
        estimate_recipe(EstimateRequest("evidence", ["patient"], limit=8, batch=batch)) for batch in (False, True)
    )
    writes = [next(stage for stage in found.stages if stage.stage == "write") for found in (now, later)]
    assert writes[1].expected.usd == pytest.approx(writes[0].expected.usd / 2)
    assert writes[1].seconds == 24 * 3600
    assert writes[1].basis.endswith("at the price of batches; a batch may take 24 hours")
    with pytest.raises(InputError, match="no batches from cheap"):
        estimate_recipe(EstimateRequest("evidence", ["cheap"], limit=8, batch=True))


def test_a_partition_that_is_none_and_a_price_that_nobody_knows_are_refused(place: Path) -> None:
    with pytest.raises(InputError, match="seed 100 is no partition"):
        estimate_recipe(EstimateRequest("evidence", ["cheap"], seed=100))
    with pytest.raises(ProviderError, match="unknown provider 'nobody'"):
        estimate_recipe(EstimateRequest("evidence", ["nobody"]))
    with pytest.raises(ProviderError, match="the price of 'offline/terse' is not known"):
        estimate_recipe(EstimateRequest("evidence", ["priceless"], limit=8))
