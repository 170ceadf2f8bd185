"""What a server answers to one request: a completion or embeddings, in a provider's format, with a fault or without."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from synth_pipeline.contracts.identity import digest
from synth_pipeline.llm.offline import Grammar, OfflineRequest, answer, find_voice, load_voices
from synth_pipeline.llm.offline.answer import estimate_tokens
from synth_pipeline_tests.loopback.dialects import OPENAI, Ask, Dialect
from synth_pipeline_tests.loopback.dials import Dials
from synth_pipeline_tests.loopback.embeddings import count_tokens, read_input, write_embeddings
from synth_pipeline_tests.loopback.faults import (
    ASK_TO_WAIT,
    BROKEN,
    FAULTS,
    SPOILT,
    TURNED_AWAY,
    Completion,
    Json,
    Reply,
    TurnedAway,
)

JSON_BODY = {"Content-Type": "application/json"}
NO_COMPLETION = FAULTS - set(SPOILT)
NOT_TO_BE_READ = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Author:
    """Who writes the completions.

    Args:
        voice: answers for models that are no voice themselves.
        grammars: by recipe; a recipe without one gets the generic grammar.
    """

    voice: str
    grammars: Mapping[str, Grammar]

    def complete(self, ask: Ask, dials: Dials) -> Completion:
        """Return the sound completion: what the dials say, or what the voice writes."""
        request = ask.for_voice()
        if dials.content is not None:
            n_in, n_out = estimate_tokens(request.prompt_chars), estimate_tokens(len(dials.content))
            return Completion(dials.content, "stop", n_in, n_out)
        return self._write(ask.model, request, dials)

    def _write(self, model: str, request: OfflineRequest, dials: Dials) -> Completion:
        voices = load_voices()
        voice = find_voice(model if model in voices else self.voice, voices)
        given = answer(request, voice if dials.voice_faults else voice.without_faults(), self.grammars)
        return Completion(given.text, given.finish_reason, given.prompt_tokens, given.completion_tokens)


@dataclass(frozen=True)
class Produced:
    """A reply, and the tokens that it is billed by."""

    reply: Reply
    tokens_in: int = 0
    tokens_out: int = 0


class Job(Protocol):
    """One request that can be answered."""

    @property
    def identity(self) -> str:
        """Equal for requests that ask the same."""

    @property
    def possible(self) -> frozenset[str]:
        """The faults that it may meet."""

    @property
    def most_tokens(self) -> int:
        """The tokens that count towards a limit."""

    def produce(self, dials: Dials, fault: str | None, name: str) -> Produced:
        """Return the answer with id `name`, as a fault that is no error leaves it."""


@dataclass(frozen=True)
class Completing:
    """A request for a completion."""

    author: Author
    dialect: Dialect
    ask: Ask
    possible: frozenset[str] = FAULTS

    @property
    def identity(self) -> str:
        """Equal for equal model, messages and seed."""
        return self.ask.identity

    @property
    def most_tokens(self) -> int:
        """The prompt's tokens and `max_tokens`."""
        return self.ask.most_tokens

    def produce(self, dials: Dials, fault: str | None, name: str) -> Produced:
        """Return the completion."""
        completion = self.author.complete(self.ask, dials)
        if fault in SPOILT:
            completion = SPOILT[fault](completion)
        reply = json_reply(self.dialect.write(self.ask, completion, name))
        return Produced(break_off(reply, fault), completion.tokens_in, completion.tokens_out)


@dataclass(frozen=True)
class Embedding:
    """A request for embeddings."""

    body: Json
    texts: Sequence[str]
    possible: frozenset[str] = NO_COMPLETION

    @classmethod
    def read(cls, body: Json) -> "Embedding":
        """Return the request that OpenAI's body makes."""
        return cls({**body, "model": str(body["model"])}, read_input(body))

    @property
    def identity(self) -> str:
        """Equal for equal model and texts."""
        return digest(self.body["model"], list(self.texts))

    @property
    def most_tokens(self) -> int:
        """The texts' tokens."""
        return count_tokens(self.texts)

    def produce(self, dials: Dials, fault: str | None, name: str) -> Produced:
        """Return the embeddings."""
        reply = json_reply(write_embeddings(self.body, self.texts))
        return Produced(break_off(reply, fault), self.most_tokens)


def read_openai_job(author: Author, url: str, body: Json) -> Job:
    """Return the request to OpenAI's endpoint `url` that the body makes.

    Raises:
        ValueError: it makes none (also AttributeError, KeyError, TypeError), or there is no such endpoint.
    """
    if url == "/v1/chat/completions":
        return Completing(author, OPENAI, OPENAI.read(body, ""))
    if url == "/v1/embeddings":
        return Embedding.read(body)
    raise ValueError(f"no endpoint is at {url!r}")


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return `body` as JSON; half characters are escaped, as JSON may."""
    return Reply(status, json.dumps(body).encode(), {**JSON_BODY, **(headers or {})})


def break_off(reply: Reply, fault: str | None) -> Reply:
    """Return the reply as the fault lets it arrive."""
    return BROKEN[fault](reply) if fault in BROKEN else reply


def turn_away(dialect: Dialect, refused: TurnedAway, dials: Dials, key: str | None = None) -> Reply:
    """Return an error; it repeats the key where it may, and asks to wait where its status may."""
    headers = dials.ask_to_wait() if refused.status in ASK_TO_WAIT else {}
    body = dialect.refuse(refused, refused.text.replace("{key}", key or "nothing"))
    return json_reply(body, refused.status, headers)


def error_of(fault: str | None) -> TurnedAway | None:
    """Return the error that the fault is; None where it is none."""
    return TURNED_AWAY.get(fault or "")
