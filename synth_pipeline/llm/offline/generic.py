"""The generic grammar: fills any response schema from its types and bounds and what is given."""

import random
import string
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from synth_pipeline.llm.offline.expander import Expander, Hand
from synth_pipeline.llm.offline.filters import as_text
from synth_pipeline.llm.offline.grammar import Grammar
from synth_pipeline.llm.offline.json_schema import fits, resolve
from synth_pipeline.llm.offline.loading import load_grammar

GENERIC_FILE = Path(__file__).with_name("generic.yaml")
MAX_DEPTH = 6
INT_SPAN, LIST_SPAN, DISTINCT_TRIES = 100, 3, 20
HEADINGS = frozenset({"title", "name", "heading", "headline", "label", "subject", "id", "code"})
FORMATS = {
    "date": "{year}-{month:02d}-{day:02d}",
    "date-time": "{year}-{month:02d}-{day:02d}T{hour:02d}:00:00Z",
    "time": "{hour:02d}:00:00Z",
    "uuid": "00000000-0000-4000-8000-{number:012d}",
    "email": "reader{number}@example.org",
    "uri": "https://example.org/{number}",
}
Schema = Mapping[str, Any]


@cache
def generic_grammar() -> Grammar:
    """Return the grammar that speaks of any given value by its name."""
    return load_grammar(GENERIC_FILE)


class Filler:
    """Fills the parts of one response schema.

    Args:
        root: the whole schema, for its `$defs`.
        given: what the prompt gives; a field of the same name that fits echoes it.
        hand: the random streams and number style of this answer.
        voice: whose wordings of the generic grammar.
    """

    def __init__(self, root: Schema, given: Mapping[str, Any], hand: Hand, voice: str) -> None:
        self._root, self._given, self._hand, self._voice = root, given, hand, voice
        self._rng = hand.streams("generic")

    def record(self) -> Any:
        """Return a value of the whole schema; its main text mentions every given value."""
        schema = resolve(self._root, self._root)
        if "properties" not in schema:
            return self.field("answer", schema)
        main = main_text_field(schema, self._root, self._given)
        return {
            name: self.main_text(resolve(sub, self._root)) if name == main else self.field(name, sub)
            for name, sub in schema["properties"].items()
        }

    def field(self, name: str, schema: Schema, depth: int = 0) -> Any:
        """Return a value for the field `name` that `schema` allows, the given one where it fits."""
        schema = resolve(schema, self._root, deep=depth >= MAX_DEPTH)
        given = self._given.get(name)
        if given is not None and fits(given, schema, self._root):
            return given
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else self._rng.choice(schema["enum"])
        fill = getattr(self, f"_fill_{schema.get('type', 'string')}")
        return fill(name, schema, depth)

    def main_text(self, schema: Schema) -> str:
        """Return a text that mentions every given value, as long as `words` asks."""
        mentions = [self._say("mention", label, value) for label, value in self._mentioned()]
        self._rng.shuffle(mentions)
        wanted = self._given.get("words")
        n_words = wanted if isinstance(wanted, int) else 12 * len(mentions) + self._rng.randint(10, 60)
        sentences = [self._say("opening"), *mentions]
        while sum(s.count(" ") + 1 for s in sentences) < n_words - 8:
            sentences.insert(self._rng.randint(1, len(sentences)), self._say("filler"))
        return self._fit_length(" ".join([*sentences, self._say("closing")]), schema)

    def _mentioned(self) -> list[tuple[str, Any]]:
        """Return label and value of what the text mentions; a planned check by its own words, its length by none."""
        check = self._given.get("quantity_label")
        silent = {"words"} | ({"quantity", "quantity_label"} if check else set())
        named = [
            (name, value) for name, value in self._given.items() if name not in silent and not isinstance(value, dict)
        ]
        return [(check if check and name == "healthy_value" else _spoken(name), value) for name, value in named]

    def _say(self, field: str, label: str = "", value: Any = "") -> str:
        grammar = generic_grammar()
        subject = self._rng.choice([as_text(v) for v in self._given.values() if isinstance(v, str)] or ["it"])
        given = {"label": label, "value": value, "subject": subject}
        expander = Expander(grammar.rules_of(self._voice), frozenset(), given, self._hand)
        return expander.render(grammar.templates[field], field)

    def _fill_string(self, name: str, schema: Schema, depth: int) -> str:
        if shape := FORMATS.get(schema.get("format", "")):
            return shape.format(**_moment(self._rng))
        return self._fit_length(self._say("phrase"), schema)

    def _fit_length(self, text: str, schema: Schema) -> str:
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        while len(text) < low:
            text = f"{text} {self._say('filler')}"
        if high is not None and len(text) > high:
            text = text[:high].rsplit(" ", 1)[0].strip() or text[:high]
        return text + "".join(self._rng.choices(string.ascii_lowercase, k=max(0, low - len(text))))

    def _fill_integer(self, name: str, schema: Schema, depth: int) -> int:
        step = int(schema.get("multipleOf", 1))
        low, high = _bounds(schema, step)
        first, last = -(-low // step), high // step
        return int(self._rng.randint(int(first), int(max(first, last))) * step)

    def _fill_number(self, name: str, schema: Schema, depth: int) -> float:
        if "multipleOf" in schema:
            low, high = _bounds(schema, schema["multipleOf"])
            return float(schema["multipleOf"] * -(-low // schema["multipleOf"]))
        low, high = _bounds(schema, 0)
        drawn = self._rng.uniform(low, high)
        rounded = round(drawn, 3)
        return rounded if fits(rounded, schema, self._root) else drawn

    def _fill_boolean(self, name: str, schema: Schema, depth: int) -> bool:
        return self._rng.random() < 0.5

    def _fill_null(self, name: str, schema: Schema, depth: int) -> None:
        return None

    def _fill_array(self, name: str, schema: Schema, depth: int) -> list[Any]:
        low = schema.get("minItems", 0 if depth >= MAX_DEPTH else 1)
        high = max(low, min(schema.get("maxItems", low + LIST_SPAN), low + LIST_SPAN))
        if "prefixItems" in schema:
            return [self.field(name, item, depth + 1) for item in schema["prefixItems"]]
        items: list[Any] = []
        tries = self._rng.randint(low, high)
        for _ in range(tries if not schema.get("uniqueItems") else tries * DISTINCT_TRIES):
            item = self.field(name, schema.get("items", {}), depth + 1)
            if len(items) < tries and not (schema.get("uniqueItems") and item in items):
                items.append(item)
        return items

    def _fill_object(self, name: str, schema: Schema, depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        wanted = {n: s for n, s in schema.get("properties", {}).items() if depth < MAX_DEPTH or n in required}
        return {inner: self.field(inner, sub, depth + 1) for inner, sub in wanted.items()}


def main_text_field(schema: Schema, root: Schema, given: Mapping[str, Any]) -> str | None:
    """Return the free text field that holds the prose: the longest name that is no heading, or None."""
    names = [name for name, sub in schema.get("properties", {}).items() if _is_free_text(resolve(sub, root))]
    fresh = [name for name in names if name not in given] or names
    return max([name for name in fresh if name not in HEADINGS] or fresh, key=len, default=None)


def _is_free_text(schema: Schema) -> bool:
    return schema.get("type") == "string" and not {"enum", "const", "format"} & schema.keys()


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _moment(rng: random.Random) -> dict[str, int]:
    return {
        "year": rng.randint(1995, 2025),
        "month": rng.randint(1, 12),
        "day": rng.randint(1, 28),
        "hour": rng.randint(0, 23),
        "number": rng.randint(1, 10**6),
    }


def _bounds(schema: Schema, step: float) -> tuple[float, float]:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None:
        low = max(above + step, low if low is not None else above + step)
    if below is not None:
        high = min(below - step, high if high is not None else below - step)
    if low is None:
        low = 0 if high is None or high >= 0 else high - INT_SPAN
    return low, high if high is not None else low + max(INT_SPAN, step)
