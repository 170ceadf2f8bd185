"""How a recipe's models are asked: each role's settings, the panel, and the discriminator's limits."""

from typing import Self

from pydantic import Field, model_validator

from synth_pipeline.contracts.space import Declared


class RoleSettings(Declared):
    """How a role's model is asked."""

    temperature: float = Field(1.0, ge=0, le=2)
    max_tokens: int = Field(1500, ge=16)


class Roles(Declared):
    """How each role's model is asked."""

    structure: RoleSettings = RoleSettings(temperature=0.0, max_tokens=1000)
    write: RoleSettings = RoleSettings()
    flaw: RoleSettings = RoleSettings(temperature=0.3)


class Panel(Declared):
    """Who confirms the structure of the ontology, and how many must."""

    providers: list[str] = Field(min_length=1)
    confirm: int = Field(2, ge=1, description="providers that must confirm a fact")

    @model_validator(mode="after")
    def _providers_are_distinct(self) -> Self:
        if len(set(self.providers)) < len(self.providers):
            raise ValueError(f"panel {self.providers} names a provider twice; name each once")
        return self


class Gate(Declared):
    """The discriminator's limits: above `limit` the check warns, above `block_above` it blocks."""

    limit: float = Field(0.75, ge=0.5, le=1)
    block_above: float | None = Field(None, ge=0.5, le=1)
    by_label: bool = Field(False, description="score every label by itself too")
