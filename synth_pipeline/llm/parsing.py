"""From a completion's text to a validated value, or to the reason why there is none."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from synth_pipeline.contracts.protocols import State
from synth_pipeline.contracts.records import Record
from synth_pipeline.llm.ledger import LedgerEntry

# A fence ends on a line of its own: no JSON string holds a line break, so backticks inside one do not end the fence.
FENCE = re.compile(r"^[ \t]*```(?:json)?[ \t]*\n(.*?)\n[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
REFUSAL = re.compile(
    r"\s*(i['’]?m sorry|i am sorry|sorry,|i can(no|['’])t|i can not|i( am|['’]m) (not able|unable)|i won['’]t)",
    re.IGNORECASE,
)
SHOWN = 300
CUT_OFF, FILTERED = "length", "content_filter"


@dataclass(frozen=True)
class Parsed:
    """What a completion holds: a value, or a state other than ok with its reason."""

    state: State
    reason: str | None = None
    value: Mapping[str, object] | None = None


def parse_completion(entry: LedgerEntry, record_class: type[Record]) -> Parsed:
    """Return what the completion holds. An error is never data: no partial value comes back."""
    content = entry.content or ""
    if entry.finish_reason == CUT_OFF:
        return Parsed("cut_off", f"the answer was cut off after {entry.tokens_out} tokens; raise max_tokens")
    if entry.finish_reason == FILTERED:
        return Parsed("refused", "the provider's content filter stopped the answer")
    if entry.refusal or (REFUSAL.match(content) and "{" not in content):
        return Parsed("refused", (entry.refusal or content).strip()[:SHOWN])
    if not content.strip():
        return Parsed("unparsable", "the answer is empty")
    return _parse_json(content, record_class)


def _parse_json(content: str, record_class: type[Record]) -> Parsed:
    try:
        loaded = json.loads(_json_text(content))
    except (ValueError, RecursionError) as error:
        return Parsed("unparsable", f"not JSON: {error}"[:SHOWN])
    try:
        return Parsed("ok", value=record_class.model_validate(loaded).model_dump(mode="json"))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'answer'}: {fault['msg']}" for fault in error.errors()
        )
        return Parsed("unparsable", f"not the record that was asked for: {faults}"[:SHOWN])


def _json_text(content: str) -> str:
    """Return the JSON object inside code fences or prose, or the content as it is."""
    fenced = FENCE.search(content)
    text = fenced[1] if fenced else content
    first, last = text.find("{"), text.rfind("}")
    return text[first : last + 1] if 0 <= first < last else text
