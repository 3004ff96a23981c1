"""The JSON schemas of the requests and answers of an endpoint's function, from its annotations."""

from typing import Any, cast

import msgspec

from fairway.author.endpoint import Endpoint, bare
from fairway.server import openapi, tables, uploads, validating
from fairway.server.parameters import Parameters, is_list
from fairway.server.results import BYTES
from fairway.server.streams import EVENTS, LINES

Schema = dict[str, Any]

_BINARY: Schema = {"type": "string", "format": "binary"}
_HERE = "#/components/schemas/"


def document(
    endpoint: Endpoint[..., object], parameters: Parameters, name: str, version: str, private: bool
) -> Schema:
    """Return the OpenAPI document of an endpoint that is a function or class."""
    found: Schema = {}
    takes = (
        {"application/json": {"schema": _wanted(endpoint, parameters, found)}} if not parameters.files else {}
    )
    if parameters.files:
        takes = _files(endpoint, parameters, found)
    described = openapi.describe(name, version, {}, {}, private=private)
    gives = {kind: {"schema": schema} for kind, schema in _gives(endpoint, found).items()}
    predict = cast("Schema", described["paths"])["/"]["post"]
    predict["requestBody"] = {"required": True, "content": takes}
    predict["responses"]["200"]["content"] = gives
    if endpoint.__doc__:
        predict["description"] = endpoint.__doc__.strip()
    cast("Schema", described["components"])["schemas"].update(found)
    return described


def schema_of(annotation: object, found: Schema | None = None) -> Schema:
    """Return the schema of a type. A schema that refers to itself is put into `found` by its name.

    An empty schema means that any value fits, or that the form of the type is not known.
    """
    components: Schema = {}
    adapter = validating.adapter(annotation)
    try:
        if adapter is not None:
            schema = adapter.json_schema()
        else:
            (schema,), components = msgspec.json.schema_components(
                [cast("type", annotation)], schema_hook=_hooked, ref_template="#/$defs/{name}"
            )
    except Exception:
        return {}
    return cast("Schema", _Resolved(components, {} if found is None else found).of(schema))


def _hooked(kind: Any) -> Schema:
    if tables.is_frame(kind):
        return {"type": "array", "items": {"type": ["object", "array"]}}
    if tables.is_array(kind):
        return {"type": ["array", "number"]}
    return validating.schema(kind) if validating.is_model(kind) else {}


class _Resolved:
    """A schema whose references are replaced by their targets, except for a target that contains itself.

    Args:
        components: the targets by the last part of the reference; `$defs` inside a schema need not be in it.
        found: receives the targets that contain themselves.
    """

    def __init__(self, components: Schema, found: Schema) -> None:
        self._components = dict(components)
        self._found = found
        self._open: list[str] = []

    def of(self, schema: Any) -> Any:
        """Return the schema without references that only this object can resolve."""
        if isinstance(schema, list):
            return [self.of(item) for item in cast("list[Any]", schema)]
        if not isinstance(schema, dict):
            return schema
        fields = cast("Schema", schema)
        self._components |= fields.get("$defs", {})
        if isinstance(fields.get("$ref"), str):
            return self._named(fields["$ref"].rpartition("/")[2], fields)
        mapped = "discriminator" in fields and "mapping" in fields["discriminator"]
        return {
            name: {"propertyName": value["propertyName"]}
            if mapped and name == "discriminator"
            else self.of(value)
            for name, value in fields.items()
            if name != "$defs"
        }

    def _named(self, name: str, fields: Schema) -> Any:
        if name in self._open:
            if name not in self._found:
                self._found[name] = {}
                begun, self._open = self._open, []
                self._open.append(name)
                self._found[name] = self._inside(name)
                self._open = begun
            return {"$ref": _HERE + name}
        self._open.append(name)
        inside = self._inside(name)
        self._open.pop()
        beside = {key: self.of(value) for key, value in fields.items() if key not in ("$ref", "$defs")}
        return {**cast("Schema", inside), **beside} if isinstance(inside, dict) else inside

    def _inside(self, name: str) -> Any:
        return self.of(self._components.get(name, {}))


def _wanted(endpoint: Endpoint[..., object], parameters: Parameters, found: Schema) -> Schema:
    """Return the schema of a request: that of the only parameter, or an object with a field for each parameter."""
    fields = parameters.fields
    if len(fields) < 2:
        wanted = schema_of(endpoint.request_type, found) if fields else {}
        one = endpoint.batched and not is_list(endpoint.request_type)
        return openapi.one_or_many(wanted) if one else wanted
    return {
        "type": "object",
        "properties": {name: schema_of(field.annotation, found) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }


def _files(endpoint: Endpoint[..., object], parameters: Parameters, found: Schema) -> Schema:
    properties: Schema = {}
    for name, field in parameters.fields.items():
        listed = is_list(field.annotation)
        properties[name] = _BINARY if name in parameters.files else schema_of(field.annotation, found)
        if name in parameters.files and listed:
            properties[name] = {"type": "array", "items": _BINARY}
    form: Schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name, field in parameters.fields.items() if field.required],
        "additionalProperties": False,
    }
    takes: Schema = {uploads.FORM.decode(): {"schema": form}}
    if parameters.raw:
        pictures = "picture" in parameters.files.values()
        takes["image/*" if pictures else BYTES.decode()] = {"schema": _BINARY}
    if set(parameters.files.values()) == {"bytes"}:
        takes["application/json"] = {"schema": _wanted(endpoint, parameters, found)}
    return takes


def _gives(endpoint: Endpoint[..., object], found: Schema) -> Schema:
    """Return the schemas of the answer by media type."""
    if endpoint.streams:
        item = endpoint.item_type
        if bare(item) is bytes:
            return {BYTES.decode(): _BINARY}
        return {LINES.decode(): schema_of(item, found), EVENTS.decode(): {"type": "string"}}
    given = endpoint.response_type
    kind = uploads.kind_of(given) if not is_list(given) else ""
    if kind:
        return {{"bytes": BYTES.decode(), "file": "*/*", "picture": "image/png"}[kind]: _BINARY}
    answer = schema_of(given, found)
    one = endpoint.batched and not is_list(endpoint.request_type)
    return {"application/json": openapi.one_or_many(answer) if one else answer}
