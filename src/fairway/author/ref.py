"""`Ref`: a stand-in for a value that a step is still making, which behaves like the value wherever Python lets it.

Handing a Ref to a task makes an edge and waits for nothing. Any other use waits for the step and goes on with its value;
a failed step raises `StepFailed` there. Knows nothing of how waiting is done.
"""

import operator
from collections.abc import Callable
from typing import TypeVar, cast

from fairway.spec.artifact import Artifact, RefData

T = TypeVar("T")

_UNSET = object()


class Ref:
    """A value in the making. Users see it typed as the value itself; `fairway.value(ref)` asks for the value outright."""

    __slots__ = ("__weakref__", "_fairway_load", "_fairway_node", "_fairway_value")
    __fairway_ref__ = True

    def __init__(self, node: RefData | Artifact, load: Callable[[], object]) -> None:
        object.__setattr__(self, "_fairway_node", node)
        object.__setattr__(self, "_fairway_load", load)
        object.__setattr__(self, "_fairway_value", _UNSET)

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return type(_value(self))

    def __getattr__(self, name: str) -> object:
        return getattr(_value(self), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(_value(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_value(self), name)

    def __dir__(self) -> list[str]:
        return dir(_value(self))

    def __call__(self, *args: object, **kwargs: object) -> object:
        return cast("Callable[..., object]", _value(self))(*args, **kwargs)

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        array = getattr(_value(self), "__array__", None)
        if array is not None:
            return array() if dtype is None else array(dtype)
        return _as_array(_value(self), dtype)

    def __fspath__(self) -> str:
        return cast("Callable[[], str]", _value(self).__fspath__)()  # type: ignore[attr-defined]

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return (_identity, (_value(self),))

    def __copy__(self) -> object:
        return _copy(_value(self), deep=False)

    def __deepcopy__(self, memo: object) -> object:
        return _copy(_value(self), deep=True)


def _value(ref: Ref) -> object:
    value = object.__getattribute__(ref, "_fairway_value")
    if value is _UNSET:
        value = object.__getattribute__(ref, "_fairway_load")()
        object.__setattr__(ref, "_fairway_value", value)
    return value


def node_of(ref: object) -> RefData | Artifact:
    """What a Ref stands for, without waiting."""
    return object.__getattribute__(ref, "_fairway_node")


def value(ref: T) -> T:
    """The value of a Ref, waiting for its step; anything else is returned as it is.

    Raises:
        StepFailed: when the step ended without a result.
    """
    return cast("T", _value(ref)) if type(ref) is Ref else ref


def _identity(item: object) -> object:
    return item


def _copy(item: object, *, deep: bool) -> object:
    import copy

    return copy.deepcopy(item) if deep else copy.copy(item)


def _as_array(item: object, dtype: object) -> object:
    import numpy

    return numpy.asarray(item, dtype=cast("None", dtype))


def _unary(function: Callable[..., object]) -> Callable[..., object]:
    def method(self: Ref, *args: object) -> object:
        return function(_value(self), *args)

    return method


def _binary(function: Callable[[object, object], object]) -> Callable[..., object]:
    def method(self: Ref, other: object) -> object:
        return function(_value(self), value(other))

    return method


def _reflected(function: Callable[[object, object], object]) -> Callable[..., object]:
    def method(self: Ref, other: object) -> object:
        return function(value(other), _value(self))

    return method


def _power(self: Ref, other: object, modulo: object = None) -> object:
    return pow(_value(self), value(other), modulo)  # type: ignore[call-overload]


def _setitem(self: Ref, key: object, item: object) -> None:
    _value(self)[value(key)] = value(item)  # type: ignore[index]


def _enter(self: Ref) -> object:
    return type(_value(self)).__enter__(_value(self))  # type: ignore[attr-defined]


def _exit(self: Ref, *args: object) -> object:
    return type(_value(self)).__exit__(_value(self), *args)  # type: ignore[attr-defined]


_UNARY: dict[str, Callable[..., object]] = {
    "bool": bool, "len": len, "iter": iter, "next": next, "hash": hash, "str": str, "repr": repr, "bytes": bytes,
    "int": int, "float": float, "complex": complex, "index": operator.index, "reversed": reversed,
    "round": round, "format": format, "neg": operator.neg, "pos": operator.pos, "abs": abs,
    "invert": operator.invert,
}  # fmt: skip
_BINARY = ["eq", "ne", "lt", "le", "gt", "ge", "getitem", "delitem", "contains"]
_ARITHMETIC = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "lshift",
    "rshift",
    "and",
    "or",
    "xor",
    "matmul",
]


def _install() -> None:
    for name, function in _UNARY.items():
        setattr(Ref, f"__{name}__", _unary(function))
    for name in _BINARY:
        setattr(Ref, f"__{name}__", _binary(getattr(operator, f"__{name}__")))
    for name in _ARITHMETIC:
        plain = getattr(operator, f"__{name}__")
        setattr(Ref, f"__{name}__", _binary(plain))
        setattr(Ref, f"__r{name}__", _reflected(plain))
        setattr(Ref, f"__i{name}__", _binary(getattr(operator, f"__i{name}__")))
    for name, method in {
        "pow": _power, "rpow": _reflected(pow), "divmod": _binary(divmod), "rdivmod": _reflected(divmod),
        "setitem": _setitem, "enter": _enter, "exit": _exit,
    }.items():  # fmt: skip
        setattr(Ref, f"__{name}__", method)


_install()
