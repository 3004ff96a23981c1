"""Imports the user's project file and says what it declares.

Only a host calls this; the engine never imports user code. Failures carry the user's own lines, ours left out.
"""

import hashlib
import importlib
import os
import platform
import sys
import traceback
from pathlib import Path
from types import ModuleType

from fairway.author.endpoint import Endpoint
from fairway.author.pipeline import Pipeline
from fairway.author.task import Task
from fairway.spec.errors import UsageError
from fairway.spec.project import ProjectSpec

_SKIPPED = {"__pycache__", "node_modules", "venv", "env", "site-packages"}
_MAX_SOURCES = 2000
_OURS = str(Path(__file__).resolve().parents[1]) + os.sep


def load(path: str) -> ModuleType:
    """Import a project file under its own name, with its folder first on the path.

    Raises:
        UsageError: there is no such file, or its name cannot be a module's.
        BaseException: whatever the file itself raises.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"there is no file {path}", hint="`fairway init` writes a project to start from")
    if file.suffix != ".py":
        raise UsageError(f"{path} is not a Python file")
    if not file.stem.isidentifier():
        raise UsageError(
            f"{file.name} cannot be imported", hint=f"rename it, such as to {file.stem.replace('-', '_')}.py"
        )
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    taken = sys.modules.get(file.stem)
    if taken is not None and getattr(taken, "__file__", None) != str(file):
        raise UsageError(f"the name of {file.name} is that of an installed module", hint="rename the file")
    module = importlib.import_module(file.stem)
    if Path(getattr(module, "__file__", "") or "").resolve() != file.resolve():
        raise UsageError(f"importing {file.stem} gives {module.__file__}, not {path}", hint="rename the file")
    return module


def declared(
    module: ModuleType,
) -> tuple[dict[str, Task[..., object]], dict[str, Pipeline[..., object]], dict[str, Endpoint[..., object]]]:
    """Tasks, pipelines and endpoints of a module by name, in order of definition; imported pipelines do not count."""
    tasks: dict[str, Task[..., object]] = {}
    pipelines: dict[str, Pipeline[..., object]] = {}
    endpoints: dict[str, Endpoint[..., object]] = {}
    for item in vars(module).values():
        if isinstance(item, Task):
            tasks[item.spec.name] = item
        elif isinstance(item, Pipeline) and item.__module__ == module.__name__:
            pipelines[item.__name__] = item
        elif isinstance(item, Endpoint) and item.__module__ == module.__name__:
            endpoints[item.__name__] = item
    return tasks, pipelines, endpoints


def describe(path: str, module: ModuleType) -> ProjectSpec:
    """What the imported project declares, with digests of its source and environment."""
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


def sources(folder: Path) -> list[Path]:
    """The project's own Python files, sorted: those in the folder and its packages, at most some thousands."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        found += [Path(parent, name) for name in sorted(files) if name.endswith(".py")]
        if len(found) > _MAX_SOURCES:
            break
    return found[:_MAX_SOURCES]


def source_digest(folder: Path) -> str:
    """sha256 over names and contents of the project's own Python files."""
    digest = hashlib.sha256()
    for path in sources(folder):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode())
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


def folded(error: BaseException) -> str:
    """The traceback of an error with only frames of the user's and installed code, not ours or the import system's."""
    kept = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = kept
    while part is not None:
        part.stack = traceback.StackSummary.from_list(
            [frame for frame in part.stack if not frame.filename.startswith((_OURS, "<frozen "))]
        )
        part = part.__cause__ or part.__context__
    return "".join(kept.format()).rstrip()
