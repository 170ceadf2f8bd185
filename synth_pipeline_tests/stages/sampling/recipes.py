"""Recipes for the laws of sampling: any axes and shares, with or without one constraint."""

from typing import Any

from hypothesis import strategies as st

from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline_tests.scenario import DECLARED

LETTERS = ("a", "b", "c")


def bare_recipe(axes: dict[str, dict[str, float]], constraints: list[dict[str, Any]] | None = None) -> Recipe:
    """Return a recipe of nothing but axes (value -> share) and constraints."""
    kept = {name: DECLARED[name] for name in ("description", "record", "panel")}
    declared = {name: {"source": "chosen", "values": values} for name, values in axes.items()}
    return Recipe.model_validate(
        {**kept, "label": next(iter(axes)), "axes": declared, "constraints": constraints or []}
    )


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    """An axis of one to six values whose shares sum to 1."""
    parts = draw(st.lists(st.integers(1, 50), min_size=1, max_size=6))
    return {f"v{index}": part / sum(parts) for index, part in enumerate(parts)}


@st.composite
def free_recipes(draw: st.DrawFn) -> Recipe:
    """A recipe of one to three axes without a constraint."""
    n_axes = draw(st.integers(1, 3))
    return bare_recipe({name: draw(shares()) for name in LETTERS[:n_axes]})


@st.composite
def constrained_recipes(draw: st.DrawFn) -> Recipe:
    """A recipe of three axes, two of which clash in some of their values."""
    axes = {name: draw(shares()) for name in LETTERS}
    forbid = {
        name: draw(st.lists(st.sampled_from(sorted(axes[name])), min_size=1, unique=True)) for name in LETTERS[:2]
    }
    return bare_recipe(axes, [{"forbid": forbid, "because": "they clash"}])
