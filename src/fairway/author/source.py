"""The project's source code as syntax trees, and the names that compiled code uses.

This module reads files and imports nothing of the project.
"""

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
    """A parsed source file.

    Attributes:
        text: the whole tree without docstrings, as a text.
        functions: sources of functions by name and first line. A list, because lambdas may share a line.
        classes: sources of classes by qualified name.
        codes: all code objects that the file compiles to. Code from an older state of the file is not among them.
        imports: names of the modules that the file imports.
        effects: the statements that change something elsewhere when the file is imported.
        effect_code: the compiled form of these statements.
    """

    text: str = ""
    functions: dict[tuple[str, int], list[str]] = {}
    classes: dict[str, list[str]] = {}
    codes: set[CodeType] = set()
    imports: set[str] = set()
    effects: str = ""
    effect_code: CodeType | None = None


def is_project(module: str) -> bool:
    """Tell whether a loaded module belongs to the user's project and is not an installed one."""
    if module.split(".")[0] in ("fairway", "builtins"):
        return False
    if module == "__main__":
        return True
    path = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(path, str) and is_project_file(path) and _is_there(path)


@cache
def is_project_file(path: str) -> bool:
    """Tell whether a file belongs neither to Python, to an installed package nor to Fairway."""
    return not (any(part in path for part in _PACKAGES) or path.startswith((*_LIBRARIES, f"{_OURS}/", "<")))


def _is_there(path: str) -> bool:
    """Tell whether a module's file exists.

    Some libraries make up modules and give them the name of a file that does not exist, without a folder.
    """
    return os.path.isabs(path) and os.path.isfile(path)


def files(folder: Path) -> list[Path]:
    """Return the Python files in a folder and below it, in order. There are at most `_MAX_SOURCES` of them.

    Hidden folders, virtual environments and installed packages are left out.
    """
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


def module_place(name: str, path: Path) -> Path:
    """Return the path of a module's file below the folder that the module is imported from."""
    place = Path(*name.split("."))
    return place / "__init__.py" if path.name == "__init__.py" else place.with_suffix(".py")


def is_installed_file(path: str) -> bool:
    """Tell whether a file belongs to Python or to an installed package. Code without a file does not."""
    return not path.startswith("<") and not is_project_file(path)


def file_text(path: str) -> str:
    """Return the source of a file without layout and docstrings. It is empty when the file cannot be read."""
    return _file(path).text


def is_module(name: str) -> bool:
    """Tell whether a dotted name is the name of a module of the project or of an installed one. Nothing is imported."""
    if name in sys.modules or name in sys.stdlib_module_names or _project_file(name) is not None:
        return True
    top = name.partition(".")[0]
    spec = PathFinder.find_spec(top)
    if spec is None or name == top:
        return spec is not None
    return not any(is_project_file(f"{folder}/") for folder in spec.submodule_search_locations or ())


def function_text(compiled: CodeType) -> str | None:
    """Return the source of a function without layout, or None when its file no longer holds it as it was imported."""
    file = _file(compiled.co_filename)
    texts = file.functions.get((compiled.co_name, compiled.co_firstlineno))
    return "\n".join(texts) if texts and compiled in file.codes else None


def imports_of(path: str) -> set[str]:
    """Return the names of the modules that a file imports anywhere, without those that it imports relatively."""
    return {name for name in _file(path).imports if not name.startswith(".")}


def effects(path: str) -> tuple[str, CodeType | None]:
    """Return the statements that change something elsewhere when a module is imported.

    Returns:
        the statements as source, and their compiled form; None stands for no such statement.
    """
    file = _file(path)
    return file.effects, file.effect_code


def class_text(kind: type) -> str | None:
    """Return the source of a class without layout, or None when its file no longer holds it as it was imported."""
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
    """Yield name and source of a project module and of all project modules that it imports, directly or not."""
    for module, path in module_files([name]):
        yield module, _file(path).text


def module_files(names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name and file of project modules and of all project modules that they import, directly or not."""
    queue, seen = list(names), {""}
    while queue:
        module = queue.pop()
        parent = module.rpartition(".")[0]
        if module in seen:
            continue
        seen.add(module)
        # The import of a module runs its packages first, so their code counts too.
        queue.append(parent)
        path = _project_file(module)
        if path is None:
            continue
        yield module, path
        file = _file(path)
        package = module if Path(path).name == "__init__.py" else parent
        queue += sorted(absolute(imported, package) for imported in file.imports)


def is_as_imported(module: ModuleType, content: bytes) -> bool:
    """Tell whether a loaded module is unchanged: all its functions and classes must be those of the given source."""
    path = module.__file__ or ""
    try:
        codes = set(_all_codes(compile(content, path, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return False
    # The type of a Ref is not asked for, because that would load the value that it stands for.
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
    """Return the global names that code reads, each with the attributes read from it at once.

    `features.clean` gives ("features", "clean").
    """
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
    """Return the modules that code imports itself, and the names that it takes from them, which may be modules too."""
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
    """Return the full name of a module that is written relative to a package, such as ".features"."""
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    base = package.split(".")
    return ".".join([*base[: len(base) - level + 1], *([name[level:]] if name[level:] else [])])


def _project_file(module: str) -> str | None:
    """Return the file of a project module, whether it is loaded or not.

    Installed modules and names that are no module give None.
    """
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
    """Parse a file once. A file that cannot be read or compiled gives an empty record."""
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
    """Yield compiled code and all code inside it."""
    yield compiled
    for constant in compiled.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_codes(constant)


def _collect(node: ast.AST, prefix: str, file: _File) -> None:
    """Collect the functions, classes and imports below a node into the record of its file."""
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
    """Tell whether a statement of a module's top level calls something for its effect, or sets an attribute or item."""
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
    """Return the source of a function without its decorators.

    Decorators are followed as references of their own, and the settings of a task change no result.
    """
    kind = type(node).__name__
    returns = ast.dump(node.returns) if node.returns else ""
    return f"{kind} {node.name}{ast.dump(node.args)}{returns}{[ast.dump(line) for line in node.body]}"


def _strip_docstrings(tree: ast.Module) -> None:
    """Remove the docstrings from a tree."""
    for node in ast.walk(tree):
        if not isinstance(node, _Definition | ast.Module) or not node.body:
            continue
        first = node.body[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            node.body = node.body[1:] or [ast.copy_location(ast.Pass(), first)]
