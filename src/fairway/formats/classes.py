"""Names classes in stored content and finds them again, so that data can be rebuilt as a project's own types.

Only dataclasses, msgspec Structs, enumerations and named tuples are ever rebuilt, and none of their methods runs except
a Struct's constructor. Knows nothing of JSON.
"""

import dataclasses
import importlib
import sys
from enum import Enum
from typing import Any, Generic, Protocol

import msgspec

from fairway.spec.errors import SerializationError

_STATE_METHODS = (
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
)


def class_name(cls: type) -> str | None:
    """Its "module:qualname", if that finds the class again in another process that imports the module; else None."""
    if cls.__module__ == "__main__" or "<" in cls.__qualname__:
        return None
    try:
        found = _walk(sys.modules[cls.__module__], cls.__qualname__)
    except (KeyError, AttributeError):
        return None
    return f"{cls.__module__}:{cls.__qualname__}" if found is cls else None


def find_class(name: str, *, importing: bool) -> type:
    """The class of that name.

    Args:
        name: "module:qualname".
        importing: whether the module may be imported; otherwise it must be loaded already.

    Raises:
        SerializationError: there is no such class, with what to do about it.
    """
    module, _, qualname = name.partition(":")
    if module not in sys.modules and importing:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise SerializationError(
                f"a stored value is of class {qualname}, but its module {module} cannot be imported: {error}",
                hint="keep the module beside the project file, or run the step that made the value again",
            ) from error
    try:
        found = _walk(sys.modules[module], qualname)
    except (KeyError, AttributeError):
        found = None
    if not isinstance(found, type) or not (
        is_record(found) or is_named_tuple(found) or issubclass(found, Enum)
    ):
        raise SerializationError(
            f"a stored value is of class {qualname}, which module {module} does not have",
            hint="undo the renaming, or run the step that made the value again",
        )
    return found


def is_record(cls: type) -> bool:
    """Whether instances are nothing but their fields: a Struct, or a dataclass without other bases or own pickling."""
    if issubclass(cls, msgspec.Struct):
        return True
    if not dataclasses.is_dataclass(cls) or any(
        getattr(cls, name) is not getattr(object, name, None) for name in _STATE_METHODS if hasattr(cls, name)
    ):
        return False
    return all(
        base is object
        or base is Generic
        or base is Protocol
        or dataclasses.is_dataclass(base)
        or base.__module__ == "abc"
        for base in cls.__mro__
    )


def is_named_tuple(cls: type) -> bool:
    """Whether it was made by `typing.NamedTuple` or `collections.namedtuple`."""
    return (
        issubclass(cls, tuple)
        and isinstance(getattr(cls, "_fields", None), tuple)
        and cls.__bases__ == (tuple,)
    )


def fields_of(value: Any) -> dict[str, object] | None:
    """The fields of a record by name, or None when it holds more than its fields or less."""
    cls = type(value)
    names = (
        cls.__struct_fields__
        if issubclass(cls, msgspec.Struct)
        else tuple(f.name for f in dataclasses.fields(cls))
    )
    if set(getattr(value, "__dict__", ())) - set(names):
        return None
    try:
        return {name: getattr(value, name) for name in names}
    except AttributeError:
        return None


def rebuild(cls: type, fields: dict[str, object]) -> object:
    """A record with these fields, without running `__init__` or `__post_init__` of a dataclass.

    Raises:
        SerializationError: the class no longer has these fields.
    """
    struct = issubclass(cls, msgspec.Struct)
    known = cls.__struct_fields__ if struct else tuple(field.name for field in dataclasses.fields(cls))
    missing = [name for name in known if name not in fields]
    if set(fields) - set(known) or (missing and not struct):
        changed = ", ".join(sorted({*missing, *(set(fields) - set(known))}))
        raise _changed(cls, changed)
    if struct:
        try:
            return cls(**fields)
        except TypeError as error:
            raise _changed(cls, str(error)) from error
    value = object.__new__(cls)
    for name, item in fields.items():
        object.__setattr__(value, name, item)
    return value


def _changed(cls: type, what: str) -> SerializationError:
    return SerializationError(
        f"class {cls.__qualname__} has changed since a value of it was stored: {what}",
        hint="run the step that made the value again",
    )


def _walk(module: object, qualname: str) -> object:
    found = module
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
