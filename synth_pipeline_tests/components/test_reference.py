from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from synth_pipeline.components.declaration import Declaration, load_declaration
from synth_pipeline.components.reference import load_reference
from synth_pipeline.contracts.errors import ReferenceFileError

EXAMPLES = {
    "key": ["a", "b", "c", "d"],
    "body": ["one trial", "one review", "a survey", "no label here"],
    "design": ["rct", "systematic_review", "RDD", None],
}
MAPPING = "path: {path}\ntext: body\nlabel: design\nid: key\nlabels: {{RDD: rdd}}\n"


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    return load_declaration("evidence")


def write(folder: Path, ending: str) -> Path:
    frame, file = pl.DataFrame(EXAMPLES), folder / f"mine.{ending}"
    writers: dict[str, Callable[[Path], object]] = {
        "csv": frame.write_csv,
        "jsonl": frame.write_ndjson,
        "parquet": frame.write_parquet,
    }
    writers[ending](file)
    return file


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_users_file_is_mapped_by_a_yaml_beside_it(declaration: Declaration, tmp_path: Path, ending: str) -> None:
    mapping = tmp_path / "mine.yaml"
    mapping.write_text(MAPPING.format(path=write(tmp_path, ending).name), encoding="utf-8")
    reference = load_reference(declaration, str(mapping))
    assert reference.frame["example_id"].to_list() == ["a", "b", "c", "d"]
    assert reference.frame["label"].to_list() == ["rct", None, "rdd", None]
    assert reference.unmapped == {"systematic_review": 1}
    assert reference.n_unlabelled == 1


def test_labels_without_a_mapping_are_told_and_kept(declaration: Declaration, tmp_path: Path) -> None:
    mapping = tmp_path / "mine.yaml"
    mapping.write_text(MAPPING.format(path=write(tmp_path, "csv").name), encoding="utf-8")
    summary = load_reference(declaration, str(mapping)).summary()
    assert "4 real examples, 2 with a label of the recipe" in summary
    assert "systematic_review (1)" in summary
    assert "1 without a label" in summary


def test_the_shipped_reference_has_three_written_examples_of_each_label(declaration: Declaration) -> None:
    frame = load_reference(declaration).frame
    assert frame.height == 45
    assert frame.group_by("label").len()["len"].to_list() == [3] * len(declaration.recipe.labels)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("broken.csv", b"abstract,method\n\xff\xfe\x00broken,rct\n", "cannot be read"),
        ("broken.jsonl", b'{"id": "1", "abstract": \n', "cannot be read"),
        ("broken.parquet", b"not parquet at all", "cannot be read"),
        ("other.xlsx", b"", "ending '.xlsx' is not known"),
        ("columns.csv", b"id,body,method\n1,hello,rct\n", "no column 'abstract'; the file has id, body, method"),
        ("empty.csv", b"id,abstract,method\n1,,rct\n", "holds no example with a text"),
        ("twice.csv", b"id,abstract,method\n1,one,rct\n1,two,rct\n", "id '1' stands twice"),
    ],
)
def test_a_file_that_cannot_serve_is_refused_with_its_path_and_a_fix(
    declaration: Declaration, tmp_path: Path, name: str, content: bytes, named: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ReferenceFileError) as refused:
        load_reference(declaration, str(file))
    assert refused.value.exit_code == 2
    for part in (name, named, "fix: "):
        assert part in str(refused.value)


def test_a_missing_file_is_refused_with_its_path(declaration: Declaration, tmp_path: Path) -> None:
    with pytest.raises(ReferenceFileError, match=r"gone\.parquet: no such file"):
        load_reference(declaration, str(tmp_path / "gone.parquet"))
