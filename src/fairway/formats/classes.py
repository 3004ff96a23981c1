"""Names classes in stored content and finds them again, so that data can be rebuilt as a project's own types.

Only dataclasses, msgspec Structs, enumerations and named tuples are ever rebuilt, and none of their methods
runs except a Struct's constructor. Knows nothing of JSON.
"""

import dataclasses
import importlib
import sys
from enum import Enum
from typing import Any, Generic, Protocol, cast

import msgspec

from fairway.spec.errors import SerializationError

_EMPTY: tuple[object, ...] = (object, Generic, Protocol)
_STATE_METHODS = (
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs__",
    "__getnewargs_ex__",
)


def class_name(cls: type[Any]) -> str | None:
    """Its "module:qualname", if that finds the class again in another process; else None."""
    if cls.__module__ == "__main__" or "<" in cls.__qualname__:
        return None
    try:
        found = _walk(sys.modules[cls.__module__], cls.__qualname__)
    except (KeyError, AttributeError):
        return None
    return f"{cls.__module__}:{cls.__qualname__}" if found is cls else None


def find_class(name: str, *, importing: bool) -> type[Any]:
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


def is_record(cls: type[Any]) -> bool:
    """Whether instances are nothing but their fields: a Struct, or a dataclass without own pickling."""
    if issubclass(cls, msgspec.Struct):
        return True
    if not dataclasses.is_dataclass(cls) or any(_own_pickling(cls, name) for name in _STATE_METHODS):
        return False
    bases: tuple[Any, ...] = cls.__mro__
    return all(base in _EMPTY or dataclasses.is_dataclass(base) or base.__module__ == "abc" for base in bases)


def _own_pickling(cls: type[Any], name: str) -> bool:
    method = getattr(cls, name, None)
    return method is not getattr(object, name, None) and getattr(method, "__module__", "") != "dataclasses"


def is_named_tuple(cls: type[Any]) -> bool:
    """Whether it was made by `typing.NamedTuple` or `collections.namedtuple`."""
    bases: tuple[Any, ...] = cls.__bases__
    return bases == (tuple,) and isinstance(getattr(cls, "_fields", None), tuple)


def fields_of(value: Any) -> dict[str, object] | None:
    """The fields of a record by name, or None when it holds more than its fields or less."""
    cls = cast(type[Any], type(value))
    names = _field_names(cls)
    if set(getattr(value, "__dict__", ())) - set(names):
        return None
    try:
        return {name: getattr(value, name) for name in names}
    except AttributeError:
        return None


def rebuild(cls: type[Any], fields: dict[str, object]) -> object:
    """A record with these fields, without running `__init__` or `__post_init__` of a dataclass.

    Raises:
        SerializationError: the class no longer has these fields.
    """
    struct = issubclass(cls, msgspec.Struct)
    known = _field_names(cls)
    missing = [name for name in known if name not in fields]
    if set(fields) - set(known) or (missing and not struct):
        changed = ", ".join(sorted({*missing, *(set(fields) - set(known))}))
        raise _changed(cls, changed)
    if struct:
        try:
            return cls(**fields)
        except TypeError as error:
            raise _changed(cls, str(error)) from error
    value: Any = object.__new__(cls)
    for name, item in fields.items():
        object.__setattr__(value, name, item)
    return value


def _field_names(cls: type[Any]) -> tuple[str, ...]:
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_fields__
    return tuple(field.name for field in dataclasses.fields(cls))


def _changed(cls: type[Any], what: str) -> SerializationError:
    return SerializationError(
        f"class {cls.__qualname__} has changed since a value of it was stored: {what}",
        hint="run the step that made the value again",
    )


def _walk(module: object, qualname: str) -> object:
    found = module
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
