"""The voices: how each writes and how often it errs, read from `voices.yaml`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth_pipeline.contracts.errors import RecipeError

VOICES_FILE = Path(__file__).with_name("voices.yaml")
Share = Annotated[float, Field(ge=0, le=1)]


class Dials(BaseModel):
    """The share of requests, 0 to 1, that show each fault; and two habits that are no faults.

    `accept` is the share of candidates a voice says yes to; `latency_s` is how long an answer takes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    malformed_json: Share = 0.0
    implausible: Share = 0.0
    temporal_inversion: Share = 0.0
    misstated_number: Share = 0.0
    near_duplicate: Share = 0.0
    refusal: Share = 0.0
    cut_off: Share = 0.0
    rate_limit: Share = 0.0
    accept: Share = 0.95
    latency_s: Annotated[float, Field(ge=0)] = 0.0


class Voice(BaseModel):
    """One voice: its style, applied to what the grammar writes, and its dials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    numbers: Literal["plain", "comma", "mixed"] = "plain"
    replace: dict[str, str] = Field(default_factory=dict)
    replace_rate: Share = 0.0
    connectives: tuple[str, ...] = ()
    connective_rate: Share = 0.0
    closings: tuple[str, ...] = ()
    closing_rate: Share = 0.0
    double_space_rate: Share = 0.0
    lowercase_rate: Share = 0.0
    dials: Dials = Dials()

    def with_dials(self, **dials: float) -> "Voice":
        """Return this voice with `dials` set otherwise; a share outside 0 to 1 is refused."""
        return self.model_copy(update={"dials": Dials.model_validate({**self.dials.model_dump(), **dials})})

    def without_faults(self) -> "Voice":
        """Return this voice with every fault off."""
        return self.model_copy(update={"dials": Dials(accept=self.dials.accept)})


@cache
def load_voices(path: Path = VOICES_FILE) -> Mapping[str, Voice]:
    """Return the voices in the YAML file at `path`, by name.

    Raises:
        RecipeError: a voice has an unknown key, or a share outside 0 to 1.
    """
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return {name: Voice.model_validate({"name": name, **row}) for name, row in rows.items()}
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise RecipeError(
            f"{place}: {first['msg']}",
            where=path.name,
            fix="a share is from 0 to 1; quote a word that YAML reads as yes or no",
        ) from fault
