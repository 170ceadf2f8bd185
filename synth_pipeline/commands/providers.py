"""`synth providers`: who can answer, and what is missing."""

from typing import Any

from synth_pipeline.llm.providers import find_providers_file, load_providers, missing_variables


def list_providers() -> list[dict[str, Any]]:
    """Return one row a provider: name, family, the writer's model, how it is priced, what is missing."""
    rows = load_providers(find_providers_file()).values()
    return [
        {
            "name": row.name,
            "family": row.family,
            "writes with": row.model_for("write"),
            "price": "free" if row.free else "own" if row.prices else "LiteLLM's table",
            "ready": not missing_variables(row),
            "missing": missing_variables(row),
            "offline": row.offline,
        }
        for row in rows
    ]
