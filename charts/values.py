"""The values of the chart with their comments, and their schema. Both are made from the types and words of the settings."""

import inspect
import json
import re
import textwrap
from typing import Any

import msgspec
from extras import EXTRAS
from fields import FIELDS, Field, examples

from fairway.cluster import identities, manifests
from fairway.cluster.manifests import Settings


def words_of(path: str) -> str:
    """Return what the docstring of the settings says about one of them."""
    owner, _ = struct_of(path)
    text = inspect.getdoc(owner) or ""
    found = re.search(
        rf"^    {path.rsplit('.', 1)[-1]}: (.*?)(?=^    \w+: |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return " ".join(found[1].split()) if found else ""


def struct_of(path: str) -> tuple[type, str]:
    """Return the struct and the field of a setting."""
    struct: Any = Settings
    *before, name = path.split(".")
    for part in before:
        struct = next(one.type for one in msgspec.structs.fields(struct) if one.name == part)
    return struct, name


def schema_of(field: Field) -> dict[str, Any]:
    """Return the schema of a value, made from the type of its setting."""
    struct, name = struct_of(field.path)
    own = next(one for one in msgspec.structs.fields(struct) if one.name == name)
    typed = {**msgspec.json.schema(own.type), **(field.rules or {}), "default": default_of(field)}
    return {"description": field.words or words_of(field.path), **typed}


def default_of(field: Field) -> object:
    """Return the default of a value."""
    if field.default is not None:
        return field.default
    struct, name = struct_of(field.path)
    own = next(one for one in msgspec.structs.fields(struct) if one.name == name)
    return own.default if own.default is not msgspec.NODEFAULT else own.default_factory()


def schema(made: str) -> dict[str, Any]:
    """Return the schema of the values."""
    properties: dict[str, Any] = {}
    for field in (one for one in FIELDS if one.value):
        group, _, name = field.value.rpartition(".")
        if group:
            properties.setdefault(group, {"type": "object", "additionalProperties": False, "properties": {}})[
                "properties"
            ][name] = schema_of(field)
        else:
            properties[name] = schema_of(field)
    accounts = [one.metadata.name for one in manifests.render(examples()) if one.kind == "ServiceAccount"]
    for extra in EXTRAS:
        properties[extra.name] = {"description": extra.words, **extra.schema, "default": extra.default}
    texts = properties["accountAnnotations"].pop("additionalProperties")
    properties["accountAnnotations"] |= {
        "additionalProperties": False,
        "properties": dict.fromkeys(accounts, texts),
    }
    # Helm hands down `global` where the chart is a part of another one.
    properties["global"] = {"type": "object"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": made,
        "title": "Values of the chart of Fairway",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        # An identity of one cloud is none of another.
        "allOf": [
            {
                "if": {"properties": {"store": {"pattern": f"^{kind}://"}}, "required": ["store"]},
                "then": {"properties": {"storeIdentity": {"pattern": f"^({form.pattern})?$"}}},
            }
            for kind, (_, form, _) in identities.IDENTITIES.items()
        ],
    }


def values(made: str) -> str:
    """Return the values with their defaults and a comment for each."""
    lines = [f"# {made}"]
    group = ""
    for name, words, default in [
        *((one.value, one.words or words_of(one.path), default_of(one)) for one in FIELDS if one.value),
        *((one.name, one.words, one.default) for one in EXTRAS),
    ]:
        within, _, last = name.rpartition(".")
        indent = "  " if within else ""
        lines += [""] if not within or within != group else []
        lines += [f"{within}:"] if within and within != group else []
        group = within
        lines += textwrap.wrap(
            words[0].upper() + words[1:], 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
        lines.append(f"{indent}{last}: {json.dumps(default)}")
    return "\n".join(lines) + "\n"
