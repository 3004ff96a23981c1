"""What a task's result depends on in the project's code, as digests that ignore comments, docstrings and layout.

A function's own source counts, and, followed recursively, every project function, class, module and constant
it refers to. Installed packages do not: the environment's digest stands for them. Where the source is not what
was imported (a notebook cell that is gone, a file edited meanwhile), the compiled code stands in.
"""

import builtins
import contextlib
import enum
import functools
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import cast

from fairway.author import lookups, source
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
    if not isinstance(function, FunctionType):
        walk.value(inner.__qualname__, function)
    return walk.found


def names(objects: Iterable[object]) -> tuple[str, ...]:
    """Names of the project's code among objects that a stored value refers to, as "module:qualname", sorted.

    A function that is stored whole, such as a lambda, names what it imports itself.
    """
    found: set[str] = set()
    for item in objects:
        if isinstance(item, ModuleType):
            found.add(f"{item.__name__}:")
            continue
        module, name = getattr(item, "__module__", None), getattr(item, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(name, str) or not source.is_project(module):
            continue
        if _found(module, name) is item and module != "__main__":
            found.add(f"{module}:{name}")
        elif isinstance(item, FunctionType):
            package = item.__globals__.get("__package__")
            found |= {f"{one}:" for one in source.imported_names(item.__code__, package)}
    return tuple(sorted(name for name in found if name[-1] != ":" or any(source.module_texts(name[:-1]))))


def digest(name: str) -> str:
    """Digest of the project's code of that name, with all it refers to; empty when it is not found."""
    module, _, qualname = name.partition(":")
    walk = _Walk(module)
    found = _found(module, qualname) if qualname else None
    try:
        if found is None:
            walk.modules(module)
        else:
            walk.value(qualname, found)
    except Exception:
        return ""
    return _digest(repr(sorted(walk.found.items()))) if walk.found else ""


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
        if source.is_installed_file(function.__code__.co_filename):
            self._installed(function)
        elif label.startswith("function ") or source.is_project(function.__module__):
            self._add(label, _source_of(function))
            self._references(function)
        else:
            self._wrapped(function)

    def value(self, name: str, value: object) -> None:
        """Count something a function refers to as `name`, if it is the project's or plain data."""
        if is_ref(value):
            return  # asking for its type would load what it stands for
        if isinstance(value, ModuleType):
            self.modules(value.__name__)
        elif (text := self._text(value)) is not None:
            self._add(f"constant {name}", text)

    def _references(self, function: FunctionType) -> None:
        own = self._local(function.__module__, function.__qualname__)
        for name, value in (function.__kwdefaults__ or {}).items():
            self.value(f"{own}.{name}", value)
        for number, value in enumerate(function.__defaults__ or ()):
            self.value(f"{own}.default {number}", value)
        for name, value in (*_cells(function), *vars(function).items()):
            self.value(f"{own}.{name.strip('_')}", value)
        self._effects(function.__module__)
        named = self._names(function.__code__, function.__globals__, function.__module__)
        imports = source.imported_names(function.__code__, function.__globals__.get("__package__"))
        for module in imports:
            self.modules(module)
        self._by_name(function, named, imports)

    def _names(self, compiled: CodeType, scope: dict[str, object], home: str) -> list[object]:
        """Count what code refers to by global names; returns what these stand for."""
        named: list[object] = []
        for chain in source.global_names(compiled):
            value = scope.get(chain[0], _MISSING)
            if value is _MISSING:
                named.append(getattr(builtins, chain[0], None))
            name = self._local(home, chain[0])
            for part in chain[1:]:
                if is_ref(value) or not isinstance(value, ModuleType) or part not in vars(value):
                    break
                name = f"{value.__name__}.{part}"
                value = vars(value)[part]
            named.append(value)
            if value is not _MISSING and value is not sys.modules and value is not os.environ:
                self.value(name, value)
        return named

    def _effects(self, module: str) -> None:
        """Count what a module that is referred to changes elsewhere at its import, once."""
        found = sys.modules.get(module)
        path = getattr(found, "__file__", None)
        if (
            found is None
            or not isinstance(path, str)
            or not source.is_project(module)
            or not self._first(found)
        ):
            return
        text, compiled = source.effects(path)
        if compiled is not None:
            self._add(f"statements of {module}", text)
            scope = {name: item for name, item in vars(found).items() if not _is_ours(item)}
            self._names(compiled, scope, module)

    def _by_name(self, function: FunctionType, named: list[object], imports: list[str]) -> None:
        """Count variables, and modules that code finds by name; all of the project's if it may be any."""
        for name, text in lookups.variables(function, named, imports).items():
            self._add(f"variable {name}", text)
        found = lookups.modules(function, named, imports)
        for module in found or ():
            self.modules(module)
        if found is None:
            for path in lookups.everything(function):
                self._add(f"file {path.name}", source.file_text(str(path)))

    def _installed(self, function: FunctionType) -> None:
        """Look through a function that an installed decorator made, whose own code does not count."""
        registry = vars(function).get("registry")
        if isinstance(registry, MappingProxyType) and "dispatch" in vars(function):
            own = self._local(function.__module__, function.__qualname__)
            for kind, chosen in cast("Mapping[type, object]", registry).items():
                self.value(f"{own} for {kind.__qualname__}", (kind, chosen))
        elif source.is_project(function.__module__):
            own = self._local(function.__module__, function.__qualname__)
            for name, value in (*_cells(function), *vars(function).items()):
                self.value(f"{own}.{name.strip('_')}", value)
        else:
            self._wrapped(function)

    def _wrapped(self, function: FunctionType) -> None:
        """Look through a function of an installed decorator for the project's function inside."""
        self._inside([value for _, value in _cells(function)])
        self._inside(vars(function).get("__wrapped__"))

    def _inside(self, value: object, depth: int = 3) -> None:
        """Count the code in a value, and in containers in it, of which nothing else counts."""
        if isinstance(value, _CONTAINERS) and depth:
            whole = cast("Iterable[object]", value.values() if isinstance(value, dict) else value)
            for item in list(whole):
                self._inside(item, depth - 1)
        elif source.is_project(type(cast("object", value)).__module__):
            self._class(type(cast("object", value)))
        else:
            self._code(cast("object", value))

    def _class(self, kind: type) -> None:
        if not source.is_project(kind.__module__) or not self._first(kind):
            return
        own = self._local(kind.__module__, kind.__qualname__)
        text = source.class_text(kind)
        self._add(f"class {own}", text or "")
        self._effects(kind.__module__)
        for base in (*kind.__mro__[1:], type(kind)):
            self._class(base)
        for name, member in vars(kind).items():
            if name.startswith("__") and not callable(member):
                continue
            for accessor in _accessors(member):
                inner = _function_of(accessor)
                if inner is None:
                    if not isinstance(accessor, _SLOTS):
                        self.value(f"{own}.{name}", accessor)
                elif text is None or not _is_written_in(inner, kind):
                    self.function(inner, f"helper {own}.{name}")
                elif self._first(inner):
                    self._references(inner)

    def modules(self, name: str) -> None:
        """Count a module of the project whole, with those that it imports."""
        for module, text in source.module_texts(name):
            self._add(f"module {module}", text)
        compiled = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(compiled, str) and not compiled.endswith(".py") and source.is_project(name):
            with contextlib.suppress(OSError):
                self._add(f"module {name}", _digest_bytes(Path(compiled).read_bytes()))

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
        if isinstance(value, functools.singledispatchmethod):
            return self._text(cast("object", vars(cast("object", value))["dispatcher"]))
        inner = None if source.is_project(type(value).__module__) else _function_of(value)
        if inner is not None:
            if inner.__module__ != "builtins":
                self.function(inner, self._label("helper", inner.__module__, inner.__qualname__))
            return f"{inner.__module__}.{inner.__qualname__}"
        if isinstance(value, BuiltinFunctionType) and source.is_project(value.__module__ or ""):
            self.modules(value.__module__)
            return f"{value.__module__}.{value.__qualname__}"
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
        self._inside([item for _, item in _fields(value)])
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


def _is_ours(value: object) -> bool:
    """Whether it is a task or pipeline, of which a statement at a module's top level changes no result."""
    return type(value).__module__.partition(".")[0] == "fairway"


def _accessors(member: object) -> tuple[object, ...]:
    """What runs when a class's member is used."""
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    if isinstance(member, functools.cached_property | functools.partialmethod):
        held = cast("dict[str, object]", vars(cast("object", member)))
        return tuple(held.get(name) for name in ("func", "args", "keywords") if name in held)
    return (member,)


def _is_written_in(function: FunctionType, kind: type) -> bool:
    """Whether a class's source holds the function's, or made it, as that of a dataclass its `__init__`."""
    compiled = function.__code__
    if function.__module__ != kind.__module__ or not function.__qualname__.startswith(
        f"{kind.__qualname__}."
    ):
        return False
    return compiled.co_filename.startswith("<") or compiled.co_qualname.startswith(f"{kind.__qualname__}.")


def _found(module: str, qualname: str) -> object:
    """What the name stands for in a loaded module; None when there is none."""
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


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
