"""Identities and random streams: the same names give the same value, on every machine.

cell_id    = digest(axis values)
planned_id = digest(recipe, seed, cell_id, ordinal)      the same for every provider
record_id  = digest(planned_id, provider)
variant_id = digest(record_id, flaw, severity)
call_key   = digest(model, messages, parameters, schema, template version, sample identity, attempt)
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence

ID_LENGTH = 24
SEED_BITS = 31


def canonical_json(value: object) -> str:
    """Return `value` as JSON with sorted keys, no spaces, and text unescaped: equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """Return the SHA-256 of `text` in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest(*names: object) -> str:
    """Return the identity of `names`: 96 bits of SHA-256 over their canonical JSON, as 24 hexadecimal digits."""
    return sha256_text(canonical_json(names))[:ID_LENGTH]


def seed_for(*names: object) -> int:
    """Return a random seed in [0, 2**31) that belongs to `names`."""
    return int(sha256_text(canonical_json(("seed", *names)))[:16], 16) % (1 << SEED_BITS)


def rng_for(*names: object) -> random.Random:
    """Return the random stream that belongs to `names`; another name gives another stream."""
    return random.Random(int(sha256_text(canonical_json(("rng", *names))), 16))


def cell_id(values: Mapping[str, str]) -> str:
    """Return the identity of a cell: one combination of axis values, whatever their order."""
    return digest("cell", dict(values))


def planned_id(recipe: str, seed: int, cell: str, ordinal: int) -> str:
    """Return the identity of the `ordinal`-th planned record of a cell, the same for every provider."""
    return digest("planned", recipe, seed, cell, ordinal)


def record_id(planned: str, provider: str) -> str:
    """Return the identity of what `provider` writes for a planned record."""
    return digest("record", planned, provider)


def variant_id(record: str, flaw: str, severity: str) -> str:
    """Return the identity of a damaged record."""
    return digest("variant", record, flaw, severity)


def call_key(  # noqa: PLR0913  # the key's parts are what they are; each is named
    *,
    model: str,
    messages: Sequence[Mapping[str, str]],
    parameters: Mapping[str, object],
    schema_json: str,
    template_version: str,
    sample: str,
    attempt: int,
) -> str:
    """Return the ledger's key of one purchase; any changed part is another purchase.

    It is the digest of its parts; the schema, which thousands of calls share, comes as text that is made once.

    Args:
        model: the provider and its model, as `provider:model`.
        messages: the prompt, role and content of each.
        parameters: what shapes the answer (temperature, max_tokens, seed).
        schema_json: the JSON schema that the completion must fit, with its name, as canonical JSON.
        template_version: name and version of the template, with its hash.
        sample: what the answer is for (a planned id, or a sample number of a panel question).
        attempt: 0 for the first ask, 1 for the repair.
    """
    prompt = [dict(message) for message in messages]
    before = canonical_json(["call", model, prompt, dict(parameters)])[:-1]
    after = canonical_json([template_version, sample, attempt])[1:]
    return sha256_text(f"{before},{schema_json},{after}")[:ID_LENGTH]
