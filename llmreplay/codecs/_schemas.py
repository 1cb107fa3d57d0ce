"""The JSON Schema of a structured output, as providers want it that hold an answer to it.

https://platform.openai.com/docs/guides/structured-outputs: with `strict`, all fields are required, and no
others are allowed.
"""

from __future__ import annotations

from typing import Any

__all__ = ["closed"]


def closed(schema: Any, root: Any = None, seen: tuple[str, ...] = ()) -> Any:
    """Return a schema as providers want it of a structured output: every field, and no other.

    OpenAI takes no object that is open, no field that may be left out, no default, and nothing beside a
    reference; others do not mind. What a default stood for, the model then says itself.
    """
    if isinstance(schema, list):
        return [closed(one, root, seen) for one in schema]
    if not isinstance(schema, dict):
        return schema
    root = schema if root is None else root
    reference = schema.get("$ref")
    if reference is not None and len(schema) > 1:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if reference in seen or not reference.startswith("#/$defs/"):
            return {"$ref": reference}
        inner = root["$defs"][reference.removeprefix("#/$defs/")]
        return closed({**inner, **beside}, root, (*seen, reference))
    named = {"properties", "$defs"}  # whose keys are names, and no words of the schema
    made = {
        key: {name: closed(one, root, seen) for name, one in value.items()}
        if key in named
        else closed(value, root, seen)
        for key, value in schema.items()
        if key != "default"
    }
    if "properties" in made:
        made |= {"required": list(made["properties"]), "additionalProperties": False}
    return made
