"""The lines of a batch's files: calls as the provider takes them, and answers as it gives them."""

import json
from collections.abc import Sequence
from typing import Any

from synth_pipeline.contracts.errors import CallError, ProviderError
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.llm.purchases import Answer, Purchase
from synth_pipeline.llm.routes.choosing import why_not
from synth_pipeline.llm.routes.dialects import DIALECTS, Dialect, reason_of, unexpected
from synth_pipeline.llm.routes.direct import OK, make_dialect
from synth_pipeline.llm.routes.errors import Place, Reply
from synth_pipeline.llm.routes.faults import in_our_words
from synth_pipeline.llm.routes.forms import Forms, Notice
from synth_pipeline.llm.routes.reading import WholeReply, read_answer
from synth_pipeline.llm.routes.structured import Structure, split_model

Json = dict[str, Any]
PATH = "/chat/completions"
ENDPOINT = f"/v1{PATH}"
WITHOUT = "set batch: false in the row, or run without --batch"


def require_row(provider: Provider) -> None:
    """Refuse a provider whose row does not say that it may be asked through its batch API.

    Raises:
        ProviderError: says so.
    """
    if not provider.batch:
        raise ProviderError(
            f"row {provider.name!r} does not say that its batch API may be used",
            where="providers.yaml",
            fix="set batch: true in the row, or run without --batch",
        )


def find_dialect(provider: Provider, model: str) -> Dialect:
    """Return how `model` is asked in a batch: as a call is, through endpoints like OpenAI's.

    Raises:
        ProviderError: LiteLLM knows no such endpoints of its provider, or is not as known.
    """
    family, _ = split_model(model)
    try:
        from litellm.types.utils import OPENAI_COMPATIBLE_BATCH_AND_FILES_PROVIDERS

        able = sorted(OPENAI_COMPATIBLE_BATCH_AND_FILES_PROVIDERS & set(DIALECTS))
        reason = why_not(family) if family in able else f"only models of {' and '.join(able)} can be asked in batches"
        dialect = None if reason else make_dialect(provider, model)
    except unexpected() as error:
        dialect, reason = None, reason_of(error)
    if dialect is None:
        raise ProviderError(f"row {provider.name!r}, model {model}: {reason}", where="providers.yaml", fix=WITHOUT)
    return dialect


class Lines:
    """Writes and reads the lines of batches to one model.

    Args:
        provider: the row.
        model: the LiteLLM model.
        notice: told of a shape of call that cannot be written.

    Raises:
        ProviderError: the model cannot be asked in batches.
    """

    def __init__(self, provider: Provider, model: str, notice: Notice) -> None:
        self.place = Place(provider, model)
        self._dialect = find_dialect(provider, model)
        self._structure = Structure(provider, model)
        self._forms = Forms(self._dialect, self._structure, notice)

    @property
    def address(self) -> tuple[str, dict[str, str]]:
        """The address of the provider's endpoints, and the headers that its requests need, without the body's kind."""
        headers = {name: value for name, value in self._dialect.headers({}).items() if name.lower() != "content-type"}
        return self._dialect.url({}).removesuffix(PATH), headers

    def write(self, purchase: Purchase) -> bytes | None:
        """Return the line that asks what a call would; None where LiteLLM's transforms cannot make it."""
        form = self._forms.find(purchase)
        if form is None:
            return None
        body = self._dialect.body(self._structure.messages(purchase), form.options_for(purchase.request.seed))
        line = {"custom_id": purchase.key, "method": "POST", "url": ENDPOINT, "body": body}
        return json.dumps(line).encode() + b"\n"

    def read(self, line: Json, messages: list[dict[str, str]]) -> Answer | CallError:
        """Return what a line brings: an answer, as a call's response would, or the error that it stands for.

        Args:
            line: of an output or error file.
            messages: the prompt.
        """
        response = line.get("response")
        if not isinstance(response, dict):
            return self._error_of(line.get("error"))
        reply = _reply_in(response)
        if reply.status not in OK:
            return self.place.refusal(reply) or self.place.error(reply)
        whole = WholeReply(reply.status, reply.headers, reply.body.encode())
        try:
            return read_answer(self._dialect.read(whole, messages, {}), whole.headers)
        except Exception as error:  # noqa: BLE001  # LiteLLM raises bare Exception for a body that is no completion
            return in_our_words(error, self.place)

    def _error_of(self, error: Any) -> CallError:
        """Return the error of a call that was not made, such as one that the batch was too slow for."""
        told = error if isinstance(error, dict) else {}
        said = f"{told.get('code') or 'not answered'}: {told.get('message') or 'the provider does not say why'}"
        return self.place.broken("timeout", said, may_be_billed=False)


def read_lines(texts: Sequence[bytes]) -> list[tuple[str, Json]]:
    """Return the lines that can be told apart, each with its call key; what is no line is left out."""
    found = []
    for text in texts:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("custom_id"), str):
            found.append((line["custom_id"], line))
    return found


def _reply_in(response: Json) -> Reply:
    body, named, status = response.get("body"), response.get("request_id"), response.get("status_code")
    text = body if isinstance(body, str) else json.dumps(body)
    return Reply(status if isinstance(status, int) else 200, {"x-request-id": named} if named else {}, text)
