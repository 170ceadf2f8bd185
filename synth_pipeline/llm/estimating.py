"""A dry run: a plan's calls are counted against the ledger, and nothing is sent, bought or kept."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from pydantic import ValidationError

from synth_pipeline.contracts.errors import RecipeError
from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.protocols import CallRequest, CallResult, Messages
from synth_pipeline.contracts.providers import Price, Provider, Role
from synth_pipeline.contracts.spending import Cost, cost_of
from synth_pipeline.llm.keys import key_of, schema_json
from synth_pipeline.llm.ledger import Ledger, LedgerEntry
from synth_pipeline.llm.offline import Grammar, OfflineRequest, Voice, answer, load_voices
from synth_pipeline.llm.parsing import parse_completion, repair_messages
from synth_pipeline.llm.provenance import provenance_of
from synth_pipeline.llm.providers import price_of
from synth_pipeline.llm.purchases import Purchase
from synth_pipeline.llm.worst import CHARACTERS_A_TOKEN, likely_tokens, worst_cost

BLOCK = 128  # requests whose keys are looked up together
STAND_IN = "terse"  # the voice whose answers stand in for what is not bought yet
READ_LATER = ("structure", "write")  # roles whose answers votes and later prompts are made of
COMPLAINT = 600  # characters that a repair adds around the answer that it complains of, at most

FindPrice = Callable[[Provider, Role], Price]


@dataclass
class Bulk:
    """Calls to buy, summed.

    Args:
        n: how many.
        characters: of their prompts.
        quoted: of those, the ones that stand for an answer that is not bought yet either.
        likely_tokens: what they count against tokens a minute.
        worst: what their reservations come to, one repair each included.
    """

    n: int = 0
    characters: int = 0
    quoted: int = 0
    likely_tokens: int = 0
    worst: Cost = field(default_factory=lambda: Cost(0, 0))


@dataclass
class Wanted:
    """What one role asks of one model.

    Args:
        model: the LiteLLM model.
        recipe: the recipe's name.
        max_tokens: most tokens of a completion.
        schema_characters: of the schema that goes with each prompt.
        n_planned: calls that the plan makes.
        n_held: calls whose completions the ledger holds already, repairs too.
        to_buy: the others, by the role whose answers their prompts quote; None: they quote none.
        price: what the model costs; known once something is to be bought.
    """

    model: str
    recipe: str
    max_tokens: int
    schema_characters: int
    n_planned: int = 0
    n_held: int = 0
    to_buy: dict[Role | None, Bulk] = field(default_factory=dict)
    price: Price | None = None


@dataclass(frozen=True)
class StandIn:
    """An answer in the shape of a role's record: as canonical JSON, and its longest text as it stands in there."""

    text: str
    longest: str


class StandIns:
    """Answers that stand in for what is not bought yet: one a role, by an offline voice; only their shape is read.

    Args:
        grammars: by recipe; a recipe without one gets the generic grammar.
    """

    def __init__(self, grammars: Mapping[str, Grammar]) -> None:
        self._grammars = grammars
        self.by_role: dict[Role, StandIn] = {}

    def value_for(self, request: CallRequest) -> Mapping[str, object]:
        """Return the role's stand-in.

        Raises:
            RecipeError: the voice finds no answer that fits the record.
        """
        if request.role not in self.by_role:
            text = _answered(request, load_voices()[STAND_IN].without_faults(), self._grammars)
            texts = (canonical_json(value)[1:-1] for value in json.loads(text).values() if isinstance(value, str))
            self.by_role[request.role] = StandIn(text, max(texts, key=len, default=""))
        value: dict[str, object] = json.loads(self.by_role[request.role].text)
        return value

    def quoted_in(self, messages: Messages) -> tuple[Role | None, int]:
        """Return whose stand-in a prompt quotes, and with how many characters; (None, 0) where it quotes none."""
        for role, stand_in in self.by_role.items():
            for quote in (stand_in.text, stand_in.longest):
                if quote and any(quote in message["content"] for message in messages):
                    return role, len(quote)
        return None, 0


def _answered(request: CallRequest, voice: Voice, grammars: Mapping[str, Grammar]) -> str:
    schema = json.loads(schema_json(request.schema_name, request.record_class))
    shape = {"response_format": {"json_schema": schema}, "seed": request.seed}
    text = answer(OfflineRequest.from_params(request.messages, shape), voice, grammars).text
    try:
        return canonical_json(request.record_class.model_validate_json(text).model_dump(mode="json"))
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecipeError(
            f"the offline stand-in finds nothing for {'.'.join(map(str, fault['loc']))}: {fault['msg']}",
            where=request.schema_name,
            fix="loosen the field's limits, or give the recipe a grammar.yaml that fills it",
        ) from None


class DryCompleter:
    """Completes prompts for nothing: from the ledger what it holds, with a counted stand-in what it does not.

    Args:
        provider: who would answer; its key need not be there.
        ledger: what is bought already; None: nothing is.
        stand_ins: what is answered in place of what would be bought.
        find_price: returns what a role's model costs.
    """

    def __init__(
        self, provider: Provider, ledger: Ledger | None, stand_ins: StandIns, find_price: FindPrice | None = None
    ) -> None:
        self._row, self._ledger, self._stand_ins = provider, ledger, stand_ins
        self._find_price = find_price or _ordinary_price
        self.wanted: dict[Role, Wanted] = {}

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._row.name

    def __call__(self, requests: Iterable[CallRequest], total: int) -> Iterator[CallResult]:
        """Yield one result a request, in the requests' order.

        Raises:
            ProviderError: something would have to be bought, and the model's price is not known.
            RecipeError: the voice finds no answer that fits the record.
            StorageError: the ledger cannot be read.
        """
        left = iter(requests)
        while block := list(islice(left, BLOCK)):
            keys = [key_of(self._row, request, 0) for request in block]
            held = self._find(keys)
            for request, key in zip(block, keys, strict=True):
                self._wanted(request).n_planned += 1
                yield self._replay(request, held[key]) if key in held else self._count(request, request.messages, [])

    def _find(self, keys: list[str]) -> Mapping[str, LedgerEntry]:
        return self._ledger.find(keys) if self._ledger else {}

    def _replay(self, request: CallRequest, entry: LedgerEntry) -> CallResult:
        """Return what the kept completion holds, or its repair, which may have to be bought."""
        entries, parsed = [entry], parse_completion(entry, request.record_class)
        if parsed.state == "unparsable":
            key = key_of(self._row, request, 1)
            repair = self._find([key]).get(key)
            if repair is None:
                return self._count(request, repair_messages(request.messages, entry.content, parsed.reason), entries)
            entries, parsed = [entry, repair], parse_completion(repair, request.record_class)
        self._wanted(request).n_held += 1
        provenance = provenance_of(self._row, request, entries)
        return CallResult(request.sample, parsed.state, parsed.reason, parsed.value, provenance)

    def _count(self, request: CallRequest, messages: Messages, entries: list[LedgerEntry]) -> CallResult:
        """Count a call that would be bought, and return its stand-in."""
        role, quoted = self._stand_ins.quoted_in(messages)
        wanted = self._wanted(request)
        wanted.price = wanted.price or self._find_price(self._row, request.role)
        bulk = wanted.to_buy.setdefault(role, Bulk())
        purchase = Purchase(request, messages, "", len(entries), wanted.price)
        bulk.n += 1
        bulk.characters += sum(len(message["content"]) for message in messages)
        bulk.quoted += quoted
        bulk.likely_tokens += likely_tokens(purchase)
        bulk.worst = _sum(bulk.worst, _worst(purchase))
        provenance = provenance_of(self._row, request, entries)
        if request.role not in READ_LATER:
            return CallResult(request.sample, "out_of_budget", "a dry run buys nothing", None, provenance)
        return CallResult(request.sample, "ok", None, self._stand_ins.value_for(request), provenance)

    def _wanted(self, request: CallRequest) -> Wanted:
        if request.role not in self.wanted:
            n_schema = len(schema_json(request.schema_name, request.record_class))
            recipe, model = request.schema_name.rpartition("__")[0], self._row.model_for(request.role)
            self.wanted[request.role] = Wanted(model, recipe, request.max_tokens, n_schema)
        return self.wanted[request.role]


def _worst(purchase: Purchase) -> Cost:
    """Return what is reserved for a call, and for a repair of the longest answer where one may follow."""
    first, longest = worst_cost(purchase), purchase.request.max_tokens
    if purchase.attempt:
        return first
    repair_in = first.tokens - longest + longest * CHARACTERS_A_TOKEN + COMPLAINT
    return _sum(first, cost_of(purchase.price, repair_in, longest))


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(one.nano_usd + other.nano_usd, one.tokens + other.tokens)


def _ordinary_price(provider: Provider, role: Role) -> Price:
    return price_of(provider, provider.model_for(role))
