"""From counted calls to tokens, dollars and time: by what such calls have come to, else by assumption."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from synth_pipeline.contracts.providers import Price, Provider, Role
from synth_pipeline.contracts.spending import Cost, cost_of
from synth_pipeline.llm.estimating import Bulk, StandIn, Wanted
from synth_pipeline.llm.ledger.history import History
from synth_pipeline.llm.worst import CHARACTERS_A_TOKEN

NOTHING = Cost(0, 0)
MINUTE_S = 60.0
ASSUMED_SHARE = 0.5  # of max_tokens that a completion uses; chosen
ASSUMED_WAIT_S, ASSUMED_TOKENS_A_S = 0.5, 60.0  # until the first token, and from then on; chosen
BATCH_S = 86_400.0  # the window that OpenAI, Anthropic and Gemini document

FindHistory = Callable[[str, Role, str], History | None]  # recipe, role, model


@dataclass(frozen=True)
class Outlook:
    """What one call of a role and model comes to, its repair included where it needs one.

    Args:
        tokens_in_a_character: prompt tokens a character of the prompt.
        tokens_in_more: prompt tokens that each call has beside its prompt.
        tokens_out: completion tokens.
        characters_out: of one completion.
        ok_share: share of calls that end with a record.
        seconds: how long it takes.
        basis: how this is known.
    """

    tokens_in_a_character: float
    tokens_in_more: float
    tokens_out: float
    characters_out: float
    ok_share: float
    seconds: float
    basis: str


@dataclass(frozen=True)
class Forecast:
    """What one stage asks of one provider, and what the part that is not in the ledger will likely come to.

    Args:
        provider: who answers.
        stage: the role.
        model: the LiteLLM model.
        n_planned: calls that the plan makes.
        n_held: of those, the ones that the ledger answers for nothing.
        n_to_buy: the others.
        tokens_in: prompt tokens, expected.
        tokens_out: completion tokens, expected.
        expected: what it costs.
        worst: what its reservations come to: every byte of a prompt a token, every completion max_tokens long, every
            answer repaired once. A try that breaks off after the provider's work comes on top.
        seconds: time expected, from the slowest of latency, requests a minute and tokens a minute.
        basis: how the figures were had.
    """

    provider: str
    stage: Role
    model: str
    n_planned: int
    n_held: int
    n_to_buy: int
    tokens_in: int = 0
    tokens_out: int = 0
    expected: Cost = NOTHING
    worst: Cost = NOTHING
    seconds: float = 0.0
    basis: str = "everything is in the ledger"


def forecast(
    provider: Provider, wanted: Mapping[Role, Wanted], stand_ins: Mapping[Role, StandIn], find: FindHistory
) -> list[Forecast]:
    """Return one forecast for each role that was asked of a provider, in the order in which they were asked.

    Args:
        provider: who answers.
        wanted: what its dry run counted.
        stand_ins: what stood in the prompts for answers that are not bought yet.
        find: returns what calls of a recipe's role and a model have come to; None where nothing is known.
    """
    outlooks = {role: _look(one, find(one.recipe, role, one.model)) for role, one in wanted.items()}
    sources: dict[Role | None, _Source] = {
        role: _Source(stand_ins[role], wanted[role], outlooks[role]) for role in wanted if role in stand_ins
    }
    return [_forecast(provider, role, one, outlooks[role], sources) for role, one in wanted.items()]


def as_batch(stage: Forecast, *, listed: bool) -> Forecast:
    """Return the forecast of a stage that is bought in batches: it may take a day, and costs less where that is known.

    Args:
        stage: as it would be bought call by call.
        listed: whether the model's price in batches is known.
    """
    if not stage.n_to_buy:
        return stage
    price = "at the price of batches" if listed else "no price of batches is known, so the ordinary one is assumed"
    return replace(stage, seconds=BATCH_S, basis=f"{stage.basis}; {price}; a batch may take 24 hours")


def _look(wanted: Wanted, history: History | None) -> Outlook:
    if history is None:
        tokens_out = wanted.max_tokens * ASSUMED_SHARE
        return Outlook(
            tokens_in_a_character=1 / CHARACTERS_A_TOKEN,
            tokens_in_more=wanted.schema_characters / CHARACTERS_A_TOKEN,
            tokens_out=tokens_out,
            characters_out=tokens_out * CHARACTERS_A_TOKEN,
            ok_share=1.0,
            seconds=_assumed_s(tokens_out),
            basis=f"no history yet: {CHARACTERS_A_TOKEN} characters a token of prompt and schema, completions of half "
            f"of max_tokens, {ASSUMED_WAIT_S:g} s and {ASSUMED_TOKENS_A_S:g} tokens/s are assumed",
        )
    place = "of this role and model in other recipes" if history.elsewhere else "of this role and model"
    return Outlook(
        tokens_in_a_character=history.tokens_in / max(history.characters_in, 1),
        tokens_in_more=0.0,
        tokens_out=history.tokens_out / history.n_calls,
        characters_out=history.characters_out / history.n_completions,
        ok_share=history.ok_share,
        seconds=_seconds_a_call(history),
        basis=f"from the last {history.n_completions} completions {place} in the ledger",
    )


def _seconds_a_call(history: History) -> float:
    if history.seconds is not None:
        return history.seconds / history.n_calls
    return _assumed_s(history.tokens_out / history.n_completions) * history.n_completions / history.n_calls


def _assumed_s(tokens_out: float) -> float:
    return ASSUMED_WAIT_S + tokens_out / ASSUMED_TOKENS_A_S


@dataclass(frozen=True)
class _Source:
    """A role whose answers later prompts quote: what stands there now, and what will."""

    stand_in: StandIn
    wanted: Wanted
    outlook: Outlook

    @property
    def growth(self) -> float:
        """By how much longer than its stand-in an answer is expected to be, as a share of it."""
        return self.outlook.characters_out / len(self.stand_in.text) - 1

    @property
    def growth_at_worst(self) -> float:
        """The same for the longest answer that may come."""
        return max(0.0, self.wanted.max_tokens * CHARACTERS_A_TOKEN / len(self.stand_in.text) - 1)


def _forecast(
    provider: Provider, role: Role, wanted: Wanted, outlook: Outlook, sources: Mapping[Role | None, _Source]
) -> Forecast:
    n_to_buy = wanted.n_planned - wanted.n_held
    counted = Forecast(provider.name, role, wanted.model, wanted.n_planned, wanted.n_held, n_to_buy)
    price = wanted.price
    if price is None:  # nothing is to be bought
        return counted
    expected = [_expect(bulk, outlook, sources.get(quoted)) for quoted, bulk in wanted.to_buy.items()]
    worst = [_worst(bulk, price, sources.get(quoted)) for quoted, bulk in wanted.to_buy.items()]
    n, tokens_in, tokens_out = (sum(column) for column in zip(*expected, strict=True))
    return replace(
        counted,
        tokens_in=round(tokens_in),
        tokens_out=round(tokens_out),
        expected=cost_of(price, round(tokens_in), round(tokens_out)),
        worst=Cost(sum(one.nano_usd for one in worst), sum(one.tokens for one in worst)),
        seconds=_seconds(provider, n, outlook, sum(bulk.likely_tokens for bulk in wanted.to_buy.values())),
        basis=outlook.basis,
    )


def _expect(bulk: Bulk, outlook: Outlook, source: _Source | None) -> tuple[float, float, float]:
    """Return calls, prompt tokens and completion tokens to expect: only of what their sources were written for."""
    share, growth = (source.outlook.ok_share, source.growth) if source else (1.0, 0.0)
    characters = bulk.characters + bulk.quoted * growth
    n = bulk.n * share
    tokens_in = characters * share * outlook.tokens_in_a_character + n * outlook.tokens_in_more
    return n, tokens_in, n * outlook.tokens_out


def _worst(bulk: Bulk, price: Price, source: _Source | None) -> Cost:
    longer = round(bulk.quoted * source.growth_at_worst) if source else 0
    more = cost_of(price, 2 * longer, 0)  # in the first ask and in its repair
    return Cost(bulk.worst.nano_usd + more.nano_usd, bulk.worst.tokens + more.tokens)


def _seconds(provider: Provider, n: float, outlook: Outlook, likely_tokens: int) -> float:
    return max(
        n * outlook.seconds / provider.max_concurrency,
        n * MINUTE_S / provider.rpm if provider.rpm else 0.0,
        likely_tokens * MINUTE_S / provider.tpm if provider.tpm else 0.0,
    )
