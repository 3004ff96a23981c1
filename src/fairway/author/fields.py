"""The fields of dataclasses, msgspec structs, TypedDicts, named tuples and attrs classes, with their types."""

import dataclasses
import inspect
import sys
import types
from collections.abc import Mapping
from typing import (
    Any,
    Generic,
    NotRequired,
    Required,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec


class Field(msgspec.Struct, frozen=True):
    """A field of a record.

    Attributes:
        name: its name in the constructor.
        annotation: its type.
        required: True when it has no default.
    """

    name: str
    annotation: object
    required: bool


def is_record(kind: object) -> bool:
    """Tell whether a type, or the generic type behind it, has named fields."""
    base = cast("Any", get_origin(kind) or kind)
    return isinstance(base, type) and _has_fields(cast("type[Any]", base))


def _has_fields(base: type[Any]) -> bool:
    """Tell whether a class is of a kind that has named fields."""
    return (
        dataclasses.is_dataclass(base)
        or issubclass(base, msgspec.Struct)
        or is_typed_dict(base)
        or is_named_tuple(base)
        or hasattr(base, "__attrs_attrs__")
    )


def is_typed_dict(kind: object) -> bool:
    """Tell whether a type is a TypedDict."""
    return isinstance(kind, type) and issubclass(kind, dict) and hasattr(cast("object", kind), "__total__")


def is_named_tuple(kind: object) -> bool:
    """Tell whether a type is a named tuple."""
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(cast("object", kind), "_fields")


def of(kind: object) -> dict[str, Field]:
    """Return the fields of a record type, by the name that JSON uses for them."""
    base: Any = get_origin(kind) or kind
    hints, names = _hints(base), _bound(kind)

    def field(name: str, required: bool, made: str = "") -> Field:
        annotation: Any = hints.get(name, object)
        while get_origin(annotation) in (Required, NotRequired):
            annotation = get_args(annotation)[0]
        if type(cast("object", annotation)) is dataclasses.InitVar:
            annotation = getattr(annotation, "type", object)
        return Field(made or name, _filled(annotation, names), required)

    if issubclass(base, msgspec.Struct):
        return {
            one.encode_name: field(one.name, one.required)
            for one in msgspec.structs.fields(cast("type", base))
        }
    if is_typed_dict(base):
        return {name: field(name, name in base.__required_keys__) for name in hints}
    if is_named_tuple(base):
        return {name: field(name, name not in base._field_defaults) for name in base._fields}
    if hasattr(base, "__attrs_attrs__"):
        return {
            one.alias: field(one.name, repr(one.default) == "NOTHING", one.alias)
            for one in base.__attrs_attrs__
            if one.init
        }
    missing = dataclasses.MISSING
    return {
        one.name: field(one.name, one.default is missing and one.default_factory is missing)
        for one in base.__dataclass_fields__.values()
        if one.init and one._field_type.name != "_FIELD_CLASSVAR"
    }


def _hints(base: Any) -> dict[str, object]:
    """Return the annotations by field. An annotation that cannot be evaluated is replaced by `object`."""
    try:
        return get_type_hints(base, include_extras=True)
    except Exception:
        found: dict[str, object] = {}
    for kind in reversed(base.__mro__):
        scope = vars(sys.modules.get(kind.__module__, types.ModuleType("")))
        for name, annotation in inspect.get_annotations(kind).items():
            holder = types.SimpleNamespace(__annotations__={"it": annotation})
            try:
                found[name] = get_type_hints(holder, scope, {kind.__name__: kind}, include_extras=True)["it"]
            except Exception:
                found[name] = object
    return found


def _bound(kind: object) -> dict[object, object]:
    """Return the types that fill the variables of a generic type and of its generic bases."""
    base: Any = get_origin(kind) or kind
    parameters = getattr(base, "__parameters__", ())
    found: dict[object, object] = dict(zip(parameters, get_args(kind), strict=False))
    for parent in getattr(base, "__orig_bases__", ()):
        if get_origin(parent) not in (None, Generic):
            inner = _bound(parent)
            found |= {name: _filled(item, found) for name, item in inner.items() if name not in found}
    return found


def _filled(annotation: object, names: Mapping[object, object]) -> object:
    """Return the annotation with its type variables replaced.

    An unknown variable is replaced by its bound or `object`.
    """
    if isinstance(annotation, TypeVar):
        return names.get(annotation, annotation.__bound__ or object)
    parameters = getattr(annotation, "__parameters__", ())
    if not parameters or isinstance(annotation, type):
        return annotation
    filled: Any = annotation
    return filled[tuple(_filled(one, names) for one in parameters)]
