"""Modules and environment variables that code finds by a name in a text, such as through `import_module` or `eval`.

The modules behind such a name cannot be followed reference by reference, so each counts as a whole. This module
imports nothing of the project.
"""

import builtins
import importlib
import importlib.util
import os
import pkgutil
import re
import runpy
import sys
from pathlib import Path
from types import CodeType, FunctionType

from fairway.author import redaction, source

_LOADERS: tuple[object, ...] = (
    importlib.import_module,
    importlib.__import__,
    importlib.util.find_spec,
    builtins.__import__,
    pkgutil.resolve_name,
    pkgutil.iter_modules,
    pkgutil.walk_packages,
    runpy.run_module,
    runpy.run_path,
    importlib,
    importlib.util,
    pkgutil,
    runpy,
)
"""Functions and modules that import a module by its name."""
_LOADING = {"importlib", "importlib.util", "pkgutil", "runpy"}
_SCOPED: tuple[object, ...] = (builtins.globals, builtins.eval, builtins.exec)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_NAME = re.compile(r"\.*[^\W\d]\w*(\.[^\W\d]\w*)*")


def modules(function: FunctionType, values: list[object], imports: list[str]) -> list[str] | None:
    """Return the project's modules that a function may reach by name, or None when it may reach any of them.

    Args:
        function: the function to look at.
        values: the objects behind the function's global names.
        imports: the modules that the function imports itself.
    """
    loads = sum(any(value is one for one in _LOADERS) for value in values)
    loads += len(_LOADING & set(imports))
    if any(value is sys.modules for value in values) or "sys.modules" in imports:
        return None
    found: list[str] = []
    if any(value is one for value in values for one in _SCOPED):
        found.append(function.__module__)
    if not loads:
        return found
    package = str(function.__globals__.get("__package__") or "")
    written = [source.absolute(text, package) for text in _texts(function.__code__) if _NAME.fullmatch(text)]
    named = [name for name in written if source.is_module(name)]
    # With fewer names than loading calls, some name is computed, and it may be any.
    if len(named) < loads:
        return None
    return found + named


def variables(function: FunctionType, values: list[object], imports: list[str]) -> dict[str, str]:
    """Return the environment variables whose names the function spells out, with their values.

    Secret variables are left out, because a digest of a short secret would give the secret away.
    """
    if "os" not in imports and not any(
        value is one for value in values for one in (os.environ, os.getenv, os)
    ):
        return {}
    names = [text for text in _texts(function.__code__) if text in os.environ or _VARIABLE.fullmatch(text)]
    secret = redaction.live().found
    known = {name: os.environ.get(name) for name in names}
    return {
        name: "absent" if value is None else f"={value}"
        for name, value in known.items()
        if value is None or not secret(value.encode("utf-8", "surrogateescape"))
    }


def everything(function: FunctionType) -> list[Path]:
    """Return the Python files of the function's project: those beside its module and below."""
    file = str(
        getattr(sys.modules.get(function.__module__), "__file__", None) or function.__code__.co_filename
    )
    depth = str(function.__globals__.get("__package__") or "").count(".") + 1
    folder = Path(file).parent
    if function.__globals__.get("__package__"):
        folder = Path(*folder.parts[: len(folder.parts) - depth]) if depth < len(folder.parts) else folder
    return source.files(folder) if os.path.isfile(file) else []


def _texts(compiled: CodeType) -> list[str]:
    """Return all text constants of compiled code and of the functions inside it."""
    found = [item for item in compiled.co_consts if isinstance(item, str)]
    for item in compiled.co_consts:
        if isinstance(item, CodeType):
            found += _texts(item)
    return found
