"""The installed modules that a function of the project can reach, as far as its code tells.

They are those of the objects that it refers to, of its annotations, and of the imports in it. When a parameter may be anything,
all imports of the function's file count, because an object of any of them may be handed over. When the code can start programs
or look for modules by computed names, nothing can be known.
"""

import builtins
import inspect
import sys
from collections.abc import Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, get_args, get_origin

from fairway.author import source
from fairway.author.session import is_ref

_RUNS_ANYTHING = {"subprocess", "ctypes", "runpy", "pkg_resources"}
"""Modules that reach programs and libraries which no import names."""

_STARTS = {
    "system", "popen", "posix_spawn", "posix_spawnp", "execl", "execle", "execlp", "execv", "execve", "execvp", "execvpe",
    "spawnl", "spawnle", "spawnlp", "spawnv", "spawnve", "spawnvp", "create_subprocess_exec", "create_subprocess_shell",
}  # fmt: skip
"""Functions of `os` and `asyncio` that start programs."""

_EVALUATES = (builtins.eval, builtins.exec, builtins.__import__)
_OPAQUE: tuple[object, ...] = (Any, object, inspect.Parameter.empty)
_BARE: tuple[object, ...] = (list, tuple, dict, set, frozenset)
_STANDARD = sys.stdlib_module_names | {"builtins", "__main__", "__future__"}


class Reached:
    """The modules that were met on a walk through code.

    Attributes:
        roots: the topmost packages of the installed modules.
        known: False when the code can reach modules that cannot be told.
    """

    def __init__(self) -> None:
        self.roots: set[str] = set()
        self.known = True

    def value(self, value: object) -> None:
        """Count the module of an object: of a function or class its own, of any other object that of its class."""
        if is_ref(value):
            return
        if isinstance(value, ModuleType):
            self.module(value.__name__)
            return
        if any(value is one for one in _EVALUATES):
            self.known = False
        name = getattr(value, "__module__", None) if callable(value) else None
        self.module(name if isinstance(name, str) else type(value).__module__)

    def module(self, name: str) -> None:
        """Count a module by its name. Modules of the project and of Python do not count."""
        root = name.partition(".")[0]
        self._root(root)
        if root in _RUNS_ANYTHING or name.startswith("importlib.metadata"):
            self.known = False

    def _root(self, root: str) -> None:
        if root and root not in _STANDARD and root not in self.roots and not source.is_project(root):
            self.roots.add(root)

    def modules(self, names: Iterable[str]) -> None:
        """Count several modules."""
        for name in names:
            self.module(name)

    def calls(self, compiled: CodeType, imports: Iterable[str]) -> None:
        """Notice the start of a program by code that uses `os` or `asyncio`."""
        reached = {name.partition(".")[0] for name in imports} | {
            chain[0] for chain in source.global_names(compiled)
        }
        if reached & {"os", "asyncio", "posix"} or reached & _STARTS:
            self.known = self.known and not _names(compiled) & _STARTS

    def file(self, module: str) -> None:
        """Count all imports of a module of the project that is run as a whole, and of those that it imports."""
        for _, path in source.module_files([module]):
            self.modules(source.imports_of(path))

    def _handed_over(self, module: str) -> None:
        """Count the packages whose objects a module of the project may hand over. Nothing in it is run."""
        paths = [path for _, path in source.module_files([module])]
        for path in paths:
            for name in source.imports_of(path):
                self._root(name.partition(".")[0])
        # A notebook's cells have no file, so their imports are not known.
        self.known = self.known and bool(paths)

    def parameters(self, function: FunctionType) -> None:
        """Count the types of a task's parameters and result. All imports of its file count when a parameter may be anything."""
        try:
            annotations = inspect.get_annotations(function, eval_str=True)
        except Exception:
            self._handed_over(function.__module__)
            return
        self._type(annotations.pop("return", None))
        for name in inspect.signature(function).parameters:
            if not self._type(annotations.get(name, inspect.Parameter.empty)):
                self._handed_over(function.__module__)
                return

    def _type(self, annotation: object) -> bool:
        """Count the types in an annotation. Return False when it says too little."""
        if any(annotation is one for one in _OPAQUE) or isinstance(annotation, TypeVar | str):
            return False
        parts = get_args(annotation)
        origin: object = get_origin(annotation)
        if not parts:
            if any(annotation is one for one in _BARE) or getattr(annotation, "__origin__", None):
                return False
            self.value(annotation)
            return True
        if origin is not None:
            self.value(origin)
        return all(
            self._type(part) for part in parts if isinstance(part, type) or get_args(part) or part is Any
        )


def _names(compiled: CodeType) -> set[str]:
    """Return all names of globals and attributes that code uses, with the functions inside it."""
    found = set(compiled.co_names)
    for constant in compiled.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found
