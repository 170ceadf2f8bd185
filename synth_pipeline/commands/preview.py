"""`synth preview`: a few records, shown and not kept in any table."""

import os
from typing import Any
from uuid import uuid4

from synth_pipeline.components.budgets import make_spender
from synth_pipeline.components.declaration import load_declaration
from synth_pipeline.components.models import Models
from synth_pipeline.components.places import find_places, find_project_folder
from synth_pipeline.components.progress import LogProgress
from synth_pipeline.components.reference import load_reference
from synth_pipeline.llm.providers import find_provider

MEMORY_LEDGER = "sqlite://"


def preview_recipe(recipe: str, provider: str, *, seed: int, n: int) -> list[dict[str, Any]]:
    """Return `n` records as the provider would write them, each with its end and reasons; no table is written.

    Raises:
        InputError: the recipe, the provider or its key is wrong.
    """
    os.chdir(find_project_folder())
    declaration = load_declaration(recipe)
    row = find_provider(declaration.providers, provider)
    ledger_url = MEMORY_LEDGER if row.free else find_places().ledger_url
    silent = LogProgress(lambda _line: None)
    kind = declaration.kind
    plan = kind.sampling_plan(provider=provider, seed=seed, n=n)
    spender = make_spender(recipe, f"{provider}|{seed}", f"preview-{uuid4().hex}", declaration.recipe.budget)
    with Models(ledger_url=ledger_url).completers(declaration, [provider], silent, spender=spender) as completers:
        raw = kind.raw_generations(plan, completers[0])
        variants = kind.flawed_variants(raw, plan, completers[0])
    validated = kind.validated_set(raw, variants, plan, load_reference(declaration).frame)
    return validated.select("planned_id", "label", "flaw", "state", "offline", "text", "reasons").to_dicts()
