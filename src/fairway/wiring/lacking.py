"""The modules that a project file needs at its import and that this machine lacks.

Packages travel to a target in the versions of this machine. One that is not here would be missed there only after everything
was sent, so it is named before.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from fairway.local.bundling import Bundle
from fairway.spec.errors import UsageError


def require_here(bundle: Bundle) -> None:
    """Check that this machine has every module that the project file imports in any case. Raises UsageError."""
    place = next((one.place for one in bundle.files if one.entry.path == bundle.file), "")
    try:
        tree = ast.parse(Path(place).read_bytes()) if place else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return  # The host says what is wrong with the file.
    own = _own_modules(bundle)
    lacking = sorted({name for name in _needed(tree) if name not in own and not _is_here(name)})
    if lacking:
        names = " and ".join(", ".join(lacking).rsplit(", ", 1))
        raise UsageError(
            f"{bundle.file} imports {names}, which this machine does not have and the target would not have either",
            hint=f"`pip install {' '.join(lacking)}`, or name a file with the packages of the project: "
            '`requirements = "requirements.txt"` in [tool.fairway]',
        )


def _needed(tree: ast.Module) -> Iterator[str]:
    """Yield the names of packages that are imported by statements on the level of the module, not those in `try` or `if`."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _own_modules(bundle: Bundle) -> set[str]:
    """Return the names of the folders and modules of a project, at any depth: any of them may be on the path there."""
    parts = (part for one in bundle.files for part in Path(one.entry.path).with_suffix("").parts)
    return set(parts)


def _is_here(name: str) -> bool:
    if name in sys.stdlib_module_names or name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
