"""The answer of a voice to a request: a pure function, so that any server or client may carry it."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.offline.composer import compose
from synth_pipeline.llm.offline.edits import accept_candidates, damage_source
from synth_pipeline.llm.offline.expander import Expander, Hand, MissingValue, Streams
from synth_pipeline.llm.offline.faults import (
    cut_text,
    draw_faults,
    number_pattern,
    refuse,
    spoil_record,
    spoil_text,
)
from synth_pipeline.llm.offline.filters import as_text
from synth_pipeline.llm.offline.generic import Filler
from synth_pipeline.llm.offline.grammar import Grammar
from synth_pipeline.llm.offline.json_schema import resolve
from synth_pipeline.llm.offline.prompt import OfflineRequest
from synth_pipeline.llm.offline.style import style_text
from synth_pipeline.llm.offline.voices import Voice

FinishReason = Literal["stop", "length"]
CHARS_PER_TOKEN = 4
N_STOCK = 3
UNIQUE_TRIES = 5


@dataclass(frozen=True)
class OfflineAnswer:
    """What a voice answers.

    Args:
        text: the completion.
        finish_reason: `stop`, or `length` where it was cut off.
        prompt_tokens: an estimate, characters by four.
        completion_tokens: an estimate, characters by four.
        faults: the faults that its dials drew.
        latency_s: how long the answer takes, in seconds.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    faults: frozenset[str]
    latency_s: float

    @property
    def rate_limited(self) -> bool:
        """Whether the first ask is to be turned away; the same request asked again is answered."""
        return "rate_limit" in self.faults


def answer(request: OfflineRequest, voice: Voice, grammars: Mapping[str, Grammar]) -> OfflineAnswer:
    """Return what `voice` answers to `request`: the same request, the same answer, byte for byte.

    Args:
        request: the call.
        voice: who answers; its dials say how often it errs.
        grammars: by recipe; a recipe without one gets the generic grammar.
    """
    faults = draw_faults(voice.dials, voice.name, request.fingerprint)
    text, finish = _complete(request, voice, grammars.get(request.recipe), faults)
    tokens = (estimate_tokens(request.prompt_chars), estimate_tokens(len(text)))
    return OfflineAnswer(text, finish, *tokens, faults, voice.dials.latency_s)


def estimate_tokens(n_chars: int) -> int:
    """Return how many tokens `n_chars` characters make, at four a token."""
    return -(-n_chars // CHARS_PER_TOKEN)


def _complete(
    request: OfflineRequest, voice: Voice, grammar: Grammar | None, faults: frozenset[str]
) -> tuple[str, FinishReason]:
    rng = rng_for("offline-spoil", voice.name, request.fingerprint)
    if "refusal" in faults:
        return refuse(rng), "stop"
    text = json.dumps(_record(request, voice, grammar, faults), ensure_ascii=False)
    return _limit(spoil_text(text, rng) if "malformed_json" in faults else text, request, faults, rng)


def _limit(text: str, request: OfflineRequest, faults: frozenset[str], rng: random.Random) -> tuple[str, FinishReason]:
    if "cut_off" in faults:
        return cut_text(text, rng), "length"
    if request.max_tokens and estimate_tokens(len(text)) > request.max_tokens:
        return text[: request.max_tokens * CHARS_PER_TOKEN], "length"
    return text, "stop"


def _record(request: OfflineRequest, voice: Voice, grammar: Grammar | None, faults: frozenset[str]) -> Any:
    given = request.given
    hand = _hand(request, voice, stock="near_duplicate" in faults)
    if request.role == "flaw" and isinstance(given.get("source"), dict):
        return _in_schema(damage_source(given), request, hand, voice)
    if request.role == "structure" and isinstance(given.get("candidates"), list):
        name = next(iter(resolve(request.schema, request.schema).get("properties", {"values": {}})))
        return {name: accept_candidates(given, voice.name, voice.dials.accept)}
    if request.role != "write" or grammar is None:
        return Filler(request.schema, given, hand, voice.name).record()
    written = _write(request, voice, grammar, hand)
    record = _in_schema(written, request, hand, voice)
    return spoil_record(record, faults, rng_for("offline-record", voice.name, request.fingerprint))


def _in_schema(written: Mapping[str, Any], request: OfflineRequest, hand: Hand, voice: Voice) -> dict[str, Any]:
    filler = Filler(request.schema, request.given, hand, voice.name)
    properties = resolve(request.schema, request.schema).get("properties", {})
    return {name: written[name] if name in written else filler.field(name, sub) for name, sub in properties.items()}


def _write(request: OfflineRequest, voice: Voice, grammar: Grammar, hand: Hand) -> dict[str, Any]:
    for attempt in range(UNIQUE_TRIES):
        tried = _hand(request, voice, stock=hand.stock, attempt=attempt)
        written, is_unique = _try_to_write(request, voice, grammar, tried)
        if is_unique:
            break
    return written


def _try_to_write(request: OfflineRequest, voice: Voice, grammar: Grammar, hand: Hand) -> tuple[dict[str, Any], bool]:
    given = request.given
    expander = Expander(grammar.rules_of(voice.name), frozenset(grammar.spec.once), given, hand)
    written: dict[str, Any] = {}
    is_unique = True
    for name, composition in grammar.compositions.items():
        kept = [as_text(value) for value in given.values() if isinstance(value, str)]
        parts = compose(composition, expander, name)
        written[name] = style_text(parts, voice, kept, hand.streams("style"))
        is_unique = is_unique and _states_once(written[name], grammar, given)
    for name, templates in grammar.lists.items():
        written[name] = list(dict.fromkeys(t for template in templates if (t := _render(expander, template))))
    for name, template in grammar.templates.items():
        written[name] = _render(expander, template)
    return {name: value for name, value in written.items() if value}, is_unique


def _render(expander: Expander, template: Any) -> str:
    try:
        return expander.render(template, "field")
    except MissingValue:
        return ""


def _states_once(text: str, grammar: Grammar, given: Mapping[str, Any]) -> bool:
    values = [given[name] for name in grammar.spec.unique if given.get(name) is not None]
    return all(len(number_pattern(as_text(value)).findall(text)) == 1 for value in values)


def _hand(request: OfflineRequest, voice: Voice, *, stock: bool, attempt: int = 0) -> Hand:
    if stock:
        return Hand(_stock_streams(request, voice), voice.numbers, stock=True)
    rng = rng_for("offline", voice.name, request.fingerprint, attempt)
    return Hand(lambda _name: rng, voice.numbers)


def _stock_streams(request: OfflineRequest, voice: Voice) -> Streams:
    """A stream for each rule that depends on one of a few stock texts, not on what is given."""
    shelf = rng_for("offline-shelf", voice.name, request.fingerprint).randrange(N_STOCK)

    @cache
    def stream(name: str) -> random.Random:
        return rng_for("offline-stock", voice.name, request.schema_name, shelf, name)

    return stream
