"""What a purchase is booked under, and what caps it: the recipe's budget and the run's own caps."""

import dagster as dg
from pydantic import Field, ValidationError

from synth_pipeline.components.declaration import Declaration
from synth_pipeline.components.partitions import provider_of, seed_of
from synth_pipeline.contracts.errors import InputError
from synth_pipeline.contracts.spending import Budget, Cap, Scope, Spender

SPENDING_TAG = "synth/spending"  # runs that carry the same value of it spend as one


class SpendConfig(dg.Config):
    """What this run may spend, beside the recipe's own budget: the tighter of the two holds."""

    max_cost_usd: float | None = Field(
        None, description="US dollars that this run may spend; 0 buys nothing and answers from the call ledger alone."
    )
    max_tokens: int | None = Field(None, description="Tokens, of prompts and completions, that this run may buy.")


class WritingConfig(SpendConfig):
    """What this run may spend on records or twins, and whether it buys them through the provider's batch API."""

    batch: bool = Field(
        False,
        description="Buy through the provider's batch API: about half the price, an answer within a day. Its row must "
        "say `batch: true`. A run that is stopped goes on with its batches when it is started again.",
    )


def spender_of(context: dg.AssetExecutionContext, declaration: Declaration, config: SpendConfig) -> Spender:
    """Return who buys in this step: the run, or the group of runs that its tag names, for the partition.

    Raises:
        InputError: a cap is below 0 or no number.
    """
    run = context.run.tags.get(SPENDING_TAG) or context.run.run_id
    partition = f"{provider_of(context)}|{seed_of(context)}"
    return make_spender(declaration.name, partition, run, declaration.recipe.budget, read_cap(config))


def make_spender(recipe: str, partition: str, run: str, budget: Budget, cap: Cap | None = None) -> Spender:
    """Return who buys: a run for a partition of a recipe, each a scope with its cap.

    All three are scopes even where nothing caps them, so that a cap that is set later knows what has been spent.

    Args:
        recipe: the recipe's name.
        partition: `provider|seed`.
        run: the run's id.
        budget: the recipe's.
        cap: the run's own; it and the recipe's for a run hold both.
    """
    scopes = (
        Scope(f"run:{run}", tighter(budget.run, cap or Cap())),
        Scope(f"partition:{recipe}|{partition}", budget.partition),
        Scope(f"recipe:{recipe}", budget.recipe),
    )
    return Spender(run, partition, recipe, scopes)


def tighter(one: Cap, other: Cap) -> Cap:
    """Return the cap under which both hold."""
    costs = [cost for cost in (one.max_cost_usd, other.max_cost_usd) if cost is not None]
    tokens = [n for n in (one.max_tokens, other.max_tokens) if n is not None]
    return Cap(max_cost_usd=min(costs, default=None), max_tokens=min(tokens, default=None))


def read_cap(config: SpendConfig) -> Cap:
    """Return the run's own cap.

    Raises:
        InputError: it is below 0 or no number.
    """
    try:
        return Cap(max_cost_usd=config.max_cost_usd, max_tokens=config.max_tokens)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        what = f"{field} {first['input']}: {first['msg'][0].lower()}{first['msg'][1:]}"
        raise InputError(
            what, where="the run's configuration", fix=f"give {field} 0 or more, or leave it out for no cap"
        ) from None
