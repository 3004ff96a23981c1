"""Reads from the text of a project file which pipelines it declares and which flags they take; nothing is imported.

Completion and the overview use it: they must answer at once, and looking at a file must not run it.
"""

import ast
from pathlib import Path

import msgspec

_MAX_BYTES = 1_000_000


class Flag(msgspec.Struct, frozen=True):
    """A parameter of a pipeline: its name, whether it is a bool, and the texts it may have where these are known."""

    name: str
    is_bool: bool = False
    choices: tuple[str, ...] = ()


class Outline(msgspec.Struct, frozen=True):
    """Declarations of one file: pipelines with their flags, and names of endpoints."""

    pipelines: dict[str, tuple[Flag, ...]]
    endpoints: tuple[str, ...]

    @property
    def is_project(self) -> bool:
        """Whether there is anything to run or deploy."""
        return bool(self.pipelines or self.endpoints)


_NOTHING = Outline({}, ())


def read(path: Path) -> Outline:
    """Outline of a file; an empty one for a file that cannot be read or is no Python."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return _NOTHING
        text = path.read_text("utf-8")
        tree = ast.parse(text) if "fairway" in text else None
    except (OSError, SyntaxError, ValueError, RecursionError):
        return _NOTHING
    pipelines: dict[str, tuple[Flag, ...]] = {}
    endpoints: list[str] = []
    for node in tree.body if tree is not None else ():
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            word, name = _declared(decorator, node.name)
            if word == "pipeline" and not isinstance(node, ast.ClassDef):
                pipelines[name] = _flags(node)
            elif word == "endpoint":
                endpoints.append(name)
    return Outline(pipelines, tuple(endpoints))


def _declared(decorator: ast.expr, name: str) -> tuple[str, str]:
    """The last word of a decorator, and the name that it gives: its `name=`, else the function's own."""
    if isinstance(decorator, ast.Call):
        for keyword in decorator.keywords:
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                name = str(keyword.value.value)
        decorator = decorator.func
    if isinstance(decorator, ast.Attribute):
        return decorator.attr, name
    return (decorator.id if isinstance(decorator, ast.Name) else ""), name


def _flags(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[Flag, ...]:
    taken = function.args
    return tuple(
        Flag(one.arg, _is_bool(one.annotation), _choices(one.annotation))
        for one in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)
    )


def _is_bool(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id == "bool"


def _choices(annotation: ast.expr | None) -> tuple[str, ...]:
    """Texts of a `Literal`, also inside a list or a union."""
    found: list[str] = []
    for node in ast.walk(annotation) if annotation is not None else ():
        if isinstance(node, ast.Subscript) and _last_word(node.value) == "Literal":
            items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            found += [str(item.value) for item in items if isinstance(item, ast.Constant)]
    return tuple(found)


def _last_word(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
