"""A completion is a record or a state with a reason; a spoilt one is asked for again, with the reason."""

import re
from typing import Protocol

from synth_pipeline.contracts.protocols import Messages
from synth_pipeline.contracts.records import Record
from synth_pipeline.llm.parsing.extraction import Reading, UnreadableJson, find_json, read_json
from synth_pipeline.llm.parsing.record import Parsed, judge, no_record, whole_text

CUT_OFF = frozenset({"length", "max_tokens", "model_context_window_exceeded"})
FILTERED = frozenset({"content_filter", "refusal"})
NO_CHOICES = "no_choices"
LONGEST_ECHO, LONGEST_OPENING = 20_000, 300

I_AM = r"i(?:\ am|['’]?m)"
POLITELY = r"(?:(?:respectfully|politely|also|really|very|so|truly|deeply)\s+)?"
REFUSAL = re.compile(
    rf"""
    [\W_]* (?:(?:unfortunately|regrettably|no|well|thank\ you[^.!\n]*)[,.!]?\s+)?
    (?: {I_AM}\ {POLITELY}(?:sorry|afraid|unable|not\ (?:able|allowed|permitted|willing|comfortable))
      | sorry\b | (?:my\ (?:sincere\ )?)?apologies\b | i\ {POLITELY}apologi[sz]e
      | i\ (?:can\ ?not|can['’]?t|won['’]?t|will\ not|could\ not|couldn['’]t|should\ not|shouldn['’]t)\b
      | i\ (?:(?:must|have\ to|need\ to|will|would)\ )?{POLITELY}(?:decline|refuse)\b
      | i(?:['’]d|\ would)\ rather\ not\b | i\ do(?:\ not|n['’]t)\ feel\ comfortable
      | as\ an?\ (?:ai|artificial\ intelligence|(?:large\ )?language\ model)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)


class Completion(Protocol):
    """What a provider answered: an answer fresh from a route, or one out of the ledger."""

    @property
    def content(self) -> str | None:
        """The text; None where there is none."""

    @property
    def refusal(self) -> str | None:
        """What the provider says when it declines; None where it does not."""

    @property
    def finish_reason(self) -> str | None:
        """Why it ended there, in the provider's word."""

    @property
    def tokens_out(self) -> int:
        """Completion tokens billed."""


def parse_completion(answer: Completion, record_class: type[Record]) -> Parsed:
    """Return what the completion holds. An error is never data: no partial value comes back."""
    if answer.finish_reason in CUT_OFF:
        return no_record("cut_off", f"the answer was cut off after {answer.tokens_out} tokens; raise max_tokens")
    if answer.finish_reason in FILTERED:
        return no_record("refused", "the provider's content filter stopped the answer")
    if answer.refusal and not answer.refusal.isspace():
        return no_record("refused", answer.refusal)
    if answer.finish_reason == NO_CHOICES:
        return no_record("unparsable", "the answer is empty: the provider sent no choices")
    content = answer.content or ""
    try:
        value = read_json(content)
    except (ValueError, RecursionError):
        return _search(content, record_class)
    return judge([Reading(0, len(content), value)], record_class)


def repair_messages(messages: Messages, content: str | None, reason: str | None) -> Messages:
    """Return the prompt that asks once more: the first one, the spoilt answer, and what is wrong with it.

    Args:
        messages: the prompt that was answered.
        content: the spoilt answer; of a very long one only the beginning is shown.
        reason: why it cannot be used.
    """
    complaint = f"That answer cannot be used: {reason}. Answer again with the JSON object alone."
    answered = {"role": "assistant", "content": whole_text((content or "(empty)")[:LONGEST_ECHO])}
    return (*messages, answered, {"role": "user", "content": complaint})


def _search(content: str, record_class: type[Record]) -> Parsed:
    """Return the record that stands somewhere in a text which is not plain JSON."""
    try:
        found = find_json(content)
    except UnreadableJson as error:
        return no_record("unparsable", f"not JSON: {error}")
    if not found.readings:
        return _without_json(content[found.begins :], reasoned=found.begins > 0)
    return judge(sorted(found.readings, key=lambda reading: reading.end - reading.start), record_class)


def _without_json(said: str, *, reasoned: bool) -> Parsed:
    if not said.strip():
        return no_record("unparsable", "no answer follows the reasoning" if reasoned else "the answer is empty")
    if REFUSAL.match(said.lstrip()[:LONGEST_OPENING]):
        return no_record("refused", said)
    return no_record("unparsable", "not JSON: no object with names in double quotes stands in the answer")
