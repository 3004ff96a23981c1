"""`Ref`: a stand-in for the value that a step is still making.

A `Ref` behaves like its value wherever Python allows that. Handing a `Ref` to a task makes an edge and waits for
nothing. Any other use waits for the step and goes on with its value. If the step failed, that use raises
`StepFailed`. This module does not know how waiting is done.
"""

import copy
import functools
import linecache
import math
import operator
import os
import re
import traceback
from collections.abc import Callable, Iterable
from types import FrameType
from typing import NoReturn, TypeVar, cast

from fairway.author.source import is_project_file
from fairway.spec.artifact import Artifact, RefData
from fairway.spec.errors import UsageError

T = TypeVar("T")

_UNSET = object()
_OWN = frozenset({"__array__", "__copy__", "__deepcopy__", "__reduce_ex__"})
_CHANGING: dict[type, frozenset[str]] = {
    list: frozenset(["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"]),
    dict: frozenset(["clear", "pop", "popitem", "setdefault", "update"]),
    set: frozenset(["add", "clear", "discard", "pop", "remove", "update"]),
}
_BLIND = (TypeError, ValueError, KeyError, AttributeError, IndexError)


class _Faceless(type):
    """A metaclass that hides the methods of `Ref` from `isinstance(ref, Iterable)` and similar checks.

    With an empty method resolution order, `isinstance` falls back to the class of the value.
    """

    @property
    def __mro__(cls) -> tuple[type, ...]:
        return ()


class Ref(metaclass=_Faceless):
    """A value that a step is still making. Type checkers see the type of the value itself.

    `is`, `match` with a list or dict pattern, `callable` and some functions written in C look at the object and not
    at its behaviour. Hand them `fairway.value(ref)`. A `Ref` cannot be changed in place, because the steps that it is
    handed to get the result as the step left it. Change `fairway.value(ref)` and hand that on.
    """

    __slots__ = ("__weakref__", "_fairway_load", "_fairway_node", "_fairway_value")
    __fairway_ref__ = True

    def __init__(self, node: RefData | Artifact, load: Callable[[], object]) -> None:
        object.__setattr__(self, "_fairway_node", node)
        object.__setattr__(self, "_fairway_load", load)
        object.__setattr__(self, "_fairway_value", _UNSET)

    def __getattribute__(self, name: str) -> object:
        # `copy`, `pickle` and numpy ask the object itself for these, so `Ref` has its own, which hand the value on.
        if name in _OWN:
            return object.__getattribute__(self, name)
        held = _value(self)
        if name in _CHANGING.get(type(held), ()):
            return functools.partial(_refuse_change, self)
        return getattr(held, name)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> object:
        import numpy

        kind = cast("None", dtype)
        return numpy.array(_value(self), dtype=kind) if copy else numpy.asarray(_value(self), dtype=kind)

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return (_identity, (_value(self),))

    def __copy__(self) -> object:
        return copy.copy(_value(self))

    def __deepcopy__(self, memo: dict[int, object]) -> object:
        return copy.deepcopy(_value(self), memo)


def _value(ref: Ref) -> object:
    """Return the value of a `Ref`. The first call loads it, and later calls return the same object."""
    held = object.__getattribute__(ref, "_fairway_value")
    if held is _UNSET:
        held = cast("Callable[[], object]", object.__getattribute__(ref, "_fairway_load"))()
        object.__setattr__(ref, "_fairway_value", held)
    return held


def node_of(ref: object) -> RefData | Artifact:
    """Return the step output or artifact that a `Ref` stands for, without waiting."""
    return cast("RefData | Artifact", object.__getattribute__(ref, "_fairway_node"))


def value(ref: T) -> T:
    """Return the value of a `Ref`, after waiting for its step. Anything else is returned as it is.

    Raises:
        StepFailed: the step ended without a result.
    """
    return cast("T", _value(ref)) if type(ref) is Ref else ref


def hint_for(error: BaseException) -> str:
    """Return a hint when an error may come from code that cannot wait for a `Ref`, otherwise an empty text.

    An error is a likely one when it names the type `Ref`, when it passed through a library's function that held a
    `Ref`, or when the line of the user that raised it names a variable with a `Ref`.
    """
    if not isinstance(error, _BLIND):
        return ""
    named = re.search(r"\bRef\b", str(error)) is not None
    places = [(frame, _line(frame)) for frame, _ in traceback.walk_tb(error.__traceback__)]
    written = [(frame, line) for frame, line in places if line]
    suspects = written[-1:]
    if suspects and suspects[0][0].f_code.co_filename != __file__:
        suspects += [one for one in written if not is_project_file(one[0].f_code.co_filename)]
    if named or any(_had_ref(frame, line) for frame, line in suspects):
        return "give the value itself where a step's result is used: `fw.value(…)`"
    return ""


def _line(frame: FrameType) -> str:
    """Return the line of source that a frame is at. It is empty for compiled code."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno)


def _had_ref(frame: FrameType, line: str) -> bool:
    """Tell whether the line names a variable that holds a `Ref`.

    Frames of this file do not count, because a method of `Ref` fails exactly as the value does. The exception is
    `__index__`: code in C, such as that of `os.path.exists`, calls it on every `Ref`, whatever the value is.
    """
    if frame.f_code.co_filename == __file__:
        return frame.f_locals.get("function") is operator.index
    named = set(re.findall(r"\w+", line))
    return any(name in named and _holds_ref(held) for name, held in frame.f_locals.items())


def _holds_ref(held: object) -> bool:
    """Tell whether a value is a `Ref`, or a list, tuple or dict with a `Ref` in it."""
    if type(held) is Ref:
        return True
    if type(held) is dict:
        held = list(cast("dict[object, object]", held).values())
    return type(held) in (list, tuple) and any(type(item) is Ref for item in cast("list[object]", held))


def _identity(item: object) -> object:
    return item


def _refuse_change(self: Ref, *_: object, **__: object) -> NoReturn:
    """Raise UsageError for an attempt to change the value of a `Ref` in place."""
    node = node_of(self)
    whose = f"the result of {node.step}" if isinstance(node, RefData) else "this value"
    raise UsageError(
        f"{whose} cannot be changed in place, because the steps it is handed to would not see that",
        hint="change your own: `own = copy.copy(fw.value(…))`",
    )


def _unary(function: Callable[..., object]) -> Callable[..., object]:
    """Make a method that applies the function to the value and to the values of all other arguments."""

    def method(self: Ref, *args: object) -> object:
        return function(_value(self), *map(value, args))

    return method


def _reflected(function: Callable[..., object]) -> Callable[..., object]:
    """Make a method for `other + ref`: the value is the second operand."""

    def method(self: Ref, other: object) -> object:
        return function(value(other), _value(self))

    return method


def _updated(function: Callable[..., object]) -> Callable[..., object]:
    """Make a method for `ref += other`: it works on a copy, so that other steps still see the result unchanged."""

    def method(self: Ref, other: object) -> object:
        return function(copy.copy(_value(self)), value(other))

    return method


def _enter(held: object) -> object:
    """Call `__enter__` of the value's type."""
    return cast("Callable[[object], object]", getattr(type(held), "__enter__"))(held)  # noqa: B009


def _exit(held: object, *args: object) -> object:
    """Call `__exit__` of the value's type."""
    return cast("Callable[..., object]", getattr(type(held), "__exit__"))(held, *args)  # noqa: B009


_PLAIN: Iterable[tuple[str, Callable[..., object]]] = (
    ("bool", bool), ("len", len), ("iter", iter), ("hash", hash), ("str", str), ("repr", repr),
    ("bytes", bytes), ("int", int), ("float", float), ("complex", complex), ("index", operator.index),
    ("reversed", reversed), ("round", round), ("format", format), ("neg", operator.neg), ("pos", operator.pos),
    ("abs", abs), ("invert", operator.invert), ("floor", math.floor), ("ceil", math.ceil), ("trunc", math.trunc),
    ("dir", dir), ("fspath", os.fspath), ("enter", _enter), ("exit", _exit), ("eq", operator.eq),
    ("ne", operator.ne), ("lt", operator.lt), ("le", operator.le), ("gt", operator.gt), ("ge", operator.ge),
    ("getitem", operator.getitem), ("contains", operator.contains), ("pow", pow), ("divmod", divmod),
)  # fmt: skip
_ARITHMETIC = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "lshift", "rshift", "and", "or", "xor", "matmul", "pow",
)  # fmt: skip


def _install() -> None:
    """Give `Ref` every special method that Python looks up on the type."""
    for name, function in _PLAIN:
        setattr(Ref, f"__{name}__", _unary(function))
    for name in ("setitem", "delitem", "setattr", "delattr"):
        setattr(Ref, f"__{name}__", _refuse_change)
    for name in _ARITHMETIC:
        plain = cast("Callable[..., object]", getattr(operator, f"__{name}__"))
        # `pow` takes a third argument, so it is among the plain ones above.
        if name != "pow":
            setattr(Ref, f"__{name}__", _unary(plain))
        setattr(Ref, f"__r{name}__", _reflected(plain))
        setattr(Ref, f"__i{name}__", _updated(getattr(operator, f"__i{name}__")))
    setattr(Ref, "__rdivmod__", _reflected(divmod))  # noqa: B010


_install()
