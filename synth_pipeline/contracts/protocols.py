"""What a stage is handed: something that completes prompts, and templates that make them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from synth_pipeline.contracts.providers import Role
from synth_pipeline.contracts.records import Record

CompletionState = Literal["ok", "refused", "cut_off", "unparsable"]  # what a completion that came is
State = Literal[CompletionState, "failed", "out_of_budget"]  # how a call ends; in the last two no completion came
Messages = tuple[Mapping[str, str], ...]


class Template(Protocol):
    """Text with holes, with the version that its front matter states."""

    @property
    def path(self) -> str:
        """The template's path below prompts/."""

    @property
    def version(self) -> str:
        """The version in its front matter."""

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes."""

    def render(self, values: Mapping[str, object]) -> Messages:
        """Return the prompt: the template with its holes filled."""


@dataclass(frozen=True)
class CallRequest:
    """One structured call to a model.

    Args:
        role: what the model is asked to do.
        sample: sample identity: what the answer is for.
        messages: the prompt.
        record_class: the pydantic class that the completion must parse into.
        schema_name: its name towards the provider, `recipe__role`.
        template: the template that the prompt came from.
        temperature: sampling temperature.
        max_tokens: most tokens that the completion may have.
        seed: sampling seed, for providers that take one.
    """

    role: Role
    sample: str
    messages: Messages
    record_class: type[Record]
    schema_name: str
    template: Template
    temperature: float
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class CallResult:
    """What became of a call: a parsed value, or the state and reason why there is none.

    `provenance` holds the PROVENANCE columns of the tables.
    """

    sample: str
    state: State
    reason: str | None
    value: Mapping[str, object] | None
    provenance: Mapping[str, object] = field(default_factory=dict)


@dataclass
class Tally:
    """How far a completer has come, counted as it goes; costs are of what is bought now.

    Args:
        total: calls that are wanted.
        done: calls that have ended, from the ledger or bought.
        n_bought: completions bought now, repairs too.
        n_replayed: completions that the ledger already held.
        in_flight: calls that a provider is working on.
        cost_usd: dollars spent now.
        tokens_in: prompt tokens bought now.
        tokens_out: completion tokens bought now.
        retries: tries that failed and were made again, by fault.
        states: calls that have ended, by state.
        notice: what a person should know just now (a paused provider, a budget reached); None: nothing.
    """

    total: int = 0
    done: int = 0
    n_bought: int = 0
    n_replayed: int = 0
    in_flight: int = 0
    cost_usd: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    notice: str | None = None


class Progress(Protocol):
    """Is shown how far a long stage has come."""

    def start(self, label: str, tally: Tally) -> None:
        """Begin: calls under `label`; the tally is the same object in every later call."""

    def update(self, tally: Tally) -> None:
        """Something has changed; called often, so it must be cheap and show itself only now and then."""

    def finish(self, tally: Tally) -> None:
        """The calls have ended, or were stopped."""


class Completer(Protocol):
    """Completes prompts with one provider; every completion is in the call ledger before it is parsed."""

    @property
    def provider(self) -> str:
        """The provider's name."""

    def __call__(self, requests: Iterable[CallRequest], total: int) -> Iterator[CallResult]:
        """Yield one result a request, in the requests' order, reading ahead of them by a bounded number.

        Args:
            requests: what to ask; made as they are taken, so that no more than a window of prompts is held.
            total: how many there are.

        Raises:
            PermanentCallError: the provider refuses every call (a bad key or model), so that going on is pointless.
            ProviderDown: the provider has answered nothing for too long.
        """
