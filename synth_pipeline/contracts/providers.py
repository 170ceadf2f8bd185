"""A provider: who answers, by which models, at what price and pace."""

from typing import Literal, Self

from pydantic import Field, model_validator

from synth_pipeline.contracts.space import Declared

Role = Literal["structure", "write", "flaw"]
Structured = Literal["json_schema", "json_object", "prompt"]
OFFLINE_PREFIX = "offline/"


class Price(Declared):
    """What a model costs, in US dollars per million tokens; the last two through the provider's batch API, if known."""

    usd_per_mtok_in: float = Field(ge=0)
    usd_per_mtok_out: float = Field(ge=0)
    batch_usd_per_mtok_in: float | None = Field(None, ge=0)
    batch_usd_per_mtok_out: float | None = Field(None, ge=0)


class Provider(Declared):
    """One row of the providers file.

    Args:
        name: the partition key.
        family: who made the weights; a judge never judges its own family.
        models: the LiteLLM model for each role; `default` serves the roles that are not named.
        free: true where calls cost nothing.
        prices: price for each LiteLLM model, where LiteLLM's own table has none or another.
        api_key_env: environment variable that holds the key.
        api_base_env: environment variable that holds the server's address.
        max_concurrency: calls in flight at once.
        rpm: requests a minute that the provider allows.
        tpm: tokens a minute that the provider allows.
        timeout_s: seconds after which one try of a call is given up.
        give_up_after_s: seconds that a dead provider is waited for before the run stops.
        structured: how the record's schema is asked for: as the provider's JSON schema, as JSON with the schema in the
            prompt, or in the prompt alone; None: the best that LiteLLM knows the model to have.
        batch: whether a partition may be bought through the provider's batch API, at its lower price.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    family: str
    models: dict[Role | Literal["default"], str] = Field(min_length=1)
    free: bool = False
    prices: dict[str, Price] = {}
    api_key_env: str | None = None
    api_base_env: str | None = None
    max_concurrency: int = Field(8, ge=1, le=1024)
    rpm: int | None = Field(None, ge=1)
    tpm: int | None = Field(None, ge=1)
    timeout_s: float = Field(120, gt=0)
    give_up_after_s: float = Field(300, ge=0)
    structured: Structured | None = None
    batch: bool = False

    @model_validator(mode="after")
    def _every_role_has_a_model(self) -> Self:
        missing = [role for role in ("structure", "write", "flaw") if role not in self.models]
        if missing and "default" not in self.models:
            raise ValueError(f"no model for {missing}; name one for each role, or a default")
        return self

    @property
    def offline(self) -> bool:
        """True where the embedded stand-in answers, not an LLM."""
        return all(model.startswith(OFFLINE_PREFIX) for model in self.models.values())

    def model_for(self, role: Role) -> str:
        """Return the LiteLLM model that does `role`."""
        return self.models.get(role) or self.models["default"]
