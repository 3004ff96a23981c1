"""The project's source as syntax trees, and what compiled code names. Reads files, imports nothing."""

import ast
import dis
import os
import site
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import cast

import msgspec

from fairway.author.session import is_ref

_LIBRARIES = (f"{os.path.dirname(os.__file__)}/", *(f"{folder}/" for folder in site.getsitepackages()))
_PACKAGES = ("/site-packages/", "/dist-packages/")
_OURS = str(Path(__file__).resolve().parents[1])
_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_BETWEEN = ("PUSH_NULL", "CACHE", "PRECALL", "EXTENDED_ARG")
_SKIPPED = {"__pycache__", "node_modules", "venv", "env", "site-packages"}
_MAX_SOURCES = 2000
_MAX_FOLDERS = 2000
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _File(msgspec.Struct):
    """One source file: its tree without docstrings, functions by name and first line, classes by qualified name.

    `codes` holds everything the file compiles to, so that code from an older state of the file is told apart.
    `effects` are the statements that change something elsewhere when the file is imported.
    """

    text: str = ""
    functions: dict[tuple[str, int], list[str]] = {}
    classes: dict[str, list[str]] = {}
    codes: set[CodeType] = set()
    imports: set[str] = set()
    effects: str = ""
    effect_code: CodeType | None = None


def is_project(module: str) -> bool:
    """Whether a loaded module is the user's own rather than installed."""
    if module.split(".")[0] in ("fairway", "builtins"):
        return False
    if module == "__main__":
        return True
    path = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(path, str) and is_project_file(path) and _is_there(path)


@cache
def is_project_file(path: str) -> bool:
    """Whether a file belongs neither to Python, to an installed package nor to Fairway."""
    return not (any(part in path for part in _PACKAGES) or path.startswith((*_LIBRARIES, f"{_OURS}/", "<")))


def _is_there(path: str) -> bool:
    """Whether a module's file exists; some libraries make up modules and name a file that is none, without a folder."""
    return os.path.isabs(path) and os.path.isfile(path)


def files(folder: Path) -> list[Path]:
    """The project's own Python files: those in the folder and below it, in order, at most some thousands."""
    found: list[Path] = []
    for visited, (parent, folders, files) in enumerate(os.walk(folder)):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        found += [Path(parent, name) for name in sorted(files) if name.endswith(".py")]
        if len(found) > _MAX_SOURCES or visited > _MAX_FOLDERS:
            break
    return found[:_MAX_SOURCES]


def is_installed_file(path: str) -> bool:
    """Whether a file is of Python or of an installed package; False for code that has no file."""
    return not path.startswith("<") and not is_project_file(path)


def file_text(path: str) -> str:
    """A file's source without layout and docstrings; empty when it cannot be read."""
    return _file(path).text


def is_module(name: str) -> bool:
    """Whether a dotted name is that of a module, the project's or an installed one. Imports nothing."""
    if name in sys.modules or name in sys.stdlib_module_names or _project_file(name) is not None:
        return True
    top = name.partition(".")[0]
    spec = PathFinder.find_spec(top)
    if spec is None or name == top:
        return spec is not None
    return not any(is_project_file(f"{folder}/") for folder in spec.submodule_search_locations or ())


def function_text(compiled: CodeType) -> str | None:
    """The function's source without layout; None when its file does not hold it as it was imported."""
    file = _file(compiled.co_filename)
    texts = file.functions.get((compiled.co_name, compiled.co_firstlineno))
    return "\n".join(texts) if texts and compiled in file.codes else None


def effects(path: str) -> tuple[str, CodeType | None]:
    """The statements of a module that change something elsewhere when it is imported: as source, and compiled."""
    file = _file(path)
    return file.effects, file.effect_code


def class_text(kind: type) -> str | None:
    """The class's source without layout; None when its file does not hold it as it was imported."""
    path = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if not isinstance(path, str):
        return None
    file = _file(path)
    for member in vars(kind).values():
        compiled = member.__code__ if isinstance(member, FunctionType) else None
        if compiled is not None and compiled.co_filename == path and compiled not in file.codes:
            return None
    texts = file.classes.get(kind.__qualname__)
    return "\n".join(texts) if texts else None


def module_texts(name: str) -> Iterator[tuple[str, str]]:
    """Names and sources of a project module and of all project modules that it imports, directly or not."""
    for module, path in module_files([name]):
        yield module, _file(path).text


def module_files(names: list[str]) -> Iterator[tuple[str, str]]:
    """Names and files of project modules and of all project modules that they import, directly or not."""
    queue, seen = list(names), {""}
    while queue:
        module = queue.pop()
        parent = module.rpartition(".")[0]
        if module in seen:
            continue
        seen.add(module)
        queue.append(parent)
        path = _project_file(module)
        if path is None:
            continue
        yield module, path
        file = _file(path)
        package = module if Path(path).name == "__init__.py" else parent
        queue += sorted(absolute(imported, package) for imported in file.imports)


def is_as_imported(module: ModuleType, content: bytes) -> bool:
    """Whether the functions and classes of a loaded module are those of a source, so that it was not changed since."""
    path = module.__file__ or ""
    try:
        codes = set(_all_codes(compile(content, path, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return False
    values = [value for value in vars(module).values() if not is_ref(value)]
    values += [
        member
        for kind in values
        if isinstance(kind, type) and kind.__module__ == module.__name__
        for member in vars(kind).values()
    ]
    compiled = [value.__code__ for value in values if isinstance(value, FunctionType)]
    return all(code in codes for code in compiled if code.co_filename == path)


def global_names(compiled: CodeType) -> list[tuple[str, ...]]:
    """Global names that code reads, each with the attributes read from it at once: ("features", "clean")."""
    found: dict[tuple[str, ...], None] = {}
    chain: list[str] = []
    for instruction in dis.get_instructions(compiled):
        if instruction.opname in _BETWEEN:
            continue
        if chain and instruction.opname in _ATTRIBUTES:
            chain.append(str(instruction.argval))
            continue
        if chain:
            found[tuple(chain)] = None
        chain = [str(instruction.argval)] if instruction.opname in _GLOBALS else []
    for constant in compiled.co_consts:
        if isinstance(constant, CodeType):
            found |= dict.fromkeys(global_names(constant))
    return list(found)


def imported_names(compiled: CodeType, package: object) -> list[str]:
    """Modules that code imports itself, with what it takes from them, which may be modules too."""
    found: list[str] = []
    before: list[object] = [0, None]
    for instruction in dis.get_instructions(compiled):
        if instruction.opname == "IMPORT_NAME":
            level, taken = before
            name = absolute(
                "." * (level if isinstance(level, int) else 0) + str(instruction.argval), str(package)
            )
            found.append(name)
            parts = cast("tuple[object, ...]", taken) if isinstance(taken, tuple) else ()
            found += [f"{name}.{part}" for part in parts]
        before = [before[1], instruction.argval]
    for constant in compiled.co_consts:
        if isinstance(constant, CodeType):
            found += imported_names(constant, package)
    return found


def absolute(name: str, package: str) -> str:
    """The full name of a module that is written relative to a package, as ".features"."""
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    base = package.split(".")
    return ".".join([*base[: len(base) - level + 1], *([name[level:]] if name[level:] else [])])


def _project_file(module: str) -> str | None:
    """The file of a project module, loaded or not; None for installed ones, and for names that are no module."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if isinstance(loaded, str):
        return loaded if loaded.endswith(".py") and is_project_file(loaded) and _is_there(loaded) else None
    top, *rest = module.split(".")
    spec = PathFinder.find_spec(top) if top not in sys.stdlib_module_names else None
    if spec is None:
        return None
    if not rest:
        origin = spec.origin or ""
        return origin if origin.endswith(".py") and is_project_file(origin) else None
    for folder in spec.submodule_search_locations or ():
        stem = Path(folder).joinpath(*rest)
        for path in (stem / "__init__.py", stem.with_suffix(".py")):
            if is_project_file(str(path)) and path.is_file():
                return str(path)
    return None


@cache
def _file(path: str) -> _File:
    try:
        content = Path(path).read_bytes()
        tree = ast.parse(content)
        compiled = compile(content, path, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return _File()
    file = _File(functions={}, classes={}, codes=set(_all_codes(compiled)), imports=set())
    _strip_docstrings(tree)
    file.text = ast.dump(tree)
    _collect(tree, "", file)
    changing = [part for part in tree.body if _has_effect(part)]
    if changing:
        file.effects = "\n".join(map(ast.dump, changing))
        file.effect_code = compile(ast.Module(changing, []), path, "exec", dont_inherit=True)
    return file


def _all_codes(compiled: CodeType) -> Iterator[CodeType]:
    yield compiled
    for constant in compiled.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_codes(constant)


def _collect(node: ast.AST, prefix: str, file: _File) -> None:
    for child in ast.iter_child_nodes(node):
        inside = prefix
        if isinstance(child, ast.ClassDef):
            file.classes.setdefault(prefix + child.name, []).append(ast.dump(child))
            inside = f"{prefix}{child.name}."
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
            file.functions.setdefault((child.name, first), []).append(_plain_function(child))
            inside = f"{prefix}{child.name}.<locals>."
        elif isinstance(child, ast.Lambda):
            file.functions.setdefault(("<lambda>", child.lineno), []).append(ast.dump(child))
        elif isinstance(child, ast.Import):
            file.imports |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            name = "." * child.level + (child.module or "")
            dot = "." if child.module else ""
            file.imports |= {name, *(f"{name}{dot}{alias.name}" for alias in child.names)}
        _collect(child, inside, file)


def _has_effect(node: ast.stmt) -> bool:
    """Whether a statement at a module's top level calls something for its effect, or sets an attribute or item."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
    if isinstance(node, ast.If) and "__name__" in ast.dump(node.test):
        return False
    if isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try):
        inside = [
            part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt | ast.ExceptHandler)
        ]
        return any(not isinstance(part, ast.stmt) or _has_effect(part) for part in inside)
    return isinstance(node, ast.Delete)


def _plain_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """A function without its decorators: what they do is followed, and a task's settings change no result."""
    kind = type(node).__name__
    returns = ast.dump(node.returns) if node.returns else ""
    return f"{kind} {node.name}{ast.dump(node.args)}{returns}{[ast.dump(line) for line in node.body]}"


def _strip_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, _Definition | ast.Module) or not node.body:
            continue
        first = node.body[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            node.body = node.body[1:] or [ast.Pass()]
