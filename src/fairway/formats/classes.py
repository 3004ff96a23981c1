"""Names of classes in stored content, so that data can be made into a project's own types again.

Only dataclasses, msgspec Structs, enumerations and named tuples are made. None of their methods runs, except the
constructor of a Struct. This module does not know JSON.
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
"""Methods by which a class takes its pickling into its own hands. Its instances may then be more than their fields."""


def class_name(cls: type[Any]) -> str | None:
    """Return the name "module:qualname" of a class, or None when another process cannot find the class by its name."""
    if cls.__module__ == "__main__" or "<" in cls.__qualname__:
        return None
    try:
        found = _walk(sys.modules[cls.__module__], cls.__qualname__)
    except (KeyError, AttributeError):
        return None
    return f"{cls.__module__}:{cls.__qualname__}" if found is cls else None


def find_class(name: str, *, importing: bool) -> type[Any]:
    """Return the class with that name.

    Args:
        name: "module:qualname".
        importing: True allows to import the module. Otherwise it must be loaded already.

    Raises:
        SerializationError: there is no such class. The hint tells what to do about it.
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
    """Tell whether instances consist of their fields alone.

    Instances of a Struct do, and so do instances of a dataclass without own pickling.
    """
    if issubclass(cls, msgspec.Struct):
        return True
    if not dataclasses.is_dataclass(cls) or any(_own_pickling(cls, name) for name in _STATE_METHODS):
        return False
    bases: tuple[Any, ...] = cls.__mro__
    return all(base in _EMPTY or dataclasses.is_dataclass(base) or base.__module__ == "abc" for base in bases)


def _own_pickling(cls: type[Any], name: str) -> bool:
    """Tell whether a class defines this pickling method itself."""
    method = getattr(cls, name, None)
    return method is not getattr(object, name, None) and getattr(method, "__module__", "") != "dataclasses"


def is_named_tuple(cls: type[Any]) -> bool:
    """Tell whether a class was made by `typing.NamedTuple` or `collections.namedtuple`."""
    bases: tuple[Any, ...] = cls.__bases__
    return bases == (tuple,) and isinstance(getattr(cls, "_fields", None), tuple)


def fields_of(value: Any) -> dict[str, object] | None:
    """Return the fields of a record by name, or None when it holds more or less than its fields."""
    cls = cast(type[Any], type(value))
    names = _field_names(cls)
    if set(getattr(value, "__dict__", ())) - set(names):
        return None
    try:
        return {name: getattr(value, name) for name in names}
    except AttributeError:
        return None


def rebuild(cls: type[Any], fields: dict[str, object]) -> object:
    """Make a record with these fields, without running `__init__` or `__post_init__` of a dataclass.

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
    """Return the names of the fields of a Struct or dataclass."""
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_fields__
    return tuple(field.name for field in dataclasses.fields(cls))


def _changed(cls: type[Any], what: str) -> SerializationError:
    """Return the error for a class that no longer fits its stored values."""
    return SerializationError(
        f"class {cls.__qualname__} has changed since a value of it was stored: {what}",
        hint="run the step that made the value again",
    )


def _walk(module: object, qualname: str) -> object:
    """Return the object at the end of a dotted name. Raises AttributeError."""
    found = module
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
