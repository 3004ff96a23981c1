"""A form for a request to an endpoint: made from a model's signature or a function's schema, and read back as JSON.

Must not know how a request is sent. A value that is not what the endpoint takes is sent as it was typed, because the endpoint
says best what is wrong with it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from fairway.spec.errors import UsageError
from fairway.spec.model import Feature, Signature

Kind = Literal["number", "text", "choice", "json"]
Schema = dict[str, Any]

_MOST_FIELDS = 100
_DEEPEST = 6


class FormField(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the form.

    Attributes:
        name: the name in the request. It is empty for a field that is the whole request.
        kind: the kind of value: a number, a text, one of `choices`, or anything as JSON.
        value: the text in the field.
        choices: the values to choose from, each as JSON.
        optional: True when an empty field is left out, or sent as null if `nullable`.
        nullable: True when the value may be missing.
        note: a few words about the value.
    """

    name: str
    kind: Kind
    value: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False
    nullable: bool = False
    note: str = ""


def of_signature(signature: Signature, row: Sequence[object], names: Sequence[str]) -> list[FormField]:
    """Return the fields for one row of a model.

    Args:
        signature: the signature of the model.
        row: the values of a sample; empty without one.
        names: the names of these values.
    """
    values = dict(zip(names, row, strict=False))
    if signature.layout == "columns":
        kinds = {spec.name: spec.datatype for spec in signature.inputs}
        deep = any(len(spec.shape) > 1 for spec in signature.inputs)
    else:
        kinds = dict.fromkeys(signature.columns, signature.inputs[0].datatype)
        deep = not signature.columns
    if deep or len(kinds) > _MOST_FIELDS:
        whole: object = values if signature.layout == "columns" or signature.columns else _alone(list(row))
        return [FormField(name="", kind="json", value=_written(whole), note="one row as JSON")]
    features = {feature.name: feature for feature in signature.features}
    return [
        _of_column(name, datatype, features.get(name), values.get(name)) for name, datatype in kinds.items()
    ]


def of_schema(schema: Schema, example: object = None) -> list[FormField]:
    """Return the fields for the request of a function, from the JSON schema of its body."""
    if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        shown = example if example is not None else skeleton(schema)
        return [_of_property("", schema, shown, needed=True)]
    given = cast("dict[str, object]", example) if isinstance(example, dict) else {}
    needed = cast("list[str]", schema.get("required", []))
    return [
        _of_property(name, part, given.get(name, skeleton(part)), needed=name in needed)
        for name, part in list(cast("dict[str, Schema]", schema["properties"]).items())[:_MOST_FIELDS]
    ]


def filled(fields: Sequence[FormField], texts: Mapping[str, str]) -> list[FormField]:
    """Return the fields with what a person typed. A field is sent as "f" and its number."""
    return [
        msgspec.structs.replace(field, value=texts.get(f"f{place}", field.value))
        for place, field in enumerate(fields)
    ]


def body_of(fields: Sequence[FormField]) -> object:
    """Return the request that the fields mean. Raises UsageError for a text that is not JSON where JSON is needed."""
    if len(fields) == 1 and not fields[0].name:
        return _value(fields[0])
    return {
        field.name: _value(field) for field in fields if field.value or not field.optional or field.nullable
    }


def skeleton(schema: Schema, depth: int = 0) -> object:
    """Return a small value that fits a schema, as far as that can be told."""
    if "default" in schema:
        return schema["default"]
    if depth >= _DEEPEST:
        return None
    for word in ("anyOf", "oneOf", "allOf"):
        options = schema.get(word)
        if isinstance(options, list) and options:
            return skeleton(cast("Schema", options[0]), depth + 1)
    if schema.get("enum"):
        return schema["enum"][0]
    kind = _first(schema.get("type"))
    if kind == "object":
        parts = cast("dict[str, Schema]", schema.get("properties", {}))
        return {name: skeleton(part, depth + 1) for name, part in parts.items()}
    if kind == "array":
        return [skeleton(cast("Schema", schema.get("items") or {}), depth + 1)]
    return {"integer": 0, "number": 0, "string": "", "boolean": False}.get(str(kind))


def _first(found: object) -> object:
    """Return the first of several types, or the only one."""
    kinds = cast("list[object]", found) if isinstance(found, list) else [found]
    return kinds[0] if kinds else None


def _of_column(name: str, datatype: str, feature: Feature | None, value: object) -> FormField:
    nullable = feature is not None and feature.nullable
    text = "" if value is None else value if isinstance(value, str) else _written(value)
    if feature is not None and feature.categories:
        choices = tuple(_written(one) for one in feature.categories)
        kept = "" if value is None else _written(value)
        return FormField(
            name=name, kind="choice", value=kept, choices=choices, nullable=nullable, optional=nullable
        )
    if datatype == "BOOL":
        return FormField(
            name=name,
            kind="choice",
            value=text,
            choices=("true", "false"),
            nullable=nullable,
            optional=nullable,
        )
    note = feature.kind if feature is not None else ""
    kind: Kind = "text" if datatype == "BYTES" or note else "number"
    return FormField(name=name, kind=kind, value=text, nullable=nullable, optional=nullable, note=note)


def _of_property(name: str, schema: Schema, value: object, *, needed: bool) -> FormField:
    kind = schema.get("type")
    enum = schema.get("enum")
    if isinstance(enum, list) and enum:
        choices = tuple(_written(one) for one in cast("list[object]", enum))
        return FormField(
            name=name, kind="choice", value=_written(value), choices=choices, optional=not needed
        )
    if kind == "boolean":
        return FormField(
            name=name, kind="choice", value=_written(value), choices=("true", "false"), optional=not needed
        )
    if kind in ("integer", "number"):
        # An optional number without a known default stays empty, so that the function's own default counts.
        text = _written(value) if needed or "default" in schema else ""
        return FormField(name=name, kind="number", value=text, optional=not needed, note=str(kind))
    if kind == "string" and not schema.get("contentEncoding"):
        text = value if isinstance(value, str) else ""
        return FormField(
            name=name, kind="text", value=text, optional=not needed, note=str(schema.get("format", ""))
        )
    text = _written(value) if needed or "default" in schema else ""
    return FormField(name=name, kind="json", value=text, optional=not needed, note="JSON")


def _value(field: FormField) -> object:
    text = field.value
    if field.kind == "text":
        return None if not text and field.nullable else text
    if not text.strip():
        return None if field.nullable or field.kind != "json" else _read(field)
    if field.kind == "json":
        return _read(field)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return text


def _read(field: FormField) -> object:
    try:
        return msgspec.json.decode(field.value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        named = f"the field {field.name}" if field.name else "the request"
        raise UsageError(f"{named} is not JSON: {error}", hint="write it as in the example") from None


def _written(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _alone(row: list[object]) -> object:
    """Return the value of a row that holds one whole value, such as a picture."""
    whole = row[0] if len(row) == 1 else None
    return cast("list[object]", whole) if isinstance(whole, list) else row
