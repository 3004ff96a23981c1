"""The pipelines and flags that a project file declares, read from its text without an import.

Completion and the overview need them: both must answer at once, and a look at a file must not run it.
"""

import ast
from pathlib import Path

import msgspec

_MAX_BYTES = 1_000_000


class Flag(msgspec.Struct, frozen=True):
    """A parameter of a pipeline: its name, whether it is a bool, and its allowed texts if they are known."""

    name: str
    is_bool: bool = False
    choices: tuple[str, ...] = ()


class Outline(msgspec.Struct, frozen=True):
    """The declarations of a file: pipelines with their flags, and names of endpoints."""

    pipelines: dict[str, tuple[Flag, ...]]
    endpoints: tuple[str, ...]

    @property
    def is_project(self) -> bool:
        """True when there is something to run or deploy."""
        return bool(self.pipelines or self.endpoints)


_NOTHING = Outline({}, ())


def read(path: Path) -> Outline:
    """Read the outline of a file. It is empty for a file that cannot be read or is not Python."""
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
    """Return the last word of a decorator and the name that it declares: its `name=`, or the function's own."""
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
    """Return the texts of a `Literal`, even inside a list or a union."""
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
