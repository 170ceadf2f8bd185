"""The code location: everything below `defs/`."""

import os
import warnings
from pathlib import Path

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")

import dagster as dg

# raised by Dagster against its own code for every check of several; nothing that a user can mend
warnings.filterwarnings("ignore", ".*`execution_type`", dg.BetaWarning)


@dg.definitions
def defs() -> dg.Definitions:
    """Return all recipes with their resources."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
