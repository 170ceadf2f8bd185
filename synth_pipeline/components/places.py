"""Where things are kept: below one data folder, named by SYNTH_DATA_DIR or `data` in the project's folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from synth_pipeline.contracts.errors import InputError

DATA_VARIABLE, LEDGER_VARIABLE, DATABASE_VARIABLE = "SYNTH_DATA_DIR", "SYNTH_LEDGER_URL", "SYNTH_DATABASE"
INSTANCE_FILE, LEDGER_FILE = "dagster.yaml", "ledger.sqlite"


@dataclass(frozen=True)
class Places:
    """The data folder, the tables' database (path or URI), the call ledger's URL, and the exports' folder."""

    data: Path
    database: str
    ledger_url: str
    exports: Path

    @property
    def ledger_file(self) -> Path:
        """Where the ledger is, unless SYNTH_LEDGER_URL says otherwise."""
        return self.data / LEDGER_FILE


def find_places() -> Places:
    """Return where things are kept, from the environment."""
    data = Path(os.environ.get(DATA_VARIABLE) or "data").resolve()
    database = os.environ.get(DATABASE_VARIABLE) or str(data / "synth.duckdb")
    ledger_url = os.environ.get(LEDGER_VARIABLE) or f"sqlite:///{data / LEDGER_FILE}"
    return Places(data, database, ledger_url, data / "exports")


def find_project_folder() -> Path:
    """Return the folder with dagster.yaml: DAGSTER_HOME, the working directory or one above it.

    Raises:
        InputError: there is none.
    """
    home = os.environ.get("DAGSTER_HOME")
    here = Path.cwd()
    for folder in [Path(home)] if home else [here, *here.parents]:
        if (folder / INSTANCE_FILE).is_file():
            return folder
    raise InputError(f"no {INSTANCE_FILE} here or above", where=str(here), fix="run it inside the project's folder")
