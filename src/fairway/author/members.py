"""The code and state inside Python objects: behind decorators, in closures, in the members of classes and in slots.

This module does not know which code belongs to the project.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from types import FunctionType, MemberDescriptorType, MethodType
from typing import cast

from fairway.author.session import is_ref


def accessors(member: object) -> tuple[object, ...]:
    """Return the objects that run when a member of a class is used."""
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    if isinstance(member, functools.cached_property | functools.partialmethod):
        held = cast("dict[str, object]", vars(cast("object", member)))
        return tuple(held.get(name) for name in ("func", "args", "keywords") if name in held)
    return (member,)


def is_written_in(function: FunctionType, kind: type) -> bool:
    """Tell whether the source of a class contains a function or generated it, such as the `__init__` of a dataclass."""
    compiled = function.__code__
    if function.__module__ != kind.__module__ or not function.__qualname__.startswith(
        f"{kind.__qualname__}."
    ):
        return False
    return compiled.co_filename.startswith("<") or compiled.co_qualname.startswith(f"{kind.__qualname__}.")


def function_of(value: object) -> FunctionType | None:
    """Return the Python function behind a function, task, cached or static function. Other values give None."""
    for _ in range(8):
        if isinstance(value, FunctionType):
            return value
        if isinstance(value, staticmethod | classmethod):
            value = cast("object", cast("staticmethod[..., object]", value).__func__)
        elif not isinstance(value, type | MethodType) and not is_ref(value):
            held = getattr(value, "__dict__", None)
            if not isinstance(held, Mapping) or "__wrapped__" not in held:
                return None
            value = cast("Mapping[str, object]", held)["__wrapped__"]
        else:
            return None
    return None


def cells(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield the enclosed variables of a function that have a value."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        with contextlib.suppress(ValueError):
            yield name, cast("object", cell.cell_contents)


def fields(value: object) -> Iterator[tuple[str, object]]:
    """Yield the attributes of an object, those in slots included."""
    held = cast("dict[str, object]", getattr(value, "__dict__", {}))
    yield from sorted(held.items())
    for kind in type(value).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, MemberDescriptorType) and not name.startswith("__"):
                yield name, getattr(value, name, None)
