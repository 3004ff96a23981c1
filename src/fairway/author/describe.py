"""Imports the user's project file and says what it declares.

Only a host calls this; the engine never imports user code.
"""

import hashlib
import importlib
import os
import platform
import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType
from typing import Never, cast

from fairway.author import naming, source
from fairway.author.endpoint import Endpoint, endpoint_of
from fairway.author.pipeline import Pipeline
from fairway.author.session import is_ref
from fairway.author.task import Task
from fairway.spec.errors import UsageError
from fairway.spec.project import ProjectSpec

Declared = tuple[
    dict[str, Task[..., object]], dict[str, Pipeline[..., object]], dict[str, Endpoint[..., object]]
]


class _FromSource(SourceFileLoader):
    """Reads a module of the project from its source every time.

    A compiled file is told apart from its source by whole seconds and size only, so a constant changed right after a run
    would not be seen.
    """

    def path_stats(self, path: object) -> Never:
        """Nothing that a compiled file could be compared with."""
        raise OSError


def _project_finder(path: str) -> FileFinder:
    """A hook for `sys.path_hooks`. Raises ImportError for places outside the project."""
    if not any(f"{path}/".startswith(folder) for folder in _folders) or not source.is_project_file(
        f"{path}/"
    ):
        raise ImportError
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))


_folders: set[str] = set()


def _read_from_source(folder: str) -> None:
    """From here on, modules in and below a folder are not read from compiled files, and none are written."""
    _folders.add(f"{folder}/")
    if _project_finder not in sys.path_hooks:
        sys.path_hooks.insert(0, _project_finder)
    for path in [path for path in sys.path_importer_cache if f"{path}/".startswith(f"{folder}/")]:
        del sys.path_importer_cache[path]


def load(path: str) -> ModuleType:
    """Import a project file under its own name, from its source, with its folder first on the path.

    Raises:
        UsageError: there is no such file, or its name cannot be a module's.
        BaseException: whatever the file itself raises.
    """
    file = Path(path).absolute()
    if not file.is_file():
        raise UsageError(f"there is no file {path}", hint="`fairway init` writes a project to start from")
    if file.suffix != ".py":
        raise UsageError(f"{path} is not a Python file")
    if not file.stem.isidentifier():
        raise UsageError(
            f"{file.name} cannot be imported: a module's name has letters, digits and _ only, and no digit first",
            hint=f"rename it, such as to {_importable(file.stem)}.py",
        )
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    _read_from_source(folder)
    taken = sys.modules.get(file.stem)
    if taken is not None and Path(getattr(taken, "__file__", None) or "/").resolve() != file.resolve():
        raise UsageError(f"the name of {file.name} is that of an installed module", hint="rename the file")
    if taken is None:
        naming.forget(file.stem)
    module = importlib.import_module(file.stem)
    if Path(getattr(module, "__file__", "") or "").resolve() != file.resolve():
        raise UsageError(f"importing {file.stem} gives {module.__file__}, not {path}", hint="rename the file")
    return module


def _importable(stem: str) -> str:
    name = "".join(letter if letter.isalnum() else "_" for letter in stem)
    return name if name.isidentifier() else f"_{name}"


def declared(module: ModuleType) -> Declared:
    """Tasks, pipelines and endpoints of a module by name, in order of definition.

    Of what it imports, tasks count and pipelines and endpoints do not. Where a task and copies of it with other
    settings are there, the name is the task's.
    """
    tasks: dict[str, Task[..., object]] = {}
    pipelines: dict[str, Pipeline[..., object]] = {}
    endpoints: dict[str, Endpoint[..., object]] = {}
    for item in cast("list[object]", list(vars(module).values())):
        if is_ref(item):
            continue  # a model that the file looks up: looking at its type would load it
        if isinstance(item, Task):
            tasks.setdefault(item.spec.name, cast("Task[..., object]", item))
        elif isinstance(item, Pipeline) and item.__module__ == module.__name__:
            pipelines[item.__name__] = cast("Pipeline[..., object]", item)
        else:
            endpoint = endpoint_of(cast("object", item))
            if endpoint is not None and endpoint.__module__ == module.__name__:
                endpoints[endpoint.__name__] = endpoint
    return tasks, pipelines, endpoints


def describe(path: str, module: ModuleType) -> ProjectSpec:
    """What the imported project declares, with digests of its source and environment.

    Raises:
        UsageError: two declarations share a name, or one is not of the form it must have.
    """
    _refuse_ambiguous(module)
    tasks, pipelines, endpoints = declared(module)
    return ProjectSpec(
        path=path,
        name=module.__name__,
        source=source_digest(Path(path).parent) if path else "",
        environment=environment_digest(),
        python=platform.python_version(),
        tasks=tuple(task.spec for task in tasks.values()),
        pipelines=tuple(pipeline.describe() for pipeline in pipelines.values()),
        endpoints=tuple(endpoint.describe() for endpoint in endpoints.values()),
    )


def _refuse_ambiguous(module: ModuleType) -> None:
    """A step's process finds its task by name, so a name in the project must mean one function."""
    naming.refuse_redefined(module.__name__)
    found: dict[tuple[str, str], object] = {}
    for home in [module, *_neighbours(module)]:
        for item in cast("list[object]", list(vars(home).values())):
            if is_ref(item):
                continue
            if isinstance(item, Task):
                kind, name, function = "task", item.spec.name, cast("object", item.function)
            elif isinstance(item, Pipeline) and home is module:
                kind, name, function = "pipeline", item.__name__, cast("object", item.function)
            else:
                continue
            other = found.setdefault((kind, name), function)
            if other is not function:
                raise UsageError(
                    f"two {kind}s are named {name!r}: {_place(other)} and {_place(function)}",
                    hint=f'give one of them another name: `@fw.{kind}(name="…")`',
                )


def _neighbours(module: ModuleType) -> list[ModuleType]:
    """Loaded modules of the project other than its main one."""
    folder = os.path.dirname(getattr(module, "__file__", None) or "")
    return [
        other
        for name, other in list(sys.modules.items())
        if folder
        and other is not module
        and (getattr(other, "__file__", None) or "").startswith(folder + os.sep)
        and source.is_project(name)
    ]


def _place(function: object) -> str:
    compiled = getattr(function, "__code__", None)
    where = f":{compiled.co_firstlineno}" if isinstance(compiled, CodeType) else ""
    return f"{getattr(function, '__module__', '?')}{where}"


def source_digest(folder: Path) -> str:
    """sha256 over names and contents of the project's own Python files."""
    digest = hashlib.sha256()
    for path in source.files(folder):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def environment_digest() -> str:
    """sha256 over the interpreter's version and the names and versions of the installed distributions."""
    installed: set[str] = set()
    for folder in sys.path:
        try:
            installed |= {name for name in os.listdir(folder) if name.endswith(".dist-info")}
        except OSError:
            continue
    text = "\n".join([platform.python_version(), platform.machine(), *sorted(installed)])
    return hashlib.sha256(text.encode()).hexdigest()
