"""What a task's result depends on in the project's code, as digests that ignore comments, docstrings and layout.

A function's own source counts, and, followed recursively, every project function, class, module and constant
it refers to. Installed packages do not: the environment's digest stands for them. Where the source is not what
was imported (a notebook cell that is gone, a file edited meanwhile), the compiled code stands in.
"""

import contextlib
import enum
import functools
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import cast

from fairway.author import source
from fairway.author.session import is_ref

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_CONTAINERS = (list, tuple, set, frozenset, dict)
_SLOTS = (MemberDescriptorType, GetSetDescriptorType)
_MISSING = object()


def parts(function: Callable[..., object]) -> dict[str, str]:
    """Digests by part: "function train", "helper clean", "class Net", "constant RATE", "module features".

    Parts of other modules than the function's own carry their module's name: "helper features.clean".
    """
    inner = _function_of(function)
    if inner is None:
        return {"function ?": _digest(repr(function))}
    walk = _Walk(inner.__module__)
    walk.function(inner, f"function {inner.__qualname__}")
    return walk.found


class _Walk:
    """Follows references from one function. `home` is its module, whose name the parts leave out."""

    def __init__(self, home: str) -> None:
        self.found: dict[str, str] = {}
        self._home = home
        self._seen: dict[int, object] = {}
        self._open: set[int] = set()

    def function(self, function: FunctionType, label: str) -> None:
        """Count a function and what it refers to."""
        if not self._first(function):
            return
        if label.startswith("function ") or source.is_project(function.__module__):
            self._add(label, _source_of(function))
            self._references(function)
        else:
            self._wrapped(function)

    def value(self, name: str, value: object) -> None:
        """Count something a function refers to as `name`, if it is the project's or plain data."""
        if is_ref(value):
            return  # asking for its type would load what it stands for
        if isinstance(value, ModuleType):
            self._modules(value.__name__)
        elif (text := self._text(value)) is not None:
            self._add(f"constant {name}", text)

    def _references(self, function: FunctionType) -> None:
        own = self._local(function.__module__, function.__qualname__)
        for name, value in (function.__kwdefaults__ or {}).items():
            self.value(f"{own}.{name}", value)
        for number, value in enumerate(function.__defaults__ or ()):
            self.value(f"{own}.default {number}", value)
        for name, value in _cells(function):
            self.value(f"{own}.{name}", value)
        if "__wrapped__" in vars(function):
            self.value(f"{own}.wrapped", vars(function)["__wrapped__"])
        for chain in source.global_names(function.__code__):
            value = function.__globals__.get(chain[0], _MISSING)
            name = self._local(function.__module__, chain[0])
            for part in chain[1:]:
                if is_ref(value) or not isinstance(value, ModuleType) or part not in vars(value):
                    break
                name = f"{value.__name__}.{part}"
                value = vars(value)[part]
            if value is not _MISSING:
                self.value(name, value)
        for module in source.imported_names(function.__code__, function.__globals__.get("__package__")):
            self._modules(module)

    def _wrapped(self, function: FunctionType) -> None:
        """Look through a function of an installed decorator for the project's function inside."""
        inside = [value for _, value in _cells(function)]
        inside.append(vars(function).get("__wrapped__"))
        for value in inside:
            inner = _function_of(value)
            if inner is not None:
                self.function(inner, self._label("helper", inner.__module__, inner.__qualname__))

    def _class(self, kind: type) -> None:
        if not source.is_project(kind.__module__) or not self._first(kind):
            return
        own = self._local(kind.__module__, kind.__qualname__)
        text = source.class_text(kind)
        self._add(f"class {own}", text or "")
        for base in kind.__mro__[1:]:
            self._class(base)
        for name, member in vars(kind).items():
            if name.startswith("__") and not callable(member):
                continue
            accessors = (member.fget, member.fset, member.fdel) if isinstance(member, property) else (member,)
            for accessor in accessors:
                inner = _function_of(accessor)
                if inner is None:
                    if not isinstance(accessor, _SLOTS):
                        self.value(f"{own}.{name}", accessor)
                elif text is None:
                    self.function(inner, f"helper {own}.{name}")
                elif inner.__module__ == kind.__module__ and self._first(inner):
                    self._references(inner)

    def _modules(self, name: str) -> None:
        for module, text in source.module_texts(name):
            self._add(f"module {module}", text)

    def _text(self, value: object) -> str | None:
        """A deterministic text for a value, counting the functions and classes in it; None when there is none."""
        if is_ref(value) or isinstance(value, ModuleType):
            return None
        if isinstance(value, _PLAIN):
            return repr(value) if type(value) in _PLAIN else self._state(value)
        if id(value) in self._open:
            return "…"
        self._open.add(id(value))
        try:
            return self._code(value) or self._contents(value) or self._state(value)
        finally:
            self._open.discard(id(value))

    def _code(self, value: object) -> str | None:
        if isinstance(value, functools.partial):
            whole = cast("functools.partial[object]", value)
            return self._text((whole.func, whole.args, whole.keywords))
        if isinstance(value, MethodType):
            return self._text((value.__func__, value.__self__))
        inner = _function_of(value)
        if inner is not None:
            if inner.__module__ != "builtins":
                self.function(inner, self._label("helper", inner.__module__, inner.__qualname__))
            return f"{inner.__module__}.{inner.__qualname__}"
        if isinstance(value, type):
            self._class(value)
            return f"{value.__module__}.{value.__qualname__}"
        return None

    def _contents(self, value: object) -> str | None:
        if not isinstance(value, _CONTAINERS):
            return None
        exact = type(cast("object", value))
        kind = exact.__name__
        self._class(exact)
        if isinstance(value, dict):
            pairs = cast("dict[object, object]", value).items()
            return f"{kind}({[(self._text(key), self._text(item)) for key, item in pairs]})"
        texts = [str(self._text(item)) for item in cast("list[object]", value)]
        return f"{kind}({sorted(texts) if isinstance(value, set | frozenset) else texts})"

    def _state(self, value: object) -> str | None:
        kind = type(value)
        if isinstance(value, enum.Enum):
            self._class(kind)
            return f"{kind.__qualname__}.{value.name}={self._text(cast('object', value.value))}"
        if source.is_project(kind.__module__):
            self._class(kind)
            return f"{kind.__qualname__}{[(name, self._text(item)) for name, item in _fields(value)]}"
        return self._pickled(value)

    def _pickled(self, value: object) -> str | None:
        with contextlib.suppress(Exception):
            return _digest_bytes(_pickle(value, self._text))
        return None

    def _first(self, value: object) -> bool:
        new = id(value) not in self._seen
        self._seen[id(value)] = value
        return new

    def _local(self, module: str, name: str) -> str:
        return name if module == self._home else f"{module}.{name}"

    def _label(self, kind: str, module: str, name: str) -> str:
        return f"{kind} {self._local(module, name)}"

    def _add(self, label: str, text: str) -> None:
        digest, name, count = _digest(text), label, 1
        while self.found.setdefault(name, digest) != digest:
            count += 1
            name = f"{label} ({count})"


def _pickle(whole: object, text: Callable[[object], str | None]) -> bytes:
    """An installed package's object as a pickle, with the project's code in it replaced by its text."""
    import pickle

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> str | None:
            """The text of functions, classes and sets; None for what is written as usual."""
            if obj is whole:
                return None
            if isinstance(obj, FunctionType | MethodType | type | set | frozenset):
                return text(cast("object", obj))
            return text(obj) if source.is_project(type(obj).__module__) else None

    target = io.BytesIO()
    Pickler(target, protocol=5).dump(whole)
    return target.getvalue()


def _function_of(value: object) -> FunctionType | None:
    """The Python function behind a function, task, or cached or static function; None for anything else."""
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


def _cells(function: FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        with contextlib.suppress(ValueError):
            yield name, cast("object", cell.cell_contents)


def _fields(value: object) -> Iterator[tuple[str, object]]:
    held = cast("dict[str, object]", getattr(value, "__dict__", {}))
    yield from sorted(held.items())
    for kind in type(value).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, MemberDescriptorType) and not name.startswith("__"):
                yield name, getattr(value, name, None)


def _source_of(function: FunctionType) -> str:
    compiled = function.__code__
    text = source.function_text(compiled)
    return _bytecode(compiled, function.__doc__) if text is None else text


def _bytecode(compiled: CodeType, doc: str | None = None) -> str:
    inner: list[str] = []
    for item in compiled.co_consts:
        if isinstance(item, CodeType):
            inner.append(_bytecode(item))
        elif isinstance(item, frozenset):
            inner.append(str(sorted(repr(one) for one in cast("frozenset[object]", item))))
        else:
            inner.append("None" if doc is not None and item == doc else repr(item))
    return repr((compiled.co_name, compiled.co_code, inner, compiled.co_names, compiled.co_varnames))


def _digest(text: str) -> str:
    return _digest_bytes(text.encode("utf-8", "surrogatepass"))


def _digest_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]
