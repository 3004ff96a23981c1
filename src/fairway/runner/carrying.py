"""The search for the code of the project that a model needs, so that this code can travel with the model.

The search reaches every object that pickling the model reaches. A class or function of the project that it meets is one of
two kinds. Either reading the model imports it from its module, so that the source of the module has to travel; or the model
contains its code.
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import cast

import msgspec

from fairway.author import source
from fairway.author.session import is_ref
from fairway.formats import codecs
from fairway.spec.artifact import FileEntry

_NAMING = frozenset({"pickle", "json", "bundle", "keras"})
"""Formats whose content names classes of a project. The others hold reviewed types or plain numbers."""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """The code of the project that a model needs.

    Attributes:
        held: the classes and functions that are imported when the model is read, such as "features.Ratio".
        inside: the classes and functions whose code is in the model, such as a class of a notebook or a lambda.
        files: the source files by the name of their module: those of `held`, and all that they import of the project.
        changed: the modules whose file was changed after the import. Such a file is not the code that made the model.
    """

    held: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    files: dict[str, Path] = {}
    changed: tuple[str, ...] = ()

    def widened(self) -> "Needs":
        """Return these needs with every module of the project that is loaded now."""
        return _with_files(self, [*self.files, *loaded()])


def needs_of(model: object, form: str) -> Needs:
    """Return the code that a process needs to read the model.

    Args:
        model: the model.
        form: the name of the format in which the model is stored.

    Raises:
        SerializationError: the model cannot be pickled.
    """
    if form not in _NAMING:
        return Needs()
    held: dict[str, str] = {}
    inside: list[str] = []
    for item in codecs.reached(model) if form != "keras" else _layers(model):
        module = item.__name__ if isinstance(item, ModuleType) else str(getattr(item, "__module__", None))
        if module != "__main__" and not _is_ours(module):
            continue
        name = module if isinstance(item, ModuleType) else f"{module}.{getattr(item, '__qualname__', '?')}"
        if isinstance(item, ModuleType) or _is_found(item, module):
            held[name] = module
        else:
            inside.append(name)
    outer = tuple(f"{name}." for name in inside)
    own = {name for name in inside if not name.startswith(outer)}
    needs = Needs(held=tuple(sorted(held)), inside=tuple(sorted(own)))
    return _with_files(needs, list(held.values()))


def loaded() -> list[str]:
    """Return the names of all modules of the project that are loaded now and have a source file."""
    return [name for name in list(sys.modules) if name != "__main__" and _is_ours(name)]


def write(needs: Needs, folder: Path) -> None:
    """Write the source files into an empty folder, each at the path that its module's name gives. Raises OSError."""
    for name, path in needs.files.items():
        place = folder / source.module_place(name, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())


def entries(folder: Path) -> tuple[FileEntry, ...]:
    """Return path, digest and size of the source files in a folder, in the order of their paths."""
    return tuple(
        FileEntry(
            path=path.relative_to(folder).as_posix(),
            digest=hashlib.sha256(path.read_bytes()).hexdigest(),
            size=path.stat().st_size,
        )
        for path in sorted(folder.rglob("*.py"))
    )


def _with_files(needs: Needs, names: Iterable[str]) -> Needs:
    files = {name: Path(path) for name, path in source.module_files(_with_neighbours(names))}
    changed = [
        name
        for name, path in files.items()
        if name in sys.modules and not source.is_as_imported(sys.modules[name], path.read_bytes())
    ]
    return msgspec.structs.replace(needs, files=dict(sorted(files.items())), changed=tuple(changed))


def _with_neighbours(names: Iterable[str]) -> list[str]:
    """Return the modules together with all modules of the project that they use.

    A module uses another one when a variable of it holds the other module, or a class or function from there.
    """
    queue, found = list(names), dict.fromkeys(names)
    while queue:
        module = sys.modules.get(queue.pop())
        for value in list(vars(module).values()) if module is not None else ():
            if is_ref(value) or not isinstance(value, type | FunctionType | ModuleType):
                continue  # A `Ref` is passed over first: `isinstance` would load the model that it stands for.
            name = value.__name__ if isinstance(value, ModuleType) else value.__module__
            if name not in found and name != "__main__" and _is_ours(name):
                found[name] = None
                queue.append(name)
    return list(found)


def _layers(model: object) -> list[object]:
    """Return the classes of a model and of its layers."""
    layers = cast("list[object]", getattr(model, "layers", []))
    return [type(part) for part in (model, *layers)]


def _is_ours(module: str) -> bool:
    """Tell whether a loaded module comes from a source file of the project."""
    path = getattr(sys.modules.get(module), "__file__", None)
    return source.is_project(module) and isinstance(path, str) and path.endswith(".py")


def _is_found(item: object, module: str) -> bool:
    """Tell whether a module has this item under the item's own name, so that a pickle contains only the name."""
    found: object = sys.modules.get(module) if module != "__main__" else None
    for part in str(getattr(item, "__qualname__", "?")).split("."):
        found = getattr(found, part, None)
    return found is item
