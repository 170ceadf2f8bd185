"""The one tiny recipe of the tests, `parcels`, with its frames written by hand and two members of the protocols.

Complaints to a parcel service: four planned records; three are written, two of them get a flawed twin, one is refused.
Every value below is written by hand; no code under test made it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import yaml

from synth_pipeline.contracts.identity import canonical_json, sha256_text
from synth_pipeline.contracts.planned import plan_table
from synth_pipeline.contracts.protocols import CallRequest, CallResult, State
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.tables import FLAWED_VARIANTS, RAW_GENERATIONS, REFERENCE, VALIDATED_SET
from synth_pipeline.llm.offline import Grammar, OfflineRequest, Voice, answer, load_voices
from synth_pipeline.llm.prompts import PromptTemplate

NAME = "parcels"
PROVIDER, SEED = "anna", 7
YAML = """
description: Complaints to a parcel service, labelled by their topic.
n_records: 40
label: topic
axes:
  topic:
    source: chosen
    question: Is this a topic that people complain to a parcel service about?
    values:
      late: {share: 0.5, attributes: {topic_name: parcel came late, urgent: false}}
      lost: {share: 0.3, attributes: {topic_name: parcel never came, urgent: true}}
      broken: {share: 0.2, attributes: {topic_name: parcel came broken, urgent: false}}
  city: {source: chosen, values: {Bern: 0.4, Lyon: 0.35, Turin: 0.25}}
  tone: {source: chosen, values: {calm: 0.6, cross: 0.4}}
numbers:
  weight_g: {by: topic, quantiles: {late: [200, 1000, 5000], lost: [100, 500, 2000], broken: [300, 3000, 30000]}}
  came_on: {range: [100, 200], at_least: {city: {Turin: 150}}}
  days: {by: tone, range: {calm: [1, 5], cross: [6, 40]}}
  sent_on: {difference: [came_on, days]}
  price: {range: [3.5, 9.25], decimals: 2}
constraints:
  - forbid: {topic: [lost], tone: [calm]}
    because: nobody stays calm over a lost parcel
record:
  text: note
  fields:
    note: {type: string, description: The complaint itself, min_length: 20}
    city: {type: string, description: Where the parcel went}
    weight_g: {type: integer, description: Its weight in grams, minimum: 1}
    came_on: {type: integer, description: Day of the year on which it came}
    sent_on: {type: integer, description: Day of the year on which it was sent}
    price: {type: number, description: What sending it cost, minimum: 0}
flaws_by: topic
quantities:
  scans: {label: number of scans on the way, reported_by: [late, lost], healthy: [6, 12]}
  padding_cm: {label: centimetres of padding, reported_by: [broken], healthy: [2.0, 5.0], decimals: 1}
flaws:
  missing_scans:
    quantity: scans
    applies_to: [late, lost]
    domain: tracking
    source: chosen
    instruction: Let the parcel have been scanned far too rarely.
    sick: {low: [2, 3], high: [0, 1]}
  thin_padding:
    quantity: padding_cm
    applies_to: [broken]
    domain: packing
    source: chosen
    instruction: Let the parcel have hardly any padding.
    sick: {low: [0.5, 0.9], high: [0.1, 0.4]}
flaw_share: 0.5
panel: {providers: [anna, bert, carl], confirm: 2}
rules:
  - rule: plausible_range
    field: weight_g
    by: topic
    ranges: {late: [50, 9000], lost: [50, 9000], broken: [50, 40000]}
  - {rule: ordered, order: [sent_on, came_on]}
  - {rule: number_in_text, field: weight_g}
  - {rule: as_planned, planned: [city, weight_g]}
  - {rule: states_quantity}
  - {rule: words_between, least: 8, most: 400, on_fail: flag}
  - {rule: exact_duplicate}
expectations:
  - name: mean_weight
    expectation: ExpectColumnMeanToBeBetween
    arguments: {column: weight_g, min_value: 100, max_value: 9000}
  - name: known_cities
    expectation: ExpectColumnValuesToBeInSet
    arguments: {column: city, value_set: [Bern, Lyon, Turin]}
skew: {axes: [topic, tone], limit: 0.1}
reference: {path: reference.csv, text: message, label: about, labels: {delay: late}}
"""
DECLARED: dict[str, Any] = yaml.safe_load(YAML)
RECIPE = Recipe.model_validate(DECLARED)


def recipe_with(**changes: Any) -> Recipe:
    """Return the recipe with fields set otherwise: `axes__city__values={...}` sets `axes.city.values`; None removes."""
    declared = deepcopy(DECLARED)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = declared
        for step in parents:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return Recipe.model_validate(declared)


def _template(role: str, *parts: tuple[str, str]) -> PromptTemplate:
    return PromptTemplate(f"{NAME}/{role}.md", "1.0", role, sha256_text(f"{role}{parts}"), parts)


GIVEN = "```json\n{{ given | json }}\n```"
TEMPLATES: dict[str, PromptTemplate] = {
    "structure": _template("structure", ("user", "{{ question }}\n" + GIVEN)),
    "write": _template("write", ("system", "You write."), ("user", "A {{ topic_name }} in {{ city }}.\n" + GIVEN)),
    "flaw": _template("flaw", ("user", "{{ instruction }} From {{ healthy_value }} to {{ sick_value }}.\n" + GIVEN)),
    "export": _template("export", ("user", "{{ text }}"), ("assistant", "{{ answer | json }}")),
}


# ------------------------------------------------------------------------------------------ members of the protocols

Answer = Mapping[str, object] | tuple[State, str]


@dataclass
class GivenAnswers:
    """A completer that answers each sample with the value given for it, or with a state and its reason.

    A sample without an answer gets `default`. It keeps the requests that it was asked.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    default: Answer = ("refused", "nothing was given")
    provider: str = PROVIDER
    asked: list[CallRequest] = field(default_factory=list)

    def __call__(self, requests: Iterable[CallRequest], total: int) -> Iterator[CallResult]:
        """Yield the given answers, in the requests' order."""
        asked = list(requests)
        assert len(asked) == total
        self.asked += asked
        return (self._result(request, self.answers.get(request.sample, self.default)) for request in asked)

    def _result(self, request: CallRequest, given: Answer) -> CallResult:
        told = provenance(role=request.role, call_key=f"key of {request.sample}")
        if isinstance(given, tuple):
            return CallResult(request.sample, given[0], given[1], None, told)
        return CallResult(request.sample, "ok", None, given, told)


@dataclass(frozen=True)
class OfflineVoice:
    """A completer that lets an offline voice answer, with its faults off; by a recipe's grammar where one is given."""

    voice: str = "terse"
    provider: str = PROVIDER
    grammars: Mapping[str, Grammar] = field(default_factory=dict)

    def __call__(self, requests: Iterable[CallRequest], total: int) -> Iterator[CallResult]:
        """Yield what the voice answers, in the requests' order."""
        voice = load_voices()[self.voice].without_faults()
        return (self._result(request, voice) for request in requests)

    def _result(self, request: CallRequest, voice: Voice) -> CallResult:
        text = answer(as_offline(request), voice, self.grammars).text
        value = request.record_class.model_validate_json(text).model_dump(mode="json")
        return CallResult(request.sample, "ok", None, value, provenance(role=request.role, offline=True))


def as_offline(request: CallRequest) -> OfflineRequest:
    """Return the request as an offline voice sees it."""
    schema = {"name": request.schema_name, "schema": request.record_class.model_json_schema()}
    shape = {"response_format": {"json_schema": schema}, "seed": request.seed, "max_tokens": request.max_tokens}
    return OfflineRequest.from_params(request.messages, shape)


def provenance(**changes: Any) -> dict[str, Any]:
    """Return the PROVENANCE columns of one row, with some set otherwise."""
    told = {
        "model": "anna/large",
        "family": "anna",
        "offline": False,
        "role": "write",
        "template": "parcels/write.md",
        "template_version": "1.0",
        "template_sha256": "0" * 64,
        "temperature": 1.0,
        "call_key": None,
        "attempts": 1,
        "tokens_in": 100,
        "tokens_out": 50,
        "cost_usd": 0.002,
        "completed_at": "2030-01-01T00:00:00.000+00:00",
        "latency_s": 0.5,
        "finish_reason": "stop",
    }
    return told | changes


# ------------------------------------------------------------------------------------------ frames written by hand

_PLAN_COLUMNS = (
    *("planned_id", "topic", "city", "tone", "weight_g", "came_on", "days", "sent_on", "price"),
    *("quantity", "healthy_value", "flaw", "severity", "sick_value"),
)
_PLAN_ROWS = (
    ("p0", "late", "Bern", "calm", 1200, 120, 4, 116, 5.5, "scans", "8", "missing_scans", "low", "3"),
    ("p1", "lost", "Lyon", "cross", 800, 150, 30, 120, 4.25, "scans", "10", None, None, None),
    ("p2", "broken", "Turin", "calm", 2500, 160, 2, 158, 9.0, "padding_cm", "3.5", "thin_padding", "high", "0.2"),
    ("p3", "late", "Lyon", "cross", 400, 180, 20, 160, 3.75, "scans", "7", "missing_scans", "high", "1"),
)
NAMES_OF_TOPICS = {"late": "parcel came late", "lost": "parcel never came", "broken": "parcel came broken"}
NOTES = {
    "p0": "My parcel of 1,200 g to Bern came late. It was scanned 8 times on the way. I would like to know why.",
    "p1": "Where is my parcel to Lyon? It weighs 800 g. Your page shows 10 scans, and then nothing at all!",
    "p2": "The parcel of 2500 g to Turin arrived broken. There were 3.5 cm of padding around the vase. What a pity.",
}
TWINS = {
    "p0": "My parcel of 1,200 g to Bern came late. It was scanned 3 times on the way. I would like to know why.",
    "p2": "The parcel of 2500 g to Turin arrived broken. There were 0.2 cm of padding around the vase. What a pity.",
}
REAL = (
    ("r0", "late", "delay", "It took you nine days to bring a small box across town."),
    ("r1", "lost", "lost", "The tracking has said out for delivery since Monday, and nobody answers the phone."),
    ("r2", None, "praise", "Thank you for ringing twice, the driver was very kind."),
)


def planned_rows() -> list[dict[str, Any]]:
    """Return the four planned records, one dict each."""
    rows = []
    for index, values in enumerate(_PLAN_ROWS):
        row: dict[str, Any] = dict(zip(_PLAN_COLUMNS, values, strict=True))
        told = {"topic_name": NAMES_OF_TOPICS[row["topic"]], "urgent": row["topic"] == "lost"}
        rows.append(row | told | _ids(index) | {"ordinal": 0, "position": index, "round": 0})
    return rows


def plan_frame(**changes: Any) -> pl.DataFrame:
    """Return the SAMPLING_PLAN of the four planned records, with some columns set otherwise in all rows."""
    return plan_table(RECIPE).frame([row | changes for row in planned_rows()])


def record_of(planned: str, **changes: Any) -> dict[str, Any]:
    """Return the record that was written for a planned record, with some fields set otherwise."""
    row = next(row for row in planned_rows() if row["planned_id"] == planned)
    told = {name: row[name] for name in ("city", "weight_g", "came_on", "sent_on", "price")}
    return {"note": NOTES.get(planned, ""), **told, **changes}


def written(record: Mapping[str, Any] | None, state: str = "ok", reason: str | None = None) -> dict[str, Any]:
    """Return the WRITTEN and PROVENANCE columns of one row."""
    content = canonical_json(record) if record is not None else None
    return {
        "state": state,
        "state_reason": reason,
        "text": record["note"] if record is not None else None,
        "record": content,
        "checksum": sha256_text(content) if content is not None else None,
        **provenance(),
    }


def raw_row(index: int, record: Mapping[str, Any] | None, **state: Any) -> dict[str, Any]:
    """Return one row of RAW_GENERATIONS for the planned record `p<index>`."""
    return {"record_id": f"w{index}", **_ids(index), **written(record, **state)}


def raw_frame() -> pl.DataFrame:
    """Return RAW_GENERATIONS: three records, and one refusal (`w3`)."""
    rows = [raw_row(index, record_of(f"p{index}")) for index in range(3)]
    return RAW_GENERATIONS.frame([*rows, raw_row(3, None, state="refused", reason="I cannot write that")])


def variant_row(index: int, record: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return one row of FLAWED_VARIANTS for the planned record `p<index>`."""
    row = planned_rows()[index]
    flaw = {name: row[name] for name in ("quantity", "healthy_value", "flaw", "severity", "sick_value")}
    place = {"span_start": 0, "span_end": 0, "span_before": "", "span_after": "", "proof": "proven"}
    ids = {"variant_id": f"v{index}", "record_id": f"w{index}", **_ids(index)}
    return {**ids, **flaw, "domain": "tracking", **written(record), **place, "role": "flaw", **changes}


def variant_frame() -> pl.DataFrame:
    """Return FLAWED_VARIANTS: the proven twins of `w0` and `w2`."""
    return FLAWED_VARIANTS.frame(
        [variant_row(index, record_of(f"p{index}", note=TWINS[f"p{index}"])) for index in (0, 2)]
    )


def reference_frame(rows: Sequence[tuple[str, str | None, str | None, str]] = REAL) -> pl.DataFrame:
    """Return REFERENCE: three real examples, the last with a label that the recipe does not know."""
    names = ("example_id", "label", "label_original", "text")
    told: list[dict[str, object]] = [dict(zip(names, row, strict=True)) for row in rows]
    return REFERENCE.frame([one | {"sha256": sha256_text(str(one["text"]))} for one in told])


def item(item_id: str, text: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return one row of VALIDATED_SET (with the recipe's axes): valid and clean unless told otherwise."""
    shown = text if text is not None else f"A note of its own, number {item_id}."
    told = {
        "item_id": item_id,
        "record_id": item_id,
        "variant_id": None,
        "planned_id": f"planned-{item_id}",
        "cell_id": "c0",
        "provider": PROVIDER,
        "seed": SEED,
        "label": changes.get("topic", "late"),
        **dict.fromkeys(("quantity", "healthy_value", "flaw", "severity", "sick_value")),
        "state": "valid",
        "reasons": [],
        "verdicts": [{"rule": "schema", "verdict": "pass", "reason": ""}],
        "text": shown,
        "record": canonical_json(record_of("p0", note=shown)),
        "checksum": sha256_text(shown),
        "call_key": f"key of {item_id}",
        "offline": False,
        "topic": "late",
        "city": "Bern",
        "tone": "calm",
    }
    return told | changes


def validated_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return VALIDATED_SET of rows that `item` made."""
    axes = {name: pl.String() for name in RECIPE.axes}
    return pl.DataFrame([dict(row) for row in rows], schema={**VALIDATED_SET.schema, **axes}, orient="row")


def _ids(index: int) -> dict[str, Any]:
    return {"planned_id": f"p{index}", "cell_id": f"c{index}", "provider": PROVIDER, "seed": SEED}
