"""What a run may spend: caps on dollars and tokens, each for a scope, and money as whole numbers."""

import math
from dataclasses import dataclass

from pydantic import Field

from synth_pipeline.contracts.providers import Price
from synth_pipeline.contracts.space import Declared

NANO = 1_000_000_000  # nano-dollars a dollar: sums of whole numbers are exact, sums of floats are not
NANO_A_TOKEN = 1_000  # nano-dollars a token, at one dollar per million tokens


class Cap(Declared):
    """The most that a scope may spend; None: no cap. 0 buys nothing: what the ledger holds is all there is."""

    max_cost_usd: float | None = Field(None, ge=0)
    max_tokens: int | None = Field(None, ge=0)


class Budget(Declared):
    """What may be spent on a recipe: by one run, by one partition over all runs, by the recipe over all partitions."""

    run: Cap = Cap()
    partition: Cap = Cap()
    recipe: Cap = Cap()


@dataclass(frozen=True)
class Scope:
    """Something that spends and may be capped.

    Args:
        name: `run:<id>`, `partition:<recipe>|<provider>|<seed>` or `recipe:<recipe>`.
        cap: what it may spend.
    """

    name: str
    cap: Cap


@dataclass(frozen=True)
class Spender:
    """Who buys: what a purchase is booked under, and what may cap it.

    Args:
        run: the run's id.
        partition: `provider|seed`.
        recipe: the recipe's name.
        scopes: what it spends of; empty where nothing is capped or counted.
    """

    run: str
    partition: str
    recipe: str
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Tokens of a prompt and completion together, and nano-dollars: spent, reserved, or at worst."""

    nano_usd: int
    tokens: int

    @property
    def usd(self) -> float:
        """US dollars."""
        return self.nano_usd / NANO


def cost_of(price: Price, tokens_in: int, tokens_out: int) -> Cost:
    """Return what so many tokens cost, rounded up to whole nano-dollars."""
    nano = (tokens_in * price.usd_per_mtok_in + tokens_out * price.usd_per_mtok_out) * NANO_A_TOKEN
    return Cost(math.ceil(round(nano, 6)), tokens_in + tokens_out)
