"""Files of a project that have the name of a library and are imported in its place.

This module imports nothing of the project.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType, TracebackType

from fairway.author import source

_HARMLESS = frozenset(
    {"__main__", "antigravity", "idlelib", "lib2to3", "test", "this", "turtle", "turtledemo"}
)
"""Modules of Python that no other module imports. A file with such a name hides nothing."""


def hides_library(name: str, own: Path, roots: Sequence[str]) -> bool:
    """Tell whether Python would import a file or package of the project in place of a library.

    A package cannot be told apart from an installed copy of itself. For this reason only single files are checked
    against installed packages.

    Args:
        name: the module's outermost name.
        own: the project's file or folder of that name.
        roots: folders that the project's modules are imported from.
    """
    if name in sys.stdlib_module_names:
        return name not in _HARMLESS
    return own.suffix == ".py" and own.stem == name and _installed_package(name, roots)


def explain(error: BaseException, roots: Sequence[str]) -> tuple[str, str] | None:
    """Explain an error that is caused by a file with the name of a library.

    Returns:
        a message and a hint; None for an error with another cause.
    """
    for name in _suspects(error, roots):
        own = _own(name, roots)
        if own is None or not (name in sys.stdlib_module_names or _installed_package(name, roots)):
            continue
        whose = "of Python itself" if name in sys.stdlib_module_names else "that is installed"
        loaded = getattr(sys.modules.get(name), "__file__", None) or ""
        which = (
            "is imported instead of it" if _inside(loaded, roots) else "is not imported, because that one is"
        )
        what = "file" if own.suffix == ".py" else "folder"
        return (
            f"{own} has the name of the library {name} {whose} and {which}",
            f"give the {what} another name",
        )
    return None


def _suspects(error: BaseException, roots: Sequence[str]) -> list[str]:
    """Return the outermost names of the modules that an error names or passed through."""
    named = getattr(error, "name", None) if isinstance(error, ImportError) else None
    names = [named] if isinstance(named, str) else []
    blamed = getattr(error, "obj", None) if isinstance(error, AttributeError) else None
    if isinstance(blamed, ModuleType):
        names.append(blamed.__name__)
    step: TracebackType | None = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_name == "<module>" and _inside(code.co_filename, roots):
            names.append(str(step.tb_frame.f_globals.get("__name__", "")))
        step = step.tb_next
    return list(dict.fromkeys(name.partition(".")[0] for name in names if name))


def _own(name: str, roots: Sequence[str]) -> Path | None:
    """Return the project's file or package folder of that name, if there is one."""
    for root in roots:
        for place in (Path(root, f"{name}.py"), Path(root, name, "__init__.py")):
            if place.is_file():
                return place if place.suffix == ".py" and place.stem == name else place.parent
    return None


def _inside(path: str, roots: Sequence[str]) -> bool:
    """Tell whether a file lies in the project and is not an installed one."""
    return any(path.startswith(f"{root}{os.sep}") for root in roots) and source.is_project_file(path)


def _installed_package(name: str, roots: Sequence[str]) -> bool:
    """Tell whether a package with this name is installed.

    A single installed file does not count, because it may be an installed copy of the project's own file.
    """
    spec = PathFinder.find_spec(name, [place for place in sys.path if place not in roots])
    origin = spec.origin if spec is not None else None
    return origin is not None and origin.endswith("__init__.py") and not source.is_project_file(origin)
