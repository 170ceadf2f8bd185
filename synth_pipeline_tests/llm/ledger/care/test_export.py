import json
from pathlib import Path

import polars as pl
import pytest

from synth_pipeline.contracts.errors import InputError, StorageError
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.ledger.care.export import Filter, export_calls
from synth_pipeline.llm.ledger.database import Database
from synth_pipeline_tests.llm.ledger.care.purchases import keep, purchase


def exported(database: Database, target: Path, chosen: Filter = Filter()) -> list[str]:  # noqa: B008  # it is frozen
    export_calls(database, target, chosen, overwrite=True)
    return [json.loads(line)["sample"] for line in target.read_text(encoding="utf-8").splitlines()]


def test_jsonl_holds_every_call_with_its_prompt_as_json(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "calls.jsonl"
    assert export_calls(database, target, Filter()) == 3
    first = json.loads(target.read_text(encoding="utf-8").splitlines()[0])
    assert first["messages"] == [{"role": "user", "content": "Write."}]
    assert first["parameters"]["max_tokens"] == 100
    assert first["content"] == '{"note":"It came late."}'


def test_parquet_holds_the_same_calls_in_the_same_order(database: Database, tmp_path: Path) -> None:
    export_calls(database, tmp_path / "calls.parquet", Filter())
    frame = pl.read_parquet(tmp_path / "calls.parquet")
    assert frame["sample"].to_list() == exported(database, tmp_path / "calls.jsonl") == ["p0", "p1", "p2"]
    assert frame["tokens_in"].dtype == pl.Int64()
    assert frame["cost_usd"].sum() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("chosen", "samples"),
    [
        (Filter(recipe="parcels"), ["p0", "p1", "p2"]),
        (Filter(recipe="others"), []),
        (Filter(provider="anna", status="refused"), ["p2"]),
        (Filter(provider="bert"), []),
    ],
)
def test_filters_narrow_it(database: Database, tmp_path: Path, chosen: Filter, samples: list[str]) -> None:
    assert exported(database, tmp_path / "calls.jsonl", chosen) == samples


def test_many_calls_are_written_some_at_a_time(database: Database, tmp_path: Path) -> None:
    keep(Ledger(database), *(purchase(f"more{i}") for i in range(1200)))
    export_calls(database, tmp_path / "calls.parquet", Filter())
    assert pl.read_parquet(tmp_path / "calls.parquet").height == 1203
    assert len(exported(database, tmp_path / "calls.jsonl")) == 1203


def test_a_file_that_is_there_is_not_replaced_unless_asked(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "calls.jsonl"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is there already"):
        export_calls(database, target, Filter())
    assert target.read_text(encoding="utf-8") == "mine"
    assert export_calls(database, target, Filter(), overwrite=True) == 3


@pytest.mark.parametrize(
    ("name", "chosen", "said"),
    [
        ("calls.csv", Filter(), "neither .jsonl nor .parquet"),
        ("calls.jsonl", Filter(status="lost"), "no call has the status 'lost'"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    database: Database, tmp_path: Path, name: str, chosen: Filter, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        export_calls(database, tmp_path / name, chosen)


def test_a_target_that_cannot_be_written_is_named_and_leaves_nothing(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        export_calls(database, tmp_path / "file" / "calls.jsonl", Filter())
    assert str(tmp_path / "file") in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir() if "ledger" not in path.name) == ["file"]
