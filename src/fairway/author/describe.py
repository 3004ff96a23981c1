"""The project file: how it is imported, and the description of what it declares.

Only a host imports user code. The engine never does.
"""

import hashlib
import importlib
import os
import platform
import sys
from collections.abc import Sequence
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

from fairway.author import distributions, naming, shadows, source
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
    """A loader that reads a module of the project from its source every time.

    Python compares a compiled file with its source by whole seconds and size only. A constant that was changed right
    after a run would go unnoticed.
    """

    def path_stats(self, path: object) -> Never:
        """Raise OSError, so that Python finds no compiled file to compare with."""
        raise OSError


def _project_finder(path: str) -> FileFinder:
    """Return a finder for a folder of the project, as an entry of `sys.path_hooks`.

    Raises ImportError for other places.
    """
    if not any(f"{path}/".startswith(folder) for folder in _folders) or not source.is_project_file(
        f"{path}/"
    ):
        raise ImportError
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))


_folders: dict[str, None] = {}


def _read_from_source(folder: str) -> None:
    """Read modules in and below a folder from their source from now on, and write no compiled files for them."""
    _folders[f"{folder}/"] = None
    if _project_finder not in sys.path_hooks:
        sys.path_hooks.insert(0, _project_finder)
    # Finders that Python made for these folders before would still read compiled files.
    for path in [path for path in sys.path_importer_cache if f"{path}/".startswith(f"{folder}/")]:
        del sys.path_importer_cache[path]


def load(path: str, name: str = "", roots: Sequence[str] = ()) -> ModuleType:
    """Import a project file from its source, with the folders of its modules first on the path.

    Args:
        path: the file.
        name: the name of its module, such as "shop.flow". The default is the file's own name.
        roots: folders that its modules are imported from. The default is the file's own folder.

    Raises:
        UsageError: there is no such file, or its name cannot be the name of a module.
        BaseException: whatever the file itself raises.
    """
    file = Path(path).absolute()
    if not file.is_file():
        raise UsageError(f"there is no file {path}", hint="`fairway init` writes a project to start from")
    if file.suffix != ".py":
        raise UsageError(f"{path} is not a Python file", hint="`fairway run FILE.py`")
    if not file.stem.isidentifier():
        raise UsageError(
            f"{file.name} cannot be imported: a module's name has letters, digits and _ only, and no digit first",
            hint=f"rename it, such as to {_importable(file.stem)}.py",
        )
    if not os.access(file, os.R_OK):
        raise UsageError(f"{path} cannot be read by this user", hint=f"`ls -l {path}` says who may")
    name, folders = name or file.stem, list(roots) or [str(file.parent)]
    _refuse_taken(file, name, folders)
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    for folder in folders:
        _read_from_source(folder)
    # A module that is imported a second time declares its names again, in lines that may have moved.
    if name not in sys.modules:
        naming.forget(name)
    module = importlib.import_module(name)
    if Path(getattr(module, "__file__", "") or "").resolve() != file.resolve():
        raise UsageError(f"importing {name} gives {module.__file__}, not {path}", hint="rename the file")
    return module


def _refuse_taken(file: Path, name: str, roots: list[str]) -> None:
    """Refuse a file whose own name, or whose outermost package, is the name of another module. Raises UsageError."""
    top = name.partition(".")[0]
    loaded = sys.modules.get(top)
    places = [getattr(loaded, "__file__", None) or "", *(getattr(loaded, "__path__", None) or ())]
    own = Path(roots[0], top) if "." in name or file.name == "__init__.py" else file
    elsewhere = loaded is not None and not any(
        Path(place).resolve() in (file.resolve(), own.resolve())
        or own.resolve() in Path(place).resolve().parents
        for place in places
        if place
    )
    if elsewhere or shadows.hides_library(top, own, roots):
        what = "Python itself has" if top in sys.stdlib_module_names else "an installed library has"
        kind = "file" if own == file else "folder"
        raise UsageError(f"{own} hides the module {top}, which {what}", hint=f"give the {kind} another name")


def folders() -> list[str]:
    """Return the folders that modules of the loaded project are imported from."""
    return [folder.removesuffix("/") for folder in _folders]


def _importable(stem: str) -> str:
    """Return a file name that can be imported and resembles the given one."""
    name = "".join(letter if letter.isalnum() else "_" for letter in stem)
    return name if name.isidentifier() else f"_{name}"


def declared(module: ModuleType) -> Declared:
    """Return the tasks, pipelines and endpoints of a module by name, in the order of their definition.

    Imported tasks count. Imported pipelines and endpoints do not. When a module has a task and copies of it with
    other settings, the name stands for the task.
    """
    tasks: dict[str, Task[..., object]] = {}
    pipelines: dict[str, Pipeline[..., object]] = {}
    endpoints: dict[str, Endpoint[..., object]] = {}
    for item in cast("list[object]", list(vars(module).values())):
        if is_ref(item):
            continue  # the file looks up a model; a look at the type would load it
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
    """Describe everything that the imported project declares, with the digest of its environment.

    Raises:
        UsageError: two declarations share a name, or one does not have the form it must have.
    """
    _refuse_ambiguous(module)
    tasks, pipelines, endpoints = declared(module)
    packages = distributions.listed()
    return ProjectSpec(
        path=path,
        name=module.__name__,
        environment=hashlib.sha256(packages.encode()).hexdigest(),
        packages=packages,
        machine=distributions.machine(),
        python=platform.python_version(),
        tasks=tuple(task.spec for task in tasks.values()),
        pipelines=tuple(pipeline.describe() for pipeline in pipelines.values()),
        endpoints=tuple(endpoint.describe() for endpoint in endpoints.values()),
    )


def _refuse_ambiguous(module: ModuleType) -> None:
    """Refuse two tasks, or two pipelines, that share a name. Raises UsageError.

    A step's process finds its task by name, so a name in the project must mean one function.
    """
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
    """Return the loaded modules of the project other than its main one."""
    return [
        other
        for name, other in list(sys.modules.items())
        if other is not module
        and (getattr(other, "__file__", None) or "").startswith(tuple(_folders))
        and source.is_project(name)
    ]


def find_task(module: ModuleType, name: str) -> Task[..., object] | None:
    """Return the task with that name from any loaded module of the project, or None."""
    for home in [module, *_neighbours(module)]:
        for item in cast("list[object]", list(vars(home).values())):
            if not is_ref(item) and isinstance(item, Task) and item.spec.name == name:
                return cast("Task[..., object]", item)
    return None


def _home(module: ModuleType) -> Path:
    """Return the folder of a project's own files.

    It is the outermost package, or the folder of a file that lies in no package.
    """
    folder = Path(module.__file__ or "").parent
    levels = module.__name__.count(".") - (0 if hasattr(module, "__path__") else 1)
    return folder.parents[levels - 1] if levels > 0 else folder


def _place(function: object) -> str:
    """Return the module and line of a function, for an error."""
    compiled = getattr(function, "__code__", None)
    where = f":{compiled.co_firstlineno}" if isinstance(compiled, CodeType) else ""
    return f"{getattr(function, '__module__', '?')}{where}"


def own_files(module: ModuleType) -> dict[str, Path]:
    """Return the source files of an imported project, by their path below the folder that its modules are imported from.

    They are those in and below the project's folder, imported or not, and those that were imported from elsewhere in the
    project. Where both have the same path, the imported one counts.
    """
    home = _home(module)
    alone = "." not in module.__name__ and not hasattr(module, "__path__")
    outer = home if alone else home.parent
    found = {path.relative_to(outer).as_posix(): path for path in source.files(home)}
    for other in _neighbours(module):
        path = Path(other.__file__ or "")
        if path.suffix == ".py":
            found[source.module_place(other.__name__, path).as_posix()] = path
    return found
