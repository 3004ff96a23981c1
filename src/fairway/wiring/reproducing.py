"""The repetition of a run in a fresh folder, with a store of its own: its source, its packages, its parameters."""

import os
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fairway.engine import bringing, source
from fairway.local import environments, launching, projects
from fairway.spec.artifact import Artifact
from fairway.spec.errors import UsageError
from fairway.spec.run import RunRequest
from fairway.spec.source import package_changes
from fairway.wiring import reinstalling, runs, target
from fairway.wiring.machine import LocalStores

if TYPE_CHECKING:
    from fairway.engine.platform import EnginePlatform
    from fairway.engine.runs import Note, Opened
    from fairway.ports.platform import Platform
    from fairway.spec.run import RunStatus

_SKIPPED = {".fairway", ".git", "__pycache__", "node_modules"}
_MOST_LINKS = 2000

Watch = Callable[["EnginePlatform", str], Awaitable[object]]


class Fresh(msgspec.Struct, frozen=True):
    """A fresh folder with the source of a run.

    Attributes:
        request: asks for the run again.
        python: the environment in which the project is imported; None is the present one.
        code: the source files that are not those of the run, in words.
    """

    folder: Path
    request: RunRequest
    python: environments.Built | None
    code: list[str]


async def prepare(
    platform: "Platform", status: "RunStatus", folder: Path, note: "Note", *, as_is: bool
) -> Fresh:
    """Make the source, the parameters and the packages of a run again in a folder.

    Args:
        platform: keeps the run.
        folder: a new folder.
        note: takes lines for the person.
        as_is: use the packages that are installed now.

    Raises:
        FairwayError: the source is not on record, or the packages cannot be installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    brought = await source.bring(platform, status, folder)
    code = _link_data(status, brought, folder)
    if not brought.file.is_file():
        raise UsageError(
            f"the project file of run {status.spec.name} is not kept, because it held a secret",
            hint="run the present project instead: `fairway run`, then `fairway compare`",
        )
    stores = LocalStores(folder / projects.STORE).prepare()
    for parameter in status.spec.parameters.values():
        await _keep(platform, parameter, stores)
    request = RunRequest(
        file=os.path.realpath(brought.file),
        module=status.spec.module,
        pipeline=status.spec.pipeline,
        parameters=status.spec.parameters,
        shown=status.spec.shown,
    )
    python = None
    if not as_is and (before := await source.packages(platform, status)) is not None:
        python = await reinstalling.environment(before, status.spec.name, folder, note)
    return Fresh(folder, request, python, code)


async def run(fresh: Fresh, watch: Watch, repeats: str = "") -> "tuple[EnginePlatform, RunStatus]":
    """Carry out the run again, or only a step of it, and return where it is on record.

    Args:
        watch: shows the progress of the run of that name to its end.
        repeats: a step such as "k7m2/train-2".
    """
    stores = LocalStores(fresh.folder / projects.STORE)
    platform = target.platform_of(stores, make_runs=partial(runs.here, stores, partial(_open, stores, fresh)))
    request = msgspec.structs.replace(fresh.request, repeats=repeats)
    name = await platform.submit(request)
    await watch(platform, name)
    return platform, await platform.run(name)


async def changes(before: "Platform", old: "RunStatus", after: "Platform", new: "RunStatus") -> list[str]:
    """Return how the packages of two runs differ, in words."""
    one, other = await source.packages(before, old), await source.packages(after, new)
    if one is None or other is None:
        same = old.spec.environment == new.spec.environment
        return [] if same else ["the packages differ, and which ones is not on record"]
    return package_changes(reinstalling.that_matter(one), reinstalling.that_matter(other))


async def _open(stores: LocalStores, fresh: Fresh, request: RunRequest, note: "Note") -> "Opened":
    """Import the project under the packages of the run that is repeated."""
    from fairway.engine.runs import Opened

    setup = stores.setup(request.file, request.module)
    built = fresh.python
    launched = (
        launching.launch(setup, str(built.python), environments.path(built))
        if built
        else launching.launch(setup)
    )
    executor = runs.executor(stores, request, note)
    return Opened(executor, *await executor.adopt(launched))


async def _keep(platform: "Platform", artifact: Artifact, stores: LocalStores) -> None:
    """Copy the content of a parameter into a store."""
    if artifact.inline is not None:
        return
    with tempfile.TemporaryDirectory(prefix="fairway-") as folder:
        path = Path(folder) / "content"
        await bringing.bring(platform, artifact, path)
        if artifact.files:
            stores.artifacts.put_folder(path)
        else:
            stores.artifacts.put_file(path)


def _link_data(status: "RunStatus", brought: source.Brought, folder: Path) -> list[str]:
    """Link what lies beside the source of a run today and is no source, such as data, into the fresh folder.

    A settings file is always there, so that nothing is imported from a project around the folder. Return the source files that
    had to be taken as they are today.
    """
    place = folder.resolve()
    home = _home(status, brought, place)
    taken: list[str] = []
    if home is not None:
        _link(home, place, place)
        taken = [
            f"{path} is not kept, so it is as it is now"
            for path in brought.lacking
            if (place / path).exists()
        ]
    settings = place / "pyproject.toml"
    if not settings.exists():
        _, content = projects.settings_file(str(home)) if home is not None else ("", b"")
        settings.write_bytes(content)
    return taken


def _home(status: "RunStatus", brought: source.Brought, folder: Path) -> Path | None:
    """Return the folder in which the source of a run lay; None if there is nothing to link."""
    recorded = Path(status.spec.project)
    if status.spec.bundle or not recorded.is_file():
        return None
    parts = brought.file.resolve().relative_to(folder).parts
    home = recorded.parents[len(parts) - 1]
    return None if home == folder or folder in home.parents else home


def _link(source_folder: Path, folder: Path, fresh: Path) -> None:
    """Link the entries of a folder that the fresh one lacks. Folders that both have are gone through. Code is never linked."""
    links = 0
    todo = [(source_folder, folder)]
    while todo and links < _MOST_LINKS:
        own, copy = todo.pop()
        for entry in sorted(own.iterdir()):
            there = copy / entry.name
            if _is_apart(entry, fresh):
                continue
            if there.is_dir() and entry.is_dir():
                todo.append((entry, there))
            elif not there.exists() and entry.suffix != ".py":
                there.symlink_to(entry)
                links += 1


def _is_apart(entry: Path, fresh: Path) -> bool:
    """Tell whether an entry is no data of the project: hidden, made by a tool, or around the fresh folder itself."""
    if entry.name.startswith(".") or entry.name in _SKIPPED or (entry / "pyvenv.cfg").exists():
        return True
    return fresh.is_relative_to(entry.resolve())
