"""What commands refuse before they begin."""

from synth_pipeline.components.declaration import list_recipes, load_declaration
from synth_pipeline.components.partitions import count_seeds
from synth_pipeline.contracts.errors import InputError


def require_sound_recipes() -> None:
    """Refuse a recipe that does not hold: the code location holds all of them, and would fail with a stack trace.

    Raises:
        InputError: names file, line, field and fix.
    """
    for name in list_recipes():
        load_declaration(name)


def require_seed(seed: int) -> None:
    """Refuse a seed that is no partition.

    Raises:
        InputError: says how many there are.
    """
    if seed >= count_seeds():
        raise InputError(
            f"seed {seed} is no partition; there are {count_seeds()}", where="--seed", fix="raise SYNTH_SEEDS"
        )
