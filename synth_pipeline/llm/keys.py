"""What names a purchase: the parts of its call key, as the client, the dry run and the ledger's check all see them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from synth_pipeline.contracts.identity import call_key, canonical_json, sha256_text
from synth_pipeline.contracts.protocols import CallRequest
from synth_pipeline.contracts.providers import Provider
from synth_pipeline.contracts.records import Record


def key_of(provider: Provider, request: CallRequest, attempt: int) -> str:
    """Return the call key of a request to a provider.

    A repair has the key of the request that it repairs but for the attempt: the complaint that is added to the prompt
    is no part of it, or a parser that words its reasons otherwise would have every repair bought again.
    """
    return call_key(
        model=model_of(provider, request),
        messages=request.messages,
        parameters=parameters_of(provider, request),
        schema_json=schema_json(request.schema_name, request.record_class),
        template_version=template_of(request),
        sample=request.sample,
        attempt=attempt,
    )


def model_of(provider: Provider, request: CallRequest) -> str:
    """Return who answers, as `provider:model`."""
    return f"{provider.name}:{provider.model_for(request.role)}"


def template_of(request: CallRequest) -> str:
    """Return the template's path, version and hash in one text."""
    return f"{request.template.path}@{request.template.version}:{request.template.sha256}"


def parameters_of(provider: Provider, request: CallRequest) -> dict[str, Any]:
    """Return the parameters that shape the answer; how the schema is asked for is one where the row names it."""
    asked: Mapping[str, Any] = {"structured": provider.structured} if provider.structured else {}
    return {"temperature": request.temperature, "max_tokens": request.max_tokens, "seed": request.seed, **asked}


@lru_cache(maxsize=256)
def schema_json(name: str, record_class: type[Record]) -> str:
    """Return a record's JSON schema with its name towards the provider, as canonical JSON."""
    return canonical_json({"name": name, "schema": record_class.model_json_schema()})


@lru_cache(maxsize=256)
def schema_sha256(text: str) -> str:
    """Return the hash under which the ledger keeps a schema."""
    return sha256_text(text)
