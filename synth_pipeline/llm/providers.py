"""The providers file: one row a provider, edited by users."""

import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from synth_pipeline.contracts.errors import MissingKey, ProviderError
from synth_pipeline.contracts.providers import Price, Provider

PROVIDERS_VARIABLE = "SYNTH_PROVIDERS"
FIX = "mend the row; the rows that ship are examples"


def find_providers_file() -> Path:
    """Return the providers file: the one that SYNTH_PROVIDERS names, else the one that ships."""
    named = os.environ.get(PROVIDERS_VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parent.parent / "defs" / "providers.yaml"


def load_providers(path: Path) -> dict[str, Provider]:
    """Return the providers by name, in the file's order.

    Raises:
        ProviderError: the file cannot be read, is no YAML mapping, or a row is broken; names file, row and field.
    """
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProviderError(
            f"cannot be read: {error}", where=str(path), fix="mend it, or restore the shipped one"
        ) from error
    if not isinstance(rows, dict) or not rows:
        raise ProviderError("holds no providers", where=str(path), fix="write one mapping with a row a provider")
    return {str(name): _provider(str(name), row, path) for name, row in rows.items()}


def _provider(name: str, row: object, path: Path) -> Provider:
    if not isinstance(row, dict):
        raise ProviderError(f"row {name!r} is not a mapping", where=str(path), fix=FIX)
    try:
        return Provider.model_validate({**row, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ProviderError(f"row {name!r}, {field or 'row'}: {first['msg']}", where=str(path), fix=FIX) from error


def find_provider(providers: Mapping[str, Provider], name: str) -> Provider:
    """Return the provider called `name`.

    Raises:
        ProviderError: there is none; lists those that are.
    """
    if name not in providers:
        raise ProviderError(
            f"unknown provider {name!r}", where="providers.yaml", fix=f"use one of {', '.join(providers)}"
        )
    return providers[name]


def missing_variables(provider: Provider) -> list[str]:
    """Return the environment variables that the provider needs and that are not set."""
    return [name for name in (provider.api_key_env, provider.api_base_env) if name and not os.environ.get(name)]


def require_environment(provider: Provider) -> None:
    """Refuse to go on without the provider's key and address.

    Raises:
        MissingKey: names the variables that are not set.
    """
    missing = missing_variables(provider)
    if missing:
        raise MissingKey(
            f"provider {provider.name!r} needs {' and '.join(missing)}, not set in the environment",
            where="providers.yaml",
            fix=f"export {missing[0]}=... (see .env.example), or choose another (`synth providers` lists them)",
        )


def mask_secrets(text: str, provider: Provider) -> str:
    """Return `text` with the provider's key replaced by its variable's name."""
    secret = os.environ.get(provider.api_key_env or "")
    return text.replace(secret, f"<{provider.api_key_env}>") if secret else text


def price_of(provider: Provider, model: str) -> Price:
    """Return what `model` costs: the row's price, else LiteLLM's table; nothing where the row says free.

    Raises:
        ProviderError: no price is known.
    """
    if provider.free:
        return Price(usd_per_mtok_in=0, usd_per_mtok_out=0)
    if model in provider.prices:
        return provider.prices[model]
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it fetches the table at its import
    import litellm

    listed = litellm.model_cost.get(model) or litellm.model_cost.get(model.split("/", 1)[-1])
    if not listed or "input_cost_per_token" not in listed or "output_cost_per_token" not in listed:
        raise ProviderError(
            f"row {provider.name!r}: the price of {model!r} is not known",
            where="providers.yaml",
            fix=f"add prices: {{{model}: {{usd_per_mtok_in: ..., usd_per_mtok_out: ...}}}}, or free: true",
        )
    return Price(
        usd_per_mtok_in=listed["input_cost_per_token"] * 1e6,
        usd_per_mtok_out=listed["output_cost_per_token"] * 1e6,
    )
