"""Just enough JSON schema to fill what pydantic writes: references, unions, types, bounds."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def resolve(schema: Schema, root: Schema, *, deep: bool = False) -> Schema:
    """Return `schema` with its reference followed and one of its options taken.

    Args:
        schema: a part of `root`.
        root: the whole schema, for its `$defs`.
        deep: take null or the plainest option, so that a schema that holds itself comes to an end.
    """
    while True:
        if "$ref" in schema:
            schema = {**_target(schema["$ref"], root), **{k: v for k, v in schema.items() if k != "$ref"}}
        elif options := schema.get("anyOf") or schema.get("oneOf"):
            rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
            schema = {**rest, **_option(options, deep)}
        elif "allOf" in schema:
            schema = _merged(schema)
        else:
            return _one_type(schema, deep)


def fits(value: Any, schema: Schema, root: Schema) -> bool:
    """Return whether `value` is one that `schema` allows."""
    if "$ref" in schema:
        return fits(value, {**_target(schema["$ref"], root), **{k: v for k, v in schema.items() if k != "$ref"}}, root)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return any(fits(value, option, root) for option in options)
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return False
    return _fits_type(value, schema) and _fits_bounds(value, schema) and _fits_items(value, schema, root)


def _target(reference: str, root: Schema) -> Schema:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = found[step] if step else found
    return found  # type: ignore[no-any-return]  # a reference of a JSON schema leads to a schema


def _option(options: list[Schema], deep: bool) -> Schema:
    plain = [option for option in options if option.get("type") == "null"]
    others = [option for option in options if option.get("type") != "null"]
    return (plain or others)[0] if deep else (others or plain)[0]


def _one_type(schema: Schema, deep: bool) -> Schema:
    kind = schema.get("type")
    if isinstance(kind, list):
        return {
            **schema,
            "type": "null" if deep and "null" in kind else next((k for k in kind if k != "null"), "null"),
        }
    if kind is None:
        return {**schema, "type": "object" if "properties" in schema else "string"}
    return schema


def _merged(schema: Schema) -> Schema:
    merged: dict[str, Any] = {}
    for part in (*schema["allOf"], {k: v for k, v in schema.items() if k != "allOf"}):
        merged = {
            **merged,
            **part,
            "properties": {**merged.get("properties", {}), **part.get("properties", {})},
        }
    return merged if merged["properties"] else {k: v for k, v in merged.items() if k != "properties"}


def _fits_type(value: Any, schema: Schema) -> bool:
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind] if kind else []
    if isinstance(value, bool):
        return not kinds or "boolean" in kinds
    return not kinds or any(isinstance(value, TYPES[k]) for k in kinds)


def _fits_bounds(value: Any, schema: Schema) -> bool:
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    step = schema.get("multipleOf")
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and not value <= schema.get("exclusiveMinimum", value - 1)
        and not value >= schema.get("exclusiveMaximum", value + 1)
        and (step is None or value % step == 0)
    )


def _fits_items(value: Any, schema: Schema, root: Schema) -> bool:
    if isinstance(value, list):
        in_size = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return in_size and all(fits(item, schema.get("items", {}), root) for item in value)
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        known = all(fits(value[name], parts[name], root) for name in value.keys() & parts.keys())
        return known and all(name in value for name in schema.get("required", ()))
    return True
