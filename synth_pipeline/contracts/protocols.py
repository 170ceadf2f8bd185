"""What a stage is handed: something that completes prompts, and templates that make them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from synth_pipeline.contracts.providers import Role
from synth_pipeline.contracts.records import Record

State = Literal["ok", "refused", "cut_off", "unparsable", "failed"]
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


class Progress(Protocol):
    """Is told how far a long stage has come."""

    def start(self, total: int, label: str) -> None:
        """Begin: `total` calls under `label`."""

    def advance(self, *, cost_usd: float, n_replayed: int) -> None:
        """One more call has ended; dollars spent so far, and completions that the ledger already held."""

    def finish(self) -> None:
        """The calls have ended."""


class Completer(Protocol):
    """Completes prompts with one provider; every completion is in the call ledger before it is parsed."""

    @property
    def provider(self) -> str:
        """The provider's name."""

    def __call__(self, requests: Sequence[CallRequest]) -> list[CallResult]:
        """Return one result a request, in the requests' order.

        Raises:
            PermanentCallError: the provider refuses every call (a bad key or model), so that going on is pointless.
        """
