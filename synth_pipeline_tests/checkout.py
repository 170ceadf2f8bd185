"""A copy of the project in a folder of its own, in which `synth` runs as a user runs it: as a process."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("synth_pipeline", "prompts", "dagster.yaml", "pyproject.toml", "workspace.yaml")
LEFT_OUT = shutil.ignore_patterns("__pycache__")
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY", "XAI_API_KEY", "LOCAL_LLM_BASE_URL")
TIMEOUT_S = 300


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return standard output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Checkout:
    """A copy of the project below `folder`; its data, ledger and runs are its own."""

    folder: Path

    @property
    def recipe_file(self) -> Path:
        """The shipped text recipe's declaration, free to be broken."""
        return self.folder / "synth_pipeline" / "defs" / "evidence" / "defs.yaml"

    def replace(self, file: Path, old: str, new: str) -> None:
        """Replace the one place where `old` stands."""
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file.name}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command: no key of a provider, this copy's code first."""
        plain = {
            name: value for name, value in os.environ.items() if name not in KEYS and not name.startswith("SYNTH_")
        }
        return plain | {"PYTHONPATH": str(self.folder), "DAGSTER_HOME": "", "COLUMNS": "200"} | more

    def synth(self, *arguments: str, **more: str) -> Said:
        """Run `synth` in the copy's folder; `more` are environment variables."""
        done = subprocess.run(
            [sys.executable, "-m", "synth_pipeline.cli", *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)


def make_checkout(folder: Path) -> Checkout:
    """Return a fresh copy of the project below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source, target = ROOT / part, folder / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=LEFT_OUT)
        else:
            shutil.copy(source, target)
    return Checkout(folder)
