"""`synth status`: what is materialized, stale and pending, and what was spent."""

import os
from typing import Any

from synth_pipeline.commands.ledger import read_spending
from synth_pipeline.commands.requirements import require_sound_recipes
from synth_pipeline.components.declaration import list_recipes, load_declaration
from synth_pipeline.components.places import find_places, find_project_folder
from synth_pipeline.components.runs import project_instance
from synth_pipeline.components.status import list_statuses
from synth_pipeline.components.store import DuckDBStore
from synth_pipeline.components.summary import CHAIN, read_funnel
from synth_pipeline.definitions import defs as code_location


def read_status(recipe: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return what is materialized, stale and pending by partition, and what was spent by role and provider.

    Raises:
        RecipeError: no recipe has that name.
    """
    os.chdir(find_project_folder())
    recipes = [load_declaration(recipe).name] if recipe else list_recipes()
    require_sound_recipes()
    store = DuckDBStore(database=find_places().database)
    partitions: list[dict[str, Any]] = []
    with project_instance() as instance:
        definitions = code_location()
        for name in recipes:
            for one in list_statuses(name, definitions, instance):
                provider, seed = one.partition.split("|")
                partitions.append(
                    {
                        "recipe": name,
                        "partition": one.partition,
                        "materialized": f"{len(one.made)}/{len(CHAIN)}",
                        "stale": list(one.stale),
                        "pending": list(one.pending),
                        "flagged": read_funnel(store, name, provider, int(seed)).flagged,
                    }
                )
    spent = read_spending()
    kept = [dict(row) for row in spent if recipe is None or str(row["recipe_role"]).startswith(f"{recipe}__")]
    return {"partitions": partitions, "spent": kept}
