"""The project's code that a task's result depends on, as digests that ignore comments, docstrings and layout.

The source of the task's function counts. So does every function, class, module and constant of the project that it
refers to, directly or not. Installed packages do not count, because the digest of the environment stands for them.
When the source is not the one that was imported, such as for a notebook cell that is gone or a file that was edited,
the compiled code is used.
"""

import builtins
import contextlib
import enum
import functools
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping
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
from typing import NamedTuple, cast

from fairway.author import distributions, lookups, members, source
from fairway.author.reaching import Reached
from fairway.author.session import is_ref

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
_CONTAINERS = (list, tuple, set, frozenset, dict)
_SLOTS = (MemberDescriptorType, GetSetDescriptorType)
_MISSING = object()


class Code(NamedTuple):
    """The code that the result of a task depends on.

    Attributes:
        parts: digests of the project's code by part.
        packages: the version by name of each installed package that the code can reach, with the Python and the machine. None
            when that cannot be told.
    """

    parts: dict[str, str]
    packages: dict[str, str] | None


def of_task(function: Callable[..., object]) -> Code:
    """Return the code behind the function of a task, as `parts` does, and the packages that it can reach."""
    inner = members.function_of(function)
    if inner is None:
        return Code(parts(function), None)
    walk = _walked(function, inner)
    walk.reached.parameters(inner)
    return Code(walk.found, distributions.versions(walk.reached.roots) if walk.reached.known else None)


def parts(function: Callable[..., object]) -> dict[str, str]:
    """Return the digests of a function and of everything it refers to, by part.

    Parts are named such as "function train", "helper clean", "class Net", "constant RATE" and "module features".

    A part of another module carries the name of that module: "helper features.clean".
    """
    inner = members.function_of(function)
    if inner is None:
        return {"function ?": _digest(repr(function))}
    return _walked(function, inner).found


def _walked(function: Callable[..., object], inner: FunctionType) -> "_Walk":
    walk = _Walk(inner.__module__)
    walk.function(inner, f"function {inner.__qualname__}")
    if not isinstance(function, FunctionType):
        walk.value(inner.__qualname__, function)
    return walk


def names(objects: Iterable[object]) -> tuple[str, ...]:
    """Return the names of the project's code among objects that a stored value refers to, sorted.

    The names have the form "module:qualname". A function that is stored whole, such as a lambda, contributes the
    modules that it imports.
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
    """Return the digest of the project's code with that name and of all code it refers to.

    The digest is empty when the code is not found.
    """
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
    """A walk along the references of one function.

    `home` is the module of the function. Names of parts in it do not carry the module's name.
    """

    def __init__(self, home: str) -> None:
        self.found: dict[str, str] = {}
        self.reached = Reached()
        self._home = home
        self._seen: dict[int, object] = {}
        self._open: set[int] = set()

    def function(self, function: FunctionType, label: str) -> None:
        """Count a function and everything it refers to."""
        if not self._first(function):
            return
        self.reached.value(function)
        if source.is_installed_file(function.__code__.co_filename):
            self._installed(function)
        elif label.startswith("function ") or source.is_project(function.__module__):
            self._add(label, _source_of(function))
            self._references(function)
        else:
            self._wrapped(function)

    def value(self, name: str, value: object) -> None:
        """Count a value that a function refers to by `name`, if it is code of the project or plain data."""
        if is_ref(value):
            return  # a look at its type would load the value that it stands for
        self.reached.value(value)
        if isinstance(value, ModuleType):
            self.modules(value.__name__)
        elif (text := self._text(value)) is not None:
            self._add(f"constant {name}", text)

    def _references(self, function: FunctionType) -> None:
        """Count the defaults, attributes, enclosed variables, global names and imports of a function."""
        own = self._local(function.__module__, function.__qualname__)
        for name, value in (function.__kwdefaults__ or {}).items():
            self.value(f"{own}.{name}", value)
        for number, value in enumerate(function.__defaults__ or ()):
            self.value(f"{own}.default {number}", value)
        for name, value in (*members.cells(function), *vars(function).items()):
            self.value(f"{own}.{name.strip('_')}", value)
        self._effects(function.__module__)
        named = self._names(function.__code__, function.__globals__, function.__module__)
        imports = source.imported_names(function.__code__, function.__globals__.get("__package__"))
        for module in imports:
            self.modules(module)
        self.reached.modules(imports)
        self.reached.calls(function.__code__, imports)
        self._by_name(function, named, imports)

    def _names(self, compiled: CodeType, scope: dict[str, object], home: str) -> list[object]:
        """Count everything that code refers to by global names, and return the objects behind these names."""
        named: list[object] = []
        for chain in source.global_names(compiled):
            value = scope.get(chain[0], _MISSING)
            if value is _MISSING:
                named.append(getattr(builtins, chain[0], None))
            self.reached.value(named[-1] if value is _MISSING else value)
            name = self._local(home, chain[0])
            for part in chain[1:]:
                if is_ref(value) or not isinstance(value, ModuleType) or part not in vars(value):
                    break
                name = f"{value.__name__}.{part}"
                value = vars(value)[part]
                self.reached.value(value)
            named.append(value)
            if value is not _MISSING and value is not sys.modules and value is not os.environ:
                self.value(name, value)
        return named

    def _effects(self, module: str) -> None:
        """Count the statements by which the import of a module changes something elsewhere, once for each module."""
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
        """Count environment variables, and modules that code finds by a name in a text.

        All files of the project count when the code may find any of them.
        """
        for name, text in lookups.variables(function, named, imports).items():
            self._add(f"variable {name}", text)
        found = lookups.modules(function, named, imports)
        for module in found or ():
            self.modules(module)
        self.reached.modules(found or ())
        if found is None:
            self.reached.known = False
            for path in lookups.everything(function):
                self._add(f"file {path.name}", source.file_text(str(path)))

    def _installed(self, function: FunctionType) -> None:
        """Look for code of the project in a function that an installed decorator made. Its own code does not count."""
        registry = vars(function).get("registry")
        if isinstance(registry, MappingProxyType) and "dispatch" in vars(function):
            own = self._local(function.__module__, function.__qualname__)
            for kind, chosen in cast("Mapping[type, object]", registry).items():
                self.value(f"{own} for {kind.__qualname__}", (kind, chosen))
        elif source.is_project(function.__module__):
            own = self._local(function.__module__, function.__qualname__)
            for name, value in (*members.cells(function), *vars(function).items()):
                self.value(f"{own}.{name.strip('_')}", value)
        else:
            self._wrapped(function)

    def _wrapped(self, function: FunctionType) -> None:
        """Look for the project's function inside the function of an installed decorator."""
        self._inside([value for _, value in members.cells(function)])
        self._inside(vars(function).get("__wrapped__"))

    def _inside(self, value: object, depth: int = 3) -> None:
        """Count only the code in a value and in its containers, and no data."""
        if isinstance(value, _CONTAINERS) and depth:
            whole = cast("Iterable[object]", value.values() if isinstance(value, dict) else value)
            for item in list(whole):
                self._inside(item, depth - 1)
        elif source.is_project(type(cast("object", value)).__module__):
            self._class(type(cast("object", value)))
        else:
            self._code(cast("object", value))

    def _class(self, kind: type) -> None:
        """Count a class of the project with its bases and everything that its members refer to."""
        self.reached.module(kind.__module__)
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
            for accessor in members.accessors(member):
                inner = members.function_of(accessor)
                if inner is None:
                    if not isinstance(accessor, _SLOTS):
                        self.value(f"{own}.{name}", accessor)
                elif text is None or not members.is_written_in(inner, kind):
                    self.function(inner, f"helper {own}.{name}")
                elif self._first(inner):
                    self._references(inner)

    def modules(self, name: str) -> None:
        """Count a module of the project as a whole, and the project's modules that it imports."""
        for module, text in source.module_texts(name):
            self.reached.file(module)
            self._add(f"module {module}", text)
        compiled = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(compiled, str) and not compiled.endswith(".py") and source.is_project(name):
            with contextlib.suppress(OSError):
                self._add(f"module {name}", _digest_bytes(Path(compiled).read_bytes()))

    def _text(self, value: object) -> str | None:
        """Return a deterministic text for a value, or None when there is none.

        Functions and classes in it are counted.
        """
        if is_ref(value) or isinstance(value, ModuleType):
            return None
        self.reached.value(value)
        if isinstance(value, _PLAIN):
            return repr(value) if type(value) in _PLAIN else self._state(value)
        # A value that contains itself would never end.
        if id(value) in self._open:
            return "…"
        self._open.add(id(value))
        try:
            return self._code(value) or self._contents(value) or self._state(value)
        finally:
            self._open.discard(id(value))

    def _code(self, value: object) -> str | None:
        """Return the name of a function or class, after counting it. Other values give None."""
        if isinstance(value, functools.partial):
            whole = cast("functools.partial[object]", value)
            return self._text((whole.func, whole.args, whole.keywords))
        if isinstance(value, MethodType):
            return self._text((value.__func__, value.__self__))
        if isinstance(value, functools.singledispatchmethod):
            return self._text(cast("object", vars(cast("object", value))["dispatcher"]))
        inner = None if source.is_project(type(value).__module__) else members.function_of(value)
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
        """Return a text for a list, tuple, set or dict. Other values give None."""
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
        """Return a text for an object with a state of its own."""
        kind = type(value)
        if isinstance(value, enum.Enum):
            self._class(kind)
            return f"{kind.__qualname__}.{value.name}={self._text(cast('object', value.value))}"
        if source.is_project(kind.__module__):
            self._class(kind)
            return f"{kind.__qualname__}{[(name, self._text(item)) for name, item in members.fields(value)]}"
        return self._pickled(value)

    def _pickled(self, value: object) -> str | None:
        """Return the digest of an object's pickle. Without a pickle, count the code in its attributes."""
        with contextlib.suppress(Exception):
            return _digest_bytes(_pickle(value, self._text))
        self._inside([item for _, item in members.fields(value)])
        return None

    def _first(self, value: object) -> bool:
        """Tell whether a value comes up for the first time, and remember it."""
        # The value itself is kept, so that no later object gets its id.
        new = id(value) not in self._seen
        self._seen[id(value)] = value
        return new

    def _local(self, module: str, name: str) -> str:
        """Return a name, preceded by its module if that is not the home."""
        return name if module == self._home else f"{module}.{name}"

    def _label(self, kind: str, module: str, name: str) -> str:
        """Return the label of a part."""
        return f"{kind} {self._local(module, name)}"

    def _add(self, label: str, text: str) -> None:
        """Keep the digest of a part. A different part with the same label gets a number."""
        digest, name, count = _digest(text), label, 1
        while self.found.setdefault(name, digest) != digest:
            count += 1
            name = f"{label} ({count})"


def _pickle(whole: object, text: Callable[[object], str | None]) -> bytes:
    """Pickle an object of an installed package, with the project's code in it replaced by texts."""
    import pickle

    class Pickler(pickle.Pickler):
        """A pickler that writes texts in place of the project's code."""

        def persistent_id(self, obj: object) -> str | None:
            """Return the text of a function, class or set. None leaves an object to the usual pickling."""
            if obj is whole:
                return None
            if isinstance(obj, FunctionType | MethodType | type | set | frozenset):
                return text(cast("object", obj))
            return text(obj) if source.is_project(type(obj).__module__) else None

    target = io.BytesIO()
    Pickler(target, protocol=5).dump(whole)
    return target.getvalue()


def _is_ours(value: object) -> bool:
    """Tell whether an object is a task or pipeline. A statement that changes one changes no result."""
    return type(value).__module__.partition(".")[0] == "fairway"


def _found(module: str, qualname: str) -> object:
    """Return the object with that name in a loaded module, or None."""
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _source_of(function: FunctionType) -> str:
    """Return the source of a function, or its bytecode when the source is not the imported one."""
    compiled = function.__code__
    text = source.function_text(compiled)
    return _bytecode(compiled, function.__doc__) if text is None else text


def _bytecode(compiled: CodeType, doc: str | None = None) -> str:
    """Return a deterministic text for compiled code, without the function's docstring."""
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
