"""What all requests of one shape have in common, worked out once: address, headers and LiteLLM's options.

A shape is the record class, its schema's name, the temperature and the most tokens; the prompt and the seed are a
call's own.
"""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from synth_pipeline.contracts.records import Record
from synth_pipeline.llm.purchases import Purchase
from synth_pipeline.llm.routes.dialects import Dialect, Json, NotDrivable, reason_of, unexpected
from synth_pipeline.llm.routes.structured import Structure

SEEDS = (1_730_206_141, 1_918_273_645)  # two that stand for any: neither is a value of anything else
SAYING = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say yes."}]
MORE_SLOWLY = "asked through LiteLLM itself, more slowly"
Path = tuple[str, ...]
Shape = tuple[type[Record], str, float, int]
Notice = Callable[[str], None]


@dataclass(frozen=True)
class Form:
    """One shape: `places` says where in `options` the seed stands."""

    url: str
    headers: dict[str, str]
    options: Json
    places: tuple[Path, ...]

    def options_for(self, seed: int) -> Json:
        """Return the options with a call's seed; what is not changed is shared between calls."""
        return filled(self.options, self.places, seed)


class Forms:
    """The shapes that one model has been asked in.

    Args:
        dialect: how it is asked.
        structure: how its schema is asked for.
        notice: told of a shape that LiteLLM's transforms cannot make.
    """

    def __init__(self, dialect: Dialect, structure: Structure, notice: Notice) -> None:
        self._dialect, self._structure, self._notice = dialect, structure, notice
        self._forms: dict[Shape, Form | None] = {}

    def find(self, purchase: Purchase) -> Form | None:
        """Return the form of a purchase; None where LiteLLM's transforms cannot make it."""
        request = purchase.request
        shape = (request.record_class, request.schema_name, request.temperature, request.max_tokens)
        if shape not in self._forms:
            self._forms[shape] = self._try(purchase)
        return self._forms[shape]

    def _try(self, purchase: Purchase) -> Form | None:
        try:
            return self._work_out(purchase)
        except unexpected() as error:
            self._notice(
                f"{purchase.request.schema_name}: {reason_of(error)}; asked through LiteLLM itself, more slowly"
            )
            return None

    def _work_out(self, purchase: Purchase) -> Form:
        options, others = (self._options(purchase, seed) for seed in SEEDS)
        places = tuple(places_of(options, SEEDS[0]))
        if filled(options, places, SEEDS[1]) != others:
            raise NotDrivable("the seed changes more of a request than itself")
        self._require_reuse(options)
        return Form(self._dialect.url(dict(options)), self._dialect.headers(dict(options)), options, places)

    def _options(self, purchase: Purchase, seed: int) -> Json:
        from litellm.utils import get_optional_params

        request, target = purchase.request, self._dialect.target
        options: Json = get_optional_params(
            model=target.model,
            custom_llm_provider=target.provider,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            response_format=deepcopy(self._structure.response_format(purchase)),
            seed=seed,
            stream=None,
            max_retries=0,
            drop_params=True,
        )
        return options

    def _require_reuse(self, options: Json) -> None:
        """Refuse options that a request writes to: the next one would find them changed."""
        before = json.dumps(options)
        first, second = (self._dialect.body(deepcopy(SAYING), options) for _ in SEEDS)
        if json.dumps(options) != before or first != second:
            raise NotDrivable("a request changes the options that the next one shares")


def places_of(value: Any, seed: int, at: Path = ()) -> Iterator[Path]:
    """Yield the path to every place below mappings in `value` that holds `seed`."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from places_of(below, seed, (*at, name))
    elif value == seed:
        yield at


def filled(options: Json, places: tuple[Path, ...], seed: int) -> Json:
    """Return `options` with `seed` in `places`; only what leads there is copied."""
    result = dict(options)
    for *parents, last in places:
        inner = result
        for name in parents:
            inner[name] = dict(inner[name])
            inner = inner[name]
        inner[last] = seed
    return result
