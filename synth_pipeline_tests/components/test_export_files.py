import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from synth_pipeline.components.export_files import ExportFolder, verify_export
from synth_pipeline.contracts.errors import ExportError, VerificationError


def with_manifest(files: Mapping[str, bytes]) -> dict[str, bytes]:
    listed = [
        {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for path, content in files.items()
    ]
    return {**files, "manifest.json": json.dumps({"files": listed, "n_items": 2}).encode()}


FILES = with_manifest({"lines/train.jsonl": b"one\ntwo\n", "lines/test.jsonl": b""})


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return ExportFolder(root=str(tmp_path)).write("recipe", "someone", 7, FILES)


def test_a_whole_export_is_verified(export: Path) -> None:
    assert verify_export(export)["n_items"] == 2


def test_writing_again_replaces_the_folder_and_leaves_nothing_beside_it(export: Path) -> None:
    root = export.parent.parent.parent
    again = ExportFolder(root=str(root)).write("recipe", "someone", 7, with_manifest({"lines/train.jsonl": b"three\n"}))
    assert again == export
    assert sorted(p.name for p in export.parent.iterdir()) == ["7"]
    assert sorted(p.name for p in (export / "lines").iterdir()) == ["train.jsonl"]


@pytest.mark.parametrize(
    ("path", "content", "named"),
    [
        ("lines/train.jsonl", b"one\ntwo", "train.jsonl: has 7 bytes, not 8"),
        ("lines/train.jsonl", b"one\ntwO\n", "train.jsonl: has another SHA-256"),
        ("lines/train.jsonl", None, "train.jsonl: is missing"),
        ("lines/more.jsonl", b"", "more.jsonl: is not in the manifest"),
        ("manifest.json", None, "manifest.json: is missing"),
        ("manifest.json", b"{", "manifest.json: cannot be read"),
        ("manifest.json", b'{"files": [{"path": "x"}]}', "lists a file without path, sha256 or bytes"),
    ],
)
def test_whatever_was_changed_is_named(export: Path, path: str, content: bytes | None, named: str) -> None:
    file = export / path
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(VerificationError) as found:
        verify_export(export)
    assert named in str(found.value)


def test_a_folder_that_cannot_be_written_is_named_and_the_reason_given(tmp_path: Path) -> None:
    (tmp_path / "recipe").write_bytes(b"a file stands where the folder should")
    with pytest.raises(ExportError, match="recipe/someone/7: cannot be written"):
        ExportFolder(root=str(tmp_path)).write("recipe", "someone", 7, FILES)
