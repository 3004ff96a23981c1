"""Code that finds other code by a name made at run time: `import_module`, `__import__`, `eval`, `sys.modules`.

Which of the project's modules such a function may reach cannot be followed reference by reference, so they count whole.
Imports nothing.
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

from fairway.author import source

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
_LOADING = {"importlib", "importlib.util", "pkgutil", "runpy"}
_SCOPED: tuple[object, ...] = (builtins.globals, builtins.eval, builtins.exec)
_NAME = re.compile(r"\.*[^\W\d]\w*(\.[^\W\d]\w*)*")


def modules(function: FunctionType, values: list[object], imports: list[str]) -> list[str] | None:
    """Modules of the project that a function may reach by name; None when it can be any of them.

    Args:
        values: what the function's global names stand for.
        imports: modules that it imports itself.
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
    if len(named) < loads:
        return None
    return found + named


def everything(function: FunctionType) -> list[Path]:
    """The Python files of the function's project: those beside its module and below."""
    file = str(
        getattr(sys.modules.get(function.__module__), "__file__", None) or function.__code__.co_filename
    )
    depth = str(function.__globals__.get("__package__") or "").count(".") + 1
    folder = Path(file).parent
    if function.__globals__.get("__package__"):
        folder = Path(*folder.parts[: len(folder.parts) - depth]) if depth < len(folder.parts) else folder
    return source.files(folder) if os.path.isfile(file) else []


def _texts(compiled: CodeType) -> list[str]:
    found = [item for item in compiled.co_consts if isinstance(item, str)]
    for item in compiled.co_consts:
        if isinstance(item, CodeType):
            found += _texts(item)
    return found
