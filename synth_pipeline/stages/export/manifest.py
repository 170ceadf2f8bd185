"""The manifest of an export: SHA-256, size and lines of every file, and what the export was made from."""

import hashlib
import json
from collections.abc import Mapping

import polars as pl

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1


def describe_files(files: Mapping[str, bytes], frame: pl.DataFrame, facts: Mapping[str, object]) -> bytes:
    """Return the manifest as indented JSON with sorted keys.

    Args:
        files: content by path.
        frame: FINETUNE_EXPORT, for the lines of each file.
        facts: where the export comes from.
    """
    lines = dict(frame.group_by("file").len().iter_rows())
    listed = [
        {
            "path": path,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "lines": lines.get(path, 0),
        }
        for path, content in sorted(files.items())
    ]
    manifest = {"manifest_version": MANIFEST_VERSION, **facts, "files": listed}
    return (json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")
