import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from synth_pipeline_tests.checkout import make_checkout
from synth_pipeline_tests.ui.browser import Viewer, find_browser, open_page
from synth_pipeline_tests.ui.servers import DagsterDev, dagster_dev

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHAIN = (
    "ontology",
    "sampling_plan",
    "raw_generations",
    "flawed_variants",
    "validated_set",
    "discriminator_score",
    "finetune_export",
)
RAN, NEVER_RAN = ("offline-terse", "offline-formal"), "offline-messy"
BROWSER = find_browser()
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="the package playwright is not installed"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterDev]:
    checkout = make_checkout(tmp_path_factory.mktemp("ui") / "project")
    providers = [argument for name in RAN for argument in ("--provider", name)]
    ran = checkout.synth("run", "evidence", *providers, "--seed", "0", "--limit", "30")
    assert ran.code == 0, ran.err
    with dagster_dev(checkout) as running:
        yield running


@pytest.fixture(scope="module")  # not longer: while it is open, nothing else in this process may run a loop
def page() -> Iterator["Page"]:
    with open_page(str(BROWSER)) as opened:
        yield opened


@pytest.fixture
def viewer(server: DagsterDev, page: "Page", tmp_path: Path) -> Viewer:
    return Viewer(page, server.url, tmp_path)


def test_the_graph_shows_all_seven_assets(viewer: Viewer) -> None:
    viewer.open("/locations/synth_pipeline/asset-groups/evidence")
    viewer.sees(*CHAIN, "reference", "merged_set", "merged_discriminator_score", "merged_export")
    viewer.sees_times(re.compile(r"^\d+ partitions$"), len(CHAIN) + 3)
    viewer.sees_times(re.compile(r"^\d+ / \d+ Passed$"), 4)
    viewer.sees_times(re.compile(r" ago$"), len(CHAIN) + 3)
    viewer.keep("graph")


def test_an_asset_says_what_it_is_and_what_its_columns_mean(viewer: Viewer) -> None:
    viewer.open("/assets/evidence/validated_set")
    viewer.sees(re.compile("^Every record and variant as valid, rejected or flagged"))
    viewer.sees("one row per record and variant", "valid, rejected or flagged")
    viewer.sees("n_flagged", "acceptance_rate", "preview")
    viewer.keep("asset")


def test_the_partitions_matrix_shows_both_providers_materialized(viewer: Viewer) -> None:
    viewer.open("/assets/evidence/validated_set?view=partitions")
    viewer.sees("Materialized (2)", *RAN, NEVER_RAN)
    viewer.keep("partitions")
    for provider in RAN:
        viewer.open(f"/assets/evidence/validated_set?view=partitions&partition={provider}%7C0")
        viewer.sees(f"{provider}|0", "Materialized", "acceptance_rate")
        viewer.keep(f"partition-{provider}")
    viewer.open(f"/assets/evidence/validated_set?view=partitions&partition={NEVER_RAN}%7C0")
    viewer.sees(f"{NEVER_RAN}|0", "No metadata entries")


def test_the_checks_of_both_providers_are_listed_by_partition(viewer: Viewer) -> None:
    viewer.open("/assets/evidence/validated_set?view=checks&checkDetail=not_empty")
    viewer.sees("not_empty", "skew_method", "This is a blocking asset check.")
    viewer.keep("checks")
    viewer.click_last("Partitions")  # the check's own; the asset's stands before it
    viewer.sees("Passed (2)", "Failed (0)", *RAN, NEVER_RAN)
    viewer.keep("check-partitions")


def test_a_check_that_did_not_pass_says_what_it_saw_and_what_is_needed(viewer: Viewer) -> None:
    viewer.open("/assets/evidence/discriminator_score?view=checks&checkDetail=gate")
    viewer.sees(re.compile(r"^undecided: .+ under 200 a side nothing is decided$"))
    viewer.sees("observed", "limit", "n_real", "n_synthetic", "n_needed", "giveaways")
    viewer.keep("check-not-passed")


def test_the_terminal_shows_no_warning_of_ours(server: DagsterDev) -> None:
    assert "Serving dagster-webserver" in server.says()
    said = server.says().splitlines()
    assert [line for line in said if "Warning" in line and "synth_pipeline" in line] == []
