"""The commands over a ledger in a data folder of their own; the project's folder is the checkout's."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from synth_pipeline.commands.ledger import (
    PruneRequest,
    back_up_ledger,
    export_ledger,
    give_up_batch,
    list_batches,
    prune_ledger,
    show_call,
    show_ledger,
    verify_ledger,
)
from synth_pipeline.commands.ledger_report import show_accounts, show_pruning, show_verification, size
from synth_pipeline.commands.ledger_report import show_call as print_call
from synth_pipeline.components.backups import keep_backup
from synth_pipeline.contracts.errors import InputError
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.export import Filter
from synth_pipeline.llm.prompts import find_prompts_folder
from synth_pipeline_tests.llm.ledger.care.purchases import keep, make_ledger, purchase, url_of


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "dagster.yaml").touch()
    monkeypatch.setenv("SYNTH_DATA_DIR", str(folder))
    monkeypatch.delenv("SYNTH_LEDGER_URL", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def file(data: Path) -> Path:
    return make_ledger(data / "ledger.sqlite")


def printed() -> Console:
    return Console(file=StringIO(), width=200)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


# ------------------------------------------------------------------------------------------ where there is none


@pytest.mark.parametrize(
    "command",
    [
        lambda: show_ledger(None),
        lambda: show_call("k0k0k0"),
        lambda: export_ledger("calls.jsonl", Filter(), overwrite=False),
        lambda: prune_ledger(PruneRequest(recipe="parcels")),
        verify_ledger,
        lambda: back_up_ledger(None),
        list_batches,
        lambda: give_up_batch("b0"),
    ],
)
def test_without_a_ledger_each_command_says_so_and_makes_none(data: Path, command: object) -> None:
    assert callable(command)
    with pytest.raises(InputError, match="there is no call ledger yet"):
        command()
    assert list(data.iterdir()) == []


def test_a_ledger_without_batches_lists_none_and_gives_none_up(data: Path) -> None:
    Ledger.open(f"sqlite:///{data / 'ledger.sqlite'}").close()
    assert list_batches() == []
    with pytest.raises(InputError, match="no batch 'b0' is under way"):
        give_up_batch("b0")


def test_without_a_ledger_a_run_leaves_no_backup(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep_backup() is None
    monkeypatch.setenv("SYNTH_LEDGER_URL", "sqlite://")
    assert keep_backup() is None
    assert list(data.iterdir()) == []


# ------------------------------------------------------------------------------------------ shown


def test_the_ledger_is_shown_with_totals_risk_and_size(file: Path) -> None:
    console = printed()
    show_accounts(show_ledger(None), console)
    for told in ("parcels__write", "refused", "timeout", "recipe:parcels", "$0.4000", "1 under way", "ledger.sqlite"):
        assert told in said(console)
    assert "total: 3 calls for $0.3000, $0.1000 at risk in tries that brought nothing" in said(console)


def test_one_call_is_shown_in_full(file: Path) -> None:
    console = printed()
    print_call(show_call(purchase("p0").call_key), console)
    for told in ("Write.", '{"note":"It came late."}', "anna/large", "timed out", '"max_tokens":100', "request of p0"):
        assert told in said(console)


def test_a_sound_ledger_is_said_to_be_sound(file: Path) -> None:
    console = printed()
    show_verification(verify_ledger(), console)
    assert said(console) == "sound: 3 calls looked at\n"


@pytest.mark.parametrize(
    ("n", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (12_300, "12.3 kB"), (4_500_000, "4.5 MB"), (2 * 10**9, "2.0 GB")],
)
def test_sizes_read_well(n: int, told: str) -> None:
    assert size(n) == told


# ------------------------------------------------------------------------------------------ exported, backed up


def test_a_target_is_where_the_user_stands(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert export_ledger("calls.jsonl", Filter(), overwrite=False) == (tmp_path / "deep" / "calls.jsonl", 3)


def test_a_backup_by_hand_has_a_name_of_its_own_and_replaces_nothing(file: Path, data: Path, tmp_path: Path) -> None:
    assert back_up_ledger(None).parent == data / "backups"
    assert back_up_ledger("copy.sqlite") == tmp_path / "copy.sqlite"
    with pytest.raises(InputError, match="is there already"):
        back_up_ledger("copy.sqlite")


# ------------------------------------------------------------------------------------------ pruned


def test_a_template_that_is_still_there_tells_which_calls_are_superseded(file: Path) -> None:
    template = next(iter(sorted(find_prompts_folder().glob("*/write.md"))))
    path = str(template.relative_to(find_prompts_folder()))
    ledger = Ledger.open(url_of(file))
    keep(ledger, purchase("by-old-text", template=path))
    ledger.close()
    pruning = prune_ledger(PruneRequest(superseded=True))
    assert (pruning.report.n, pruning.unknown) == (1, ("parcels/write.md",))


def test_pruning_is_a_dry_run_until_it_is_said_to_be_meant(file: Path, data: Path) -> None:
    console = printed()
    show_pruning(prune_ledger(PruneRequest(recipe="parcels")), console)
    assert "3 calls; buying them again would cost about $0.3000; nothing was changed: add --yes" in said(console)
    assert not (data / "backups").exists()
    assert show_ledger(None).calls


def test_pruning_keeps_a_backup_and_says_where(file: Path, data: Path) -> None:
    console = printed()
    pruning = prune_ledger(PruneRequest(recipe="parcels", really=True))
    show_pruning(pruning, console)
    assert pruning.backup is not None
    assert pruning.backup.is_file()
    assert "3 calls are gone" in said(console)
    assert pruning.backup.name in said(console)
    assert show_ledger(None).calls == []
    assert verify_ledger().problems == ()


def test_an_age_counts_back_from_now(file: Path) -> None:
    ledger = Ledger.open(url_of(file))
    long_ago = (datetime.now(UTC) - timedelta(days=91)).isoformat(timespec="milliseconds")
    lately = (datetime.now(UTC) - timedelta(days=89)).isoformat(timespec="milliseconds")
    keep(
        ledger, purchase("q0", completed_at=long_ago, recipe="late"), purchase("q1", completed_at=lately, recipe="late")
    )
    ledger.close()
    for age, n in (("90d", 1), ("1h", 2), ("14w", 0), ("2136h", 2)):
        assert prune_ledger(PruneRequest(recipe="late", older_than=age)).report.n == n


@pytest.mark.parametrize(
    ("request_", "said_"),
    [
        (PruneRequest(), "nothing was chosen"),
        (PruneRequest(really=True), "nothing was chosen"),
        (PruneRequest(older_than="90"), "'90' is no age"),
        (PruneRequest(older_than="-1d"), "'-1d' is no age"),
        (PruneRequest(superseded=True, failed_tries=True), "--superseded is for calls"),
    ],
)
def test_what_cannot_be_pruned_is_refused(file: Path, request_: PruneRequest, said_: str) -> None:
    with pytest.raises(InputError, match=said_):
        prune_ledger(request_)
