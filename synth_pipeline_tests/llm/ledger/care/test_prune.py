from pathlib import Path

import pytest

from synth_pipeline.contracts.spending import Cost
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.accounts import read_accounts, read_totals
from synth_pipeline.llm.ledger.care.prune import Choice, count_prunable, list_templates, prune
from synth_pipeline.llm.ledger.care.verify import verify
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline_tests.llm.ledger.care.purchases import CURRENT, NOW, keep, purchase

SUPERSEDED = Choice(current={"parcels/write.md": CURRENT})


def keys_left(database: Database) -> set[str]:
    samples = ("p0", "p1", "p2")
    entries = [purchase(one, **({"template_sha256": "1" * 64} if one == "p1" else {})) for one in samples]
    return {entry.sample for entry in Ledger(database).find([entry.call_key for entry in entries]).values()}


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (SUPERSEDED, {"p0", "p2"}),
        (Choice(before=NOW), {"p0", "p1"}),
        (Choice(recipe="parcels"), set()),
        (Choice(recipe="others"), {"p0", "p1", "p2"}),
        (Choice(recipe="parcels", before=NOW, current={"parcels/write.md": CURRENT}), {"p0", "p1", "p2"}),
        (Choice(current={"others/write.md": CURRENT}), {"p0", "p1", "p2"}),
        (Choice(), {"p0", "p1", "p2"}),
        (Choice(failed_tries=True, before="9"), {"p0", "p1", "p2"}),
    ],
)
def test_only_what_was_chosen_is_pruned(database: Database, file: Path, choice: Choice, left: set[str]) -> None:
    counted = count_prunable(database, choice)
    assert prune(database, file, choice) == counted
    assert keys_left(database) == left


@pytest.mark.parametrize(
    ("choice", "n"),
    [
        (Choice(failed_tries=True), 2),
        (Choice(failed_tries=True, recipe="parcels", before="9"), 2),
        (Choice(failed_tries=True, recipe="others"), 0),
        (Choice(failed_tries=True, before=NOW), 0),
    ],
)
def test_failed_tries_are_pruned_by_themselves(database: Database, file: Path, choice: Choice, n: int) -> None:
    assert prune(database, file, choice).n == n
    assert len(read_accounts(database, file).tries) == 2 - n


def test_the_count_says_what_buying_again_would_cost(database: Database) -> None:
    report = count_prunable(database, SUPERSEDED)
    assert report.rows == [{"recipe_role": "parcels__write", "provider": "anna", "n": 1, "cost_usd": 0.1}]
    assert (report.n, report.cost_usd) == (1, 0.1)


def test_counting_prunes_nothing(database: Database) -> None:
    count_prunable(database, Choice(recipe="parcels"))
    assert keys_left(database) == {"p0", "p1", "p2"}


def test_what_was_spent_stays_spent_and_the_ledger_sound(database: Database, file: Path) -> None:
    spent = read_totals(database, ["recipe:parcels", "run:r1"])
    prune(database, file, SUPERSEDED)
    prune(database, file, Choice(failed_tries=True, recipe="parcels"))
    prune(database, file, Choice(recipe="parcels"))
    assert read_totals(database, ["recipe:parcels", "run:r1"]) == spent
    assert spent["recipe:parcels"] == Cost(400_000_000, 600)  # three dimes bought, one lost
    assert verify(database).problems == ()


def test_a_pruned_call_may_be_bought_again(database: Database, file: Path) -> None:
    prune(database, file, Choice(recipe="parcels"))
    keep(Ledger(database), purchase("p0"))
    assert keys_left(database) == {"p0"}
    assert verify(database).problems == ()


def test_the_file_is_smaller_afterwards(database: Database, file: Path) -> None:
    keep(Ledger(database), *(purchase(f"long{i}", content="x" * 20_000) for i in range(50)))
    prune(database, file, Choice())  # prunes nothing, but empties the log into the file
    before = file.stat().st_size
    prune(database, file, Choice(recipe="parcels"))
    assert file.stat().st_size < before / 5


def test_every_template_that_was_used_is_listed_once(database: Database) -> None:
    keep(Ledger(database), purchase("p5", template="parcels/flaw.md"))
    assert list_templates(database) == ["parcels/flaw.md", "parcels/write.md"]
