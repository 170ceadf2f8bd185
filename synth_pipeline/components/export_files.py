"""Export folders: written whole or not at all, and verified against their manifest."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg

from synth_pipeline.contracts.errors import ExportError, VerificationError
from synth_pipeline.stages.export.manifest import MANIFEST

CHUNK = 1 << 20


class ExportFolder(dg.ConfigurableResource):  # type: ignore[type-arg]  # it yields itself
    """Where export files go: `<root>/<recipe>/<provider>/<seed>/`."""

    root: str

    def write(self, recipe: str, provider: str, seed: int, files: Mapping[str, bytes]) -> Path:
        """Replace the partition's folder by `files` in one step, and return it.

        Raises:
            ExportError: the folder cannot be written; the earlier export stands as it was.
        """
        target = Path(self.root) / recipe / provider / str(seed)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            _fill(fresh, files)
            _swap(fresh, target)
        except OSError as error:
            raise ExportError(
                f"cannot be written: {error}",
                where=str(target),
                fix="free disk space or change permissions, then run again",
            ) from error
        return target


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        file = folder / PurePosixPath(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
    folder.chmod(0o755)


def _swap(fresh: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def verify_export(folder: Path) -> dict[str, Any]:
    """Return the manifest of an export whose files are all exactly as it says.

    Raises:
        VerificationError: the manifest is missing or broken, or a file is missing, changed or not listed.
    """
    manifest = _read_manifest(folder)
    listed = {entry["path"]: entry for entry in manifest["files"]}
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    for path in sorted(set(listed) | found):
        file = folder / path
        if path not in listed:
            raise _broken(file, "is not in the manifest", "remove it, or export again")
        if not file.resolve().is_relative_to(folder.resolve()):
            raise _broken(file, "lies outside the export", "export again; the manifest was tampered with")
        if path not in found:
            raise _broken(file, "is missing", "restore it, or export again")
        if file.stat().st_size != listed[path]["bytes"]:
            raise _broken(file, f"has {file.stat().st_size} bytes, not {listed[path]['bytes']}", "export again")
        if _sha256(file) != listed[path]["sha256"]:
            raise _broken(file, "has another SHA-256 than the manifest says", "export again")
    return manifest


def _read_manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        complete = all({"path", "sha256", "bytes"} <= set(entry) for entry in manifest["files"])
    except FileNotFoundError:
        raise _broken(file, "is missing", "name the folder of one export: .../<recipe>/<provider>/<seed>") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(file, f"cannot be read: {error}", "export again") from error
    if not complete:
        raise _broken(file, "lists a file without path, sha256 or bytes", "export again")
    return dict(manifest)


def _sha256(file: Path) -> str:
    summed = hashlib.sha256()
    with file.open("rb") as handle:
        while chunk := handle.read(CHUNK):
            summed.update(chunk)
    return summed.hexdigest()


def _broken(file: Path, what: str, fix: str) -> VerificationError:
    return VerificationError(what, where=str(file), fix=fix)
