"""What a task's result depends on in the project's code, as digests that ignore comments, docstrings and layout.

A function's own source counts, and, followed recursively, every project function, class and plain constant it refers to.
Installed packages do not: the environment's digest stands for them. Where a function has no source (a notebook cell that
is gone), its compiled code stands in.
"""

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

_LIBRARIES = tuple(
    {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
)
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_MISSING = object()


def parts(function: Callable[..., object]) -> dict[str, str]:
    """Digests by part: "function train", "helper clean", "class Net", "constant RATE"."""
    found: dict[str, str] = {}
    inner = _function_of(function)
    if inner is None:
        return {"function ?": _digest(repr(function))}
    found[f"function {inner.__qualname__}"] = _digest(_source_of(inner))
    _follow(inner, found, {id(inner)})
    return found


def _follow(function: FunctionType, found: dict[str, str], seen: set[int]) -> None:
    for name, value in _referred(function):
        if id(value) in seen:
            continue
        inner = _function_of(value)
        if inner is not None:
            if _is_project(inner.__module__):
                seen |= {id(value), id(inner)}
                found[f"helper {inner.__module__}.{inner.__qualname__}"] = _digest(_source_of(inner))
                _follow(inner, found, seen)
        elif isinstance(value, type):
            if _is_project(value.__module__):
                seen.add(id(value))
                found[f"class {value.__module__}.{value.__qualname__}"] = _digest(_class_source(value))
                for member in vars(value).values():
                    method = _function_of(member)
                    if method is not None and id(method) not in seen:
                        seen.add(id(method))
                        _follow(method, found, seen)
        else:
            text = _constant(value)
            if text is not None:
                found[f"constant {name}"] = _digest(text)


def _function_of(value: object) -> FunctionType | None:
    for _ in range(8):
        if isinstance(value, FunctionType):
            return value
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        elif isinstance(value, property):
            value = value.fget
        elif not isinstance(value, type) and "__wrapped__" in getattr(value, "__dict__", {}):
            value = value.__wrapped__  # type: ignore[attr-defined]
        else:
            return None
    return None


def _referred(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Global, closed-over and module-attribute values that a function's code names."""
    scope = function.__globals__
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue
    names = list(dict.fromkeys(_names(function.__code__)))
    for name in names:
        value = scope.get(name, _MISSING)
        if isinstance(value, ModuleType):
            if _is_project(value.__name__):
                yield from ((f"{name}.{part}", vars(value)[part]) for part in names if part in vars(value))
        elif value is not _MISSING:
            yield name, value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _constant(value: object) -> str | None:
    """A deterministic text for plain data; None for anything else."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, list | tuple):
        texts = [_constant(item) for item in value]
        return None if None in texts else f"{type(value).__name__}({texts})"
    if isinstance(value, set | frozenset):
        texts = [_constant(item) for item in value]
        return None if None in texts else f"set({sorted(text for text in texts if text)})"
    if isinstance(value, dict):
        pairs = [(_constant(key), _constant(item)) for key, item in value.items()]
        return None if any(None in pair for pair in pairs) else f"dict({pairs})"
    return None


@cache
def _is_project(module: str) -> bool:
    """Whether a module is the user's own rather than installed."""
    loaded = sys.modules.get(module)
    if module.split(".")[0] in ("fairway", "builtins"):
        return False
    if module == "__main__":
        return True
    path = getattr(loaded, "__file__", None)
    if path is None:
        return False
    return "site-packages" not in path and not path.startswith(tuple(f"{folder}/" for folder in _LIBRARIES))


@cache
def _definitions(path: str) -> dict[tuple[str, int], ast.AST]:
    """Every definition of a file by its name and first line (of its decorators, if any)."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[tuple[str, int], ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found[node.name, first] = node
        elif isinstance(node, ast.Lambda):
            found["<lambda>", node.lineno] = node
    return found


def _source_of(function: FunctionType) -> str:
    compiled = function.__code__
    node = _definitions(compiled.co_filename).get((function.__name__, compiled.co_firstlineno))
    return _bytecode(compiled) if node is None else _normal(node)


def _class_source(kind: type) -> str:
    loaded = sys.modules.get(kind.__module__)
    path = getattr(loaded, "__file__", None)
    if path:
        for (name, _), node in _definitions(path).items():
            if name == kind.__name__ and isinstance(node, ast.ClassDef):
                return _normal(node)
    methods = (_function_of(member) for member in vars(kind).values())
    return repr([_bytecode(method.__code__) for method in methods if method is not None])


def _normal(node: ast.AST) -> str:
    """The syntax tree without positions, docstrings and decorators (their settings do not change the result)."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = inner.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                inner.body = inner.body[1:] or [ast.Pass()]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        bare = ast.dump(ast.Module(body=node.body, type_ignores=[]))
        return f"{node.name}{ast.dump(node.args)}{ast.dump(node.returns) if node.returns else ''}{bare}"
    return ast.dump(node)


def _bytecode(compiled: CodeType) -> str:
    inner = [_bytecode(item) if isinstance(item, CodeType) else repr(item) for item in compiled.co_consts]
    return repr((compiled.co_name, compiled.co_code, inner, compiled.co_names, compiled.co_varnames))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
