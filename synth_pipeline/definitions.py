"""The code location: everything below `defs/`."""

import os
from pathlib import Path

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Return all recipes with their resources."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
