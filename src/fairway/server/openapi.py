"""The OpenAPI 3.1 description of an endpoint. Pure: no input or output."""

from typing import cast

from fairway.spec.model import Feature, Signature

Schema = dict[str, object]

_TYPES: dict[str, str] = {
    "BOOL": "boolean",
    "BYTES": "string",
    "FP16": "number",
    "FP32": "number",
    "FP64": "number",
}
_KINDS: dict[str, Schema] = {
    "datetime": {"type": "string", "description": "a date and time in ISO 8601"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "description": "a time of day in ISO 8601"},
    "duration": {"type": "string", "format": "duration"},
    "period": {"type": "string", "description": "a period such as 2026-01"},
}
_ERROR: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "id": {"type": "string"}},
    "required": ["error"],
}


def describe(
    name: str, version: str, request: Schema, answer: Schema, *, example: object = None, private: bool = False
) -> Schema:
    """Return the document with the routes that every endpoint has.

    Args:
        request: schema of the body of `POST /`.
        answer: schema of its answer.
        example: a request that works.
        private: true if the endpoint needs a key.
    """
    body: Schema = {"schema": request}
    if example is not None:
        body["example"] = example
    predict: Schema = {
        "operationId": "predict",
        "summary": f"Ask {name}",
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": _responses(answer),
    }
    paths: Schema = {
        "/": {"post": predict},
        f"/v2/models/{name}": {"get": _get("metadata", "Inputs and outputs")},
        "/v2/health/live": {"get": _get("live", "Whether the server runs")},
        "/v2/health/ready": {"get": _get("ready", "Whether the server answers")},
    }
    document: Schema = {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version},
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }
    if private:
        document["components"] = {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        }
        document["security"] = [{"key": []}]
    return document


def with_tensors(document: Schema, name: str) -> Schema:
    """Add the route for tensors, which only models have, and return the document."""
    infer: Schema = {
        "operationId": "infer",
        "summary": "Open Inference Protocol v2",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _infer_schema()},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": _responses({"type": "object"}),
    }
    paths = cast("Schema", document["paths"])
    return {**document, "paths": {**paths, f"/v2/models/{name}/infer": {"post": infer}}}


def one_or_many(schema: Schema) -> Schema:
    """Return the schema of one value or a list of values. It uses `anyOf`, because a value that is a list fits both."""
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


def row_schema(signature: Signature, nullable: frozenset[str] = frozenset()) -> Schema:
    """Return the schema of one row: an object by column, or a list by position. Columns in `nullable` may be null."""
    if signature.layout == "tensor":
        spec = signature.inputs[0]
        element: Schema = {"type": _TYPES.get(spec.datatype, "integer")}
        listed = _nested(element, spec.shape[1:])
        if not signature.columns:
            return listed
        fields: Schema = {name: _or_null(element, name in nullable) for name in signature.columns}
    else:
        features = {feature.name: feature for feature in signature.features}
        fields = {
            spec.name: _or_null(_value(spec.datatype, features.get(spec.name)), spec.name in nullable)
            for spec in signature.inputs
        }
        listed = {"type": "array", "minItems": len(fields), "maxItems": len(fields)}
    return {"oneOf": [{"type": "object", "properties": fields, "required": list(fields)}, listed]}


def describe_features(signature: Signature, nullable: frozenset[str]) -> dict[str, Schema]:
    """Return what the metadata says about columns beyond their datatype: meaning of a text, categories, null."""
    found: dict[str, Schema] = {name: {"nullable": True} for name in sorted(nullable)}
    for feature in signature.features:
        said: Schema = {"kind": feature.kind} if feature.kind else {}
        if feature.categories:
            said["categories"] = list(feature.categories)
        elif feature.kind and feature.dtype and not feature.dtype.startswith("object"):
            said["dtype"] = feature.dtype
        if said:
            found[feature.name] = {**said, **found.get(feature.name, {})}
    return found


def _value(datatype: str, feature: Feature | None) -> Schema:
    """Return the schema of one cell of a column."""
    kind = feature.kind if feature is not None else ""
    if kind in _KINDS:
        return _KINDS[kind]
    if feature is not None and feature.unknown == "refused":
        return {"enum": list(feature.categories)}
    return {"type": _TYPES.get(datatype, "integer")}


def _or_null(schema: Schema, nullable: bool) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]} if nullable else schema


def answer_schema(signature: Signature) -> Schema:
    """Return the schema of the answer for one row."""
    outputs = {
        spec.name: _nested({"type": _TYPES.get(spec.datatype, "integer")}, spec.shape[1:])
        for spec in signature.outputs
    }
    if "probabilities" in outputs and signature.classes:
        outputs["probabilities"] = {"type": "object", "additionalProperties": {"type": "number"}}
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    return {"type": "object", "properties": dict(outputs), "required": list(outputs)}


def _nested(element: Schema, shape: tuple[int, ...]) -> Schema:
    schema = element
    for size in reversed(shape):
        schema = {"type": "array", "items": schema}
        if size > 0:
            schema |= {"minItems": size, "maxItems": size}
    return schema  # pyright: ignore[reportReturnType]


def _responses(good: Schema) -> Schema:
    error = {"description": "Refused; `error` says why", "content": {"application/json": {"schema": _ERROR}}}
    codes = ("400", "401", "403", "404", "408", "413", "415", "429", "500", "504")
    answer: object = {"description": "The answer", "content": {"application/json": {"schema": good}}}
    return {"200": answer, **dict.fromkeys(codes, error)}


def _get(name: str, summary: str) -> Schema:
    return {"operationId": name, "summary": summary, "responses": _responses({"type": "object"})}


def _infer_schema() -> Schema:
    tensor: Schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype"],
    }
    return {
        "type": "object",
        "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": tensor, "minItems": 1}},
        "required": ["inputs"],
    }
