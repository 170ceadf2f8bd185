"""How a recipe's models are asked: each role's settings, and the panel."""

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
