"""The overview that `fairway` alone prints: the contents of a project, and three commands that probably come next.

Project files are read as text and never imported. Outside a project, the help is printed instead.
"""

from pathlib import Path

import click
import msgspec

from fairway.cli import looking, outline, views
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_block
from fairway.spec.endpoint import EndpointStatus
from fairway.spec.model import ModelSummary
from fairway.spec.run import Phase, RunSummary
from fairway.wiring import settings

_MOST_FILES = 200


class Found(msgspec.Struct, frozen=True):
    """The contents of a project: files with their declarations, and the newest records of the store."""

    files: dict[str, outline.Outline] = {}
    newest: RunSummary | None = None
    models: tuple[ModelSummary, ...] = ()
    endpoints: tuple[EndpointStatus, ...] = ()

    @property
    def is_project(self) -> bool:
        """True when there is something to print."""
        return bool(self.files or self.newest or self.models or self.endpoints)


def look(folder: Path) -> Found:
    """Look at a folder and its store. Return their contents."""
    files: dict[str, outline.Outline] = {}
    for path in _candidates(folder)[:_MOST_FILES]:
        declared = outline.read(path)
        if declared.is_project:
            files[str(path.relative_to(folder))] = declared
    root = settings.store_root()
    if not (root / "store.json").exists():
        return Found(files)
    platform = looking.opened(root)
    runs = ask(platform.runs(1))
    wanted = tuple(one for one in ask(platform.deployed()) if one.wanted)
    return Found(files, runs[0] if runs else None, tuple(ask(platform.models())), wanted)


def _candidates(folder: Path) -> list[Path]:
    """Return the Python files of a folder and of the packages in it and in `src`."""
    packages = [path for place in (folder, folder / "src") for path in sorted(place.glob("*/__init__.py"))]
    inside = [path for package in packages for path in sorted(package.parent.glob("*.py"))]
    return [*sorted(folder.glob("*.py")), *inside]


def lines(found: Found) -> list[str]:
    """Return a line for each thing that was found."""
    told: list[str] = []
    for name, declared in found.files.items():
        parts = [f"pipeline {one}" for one in declared.pipelines]
        parts += [f"endpoint {one}" for one in declared.endpoints]
        told.append(f"{name}: {', '.join(parts)}")
    run = found.newest
    if run is not None:
        word = views.run_word(run.phase, alive=run.alive)
        told.append(f"newest run: {run.name}, {run.pipeline}, {word}, {views.when(run.started)}")
    for model in found.models:
        aliases = "".join(f", {alias}={version}" for alias, version in sorted(model.aliases.items()))
        told.append(f"model {model.name}: version {model.newest.version}{aliases}")
    told += [f"endpoint {one.name}: revision {one.wanted}" for one in found.endpoints]
    return told


def next_commands(found: Found) -> list[tuple[str, str]]:
    """Return three commands that probably come next, each with its purpose. The most urgent is first."""
    commands: list[tuple[str, str]] = []
    run = found.newest
    if run is not None and run.phase is Phase.FAILED:
        commands += [
            (f"fairway show {run.name}", "see why it failed"),
            (f"fairway resume {run.name}", "resume it once that is fixed"),
        ]
    elif run is not None and run.phase is Phase.CANCELLED:
        commands.append((f"fairway resume {run.name}", "resume it"))
    elif run is not None and run.phase is not Phase.SUCCEEDED:
        if run.alive:
            commands.append((f"fairway follow {run.name}", "follow the newest run"))
        else:
            commands.append((f"fairway resume {run.name}", "resume the interrupted run"))
    served = {one.name for one in found.endpoints}
    commands += [
        (f"fairway deploy {model.name}", "serve the newest version")
        for model in found.models
        if model.name not in served
    ][:1]
    for name, declared in found.files.items():
        one = next(iter(declared.pipelines), "")
        where = f"{name}:{one}" if len(declared.pipelines) > 1 else name
        if one:
            commands.append((f"fairway run {where}", "run the pipeline"))
        elif not served.issuperset(declared.endpoints):
            commands.append((f"fairway deploy {name}", "serve the endpoint"))
    if served:
        commands.append(("fairway endpoints", "see what answers, and where"))
    if run is not None:
        commands += [(f"fairway show {run.name}", "see the newest run"), ("fairway runs", "list all runs")]
    else:
        name = next(iter(found.files), "FILE")
        commands += [
            (f"fairway plan {name}", "see what it would do"),
            ("fairway doctor", "check this machine"),
        ]
    return list(dict(commands).items())[:3]


def print_overview(context: click.Context) -> None:
    """Print the overview of the project in this folder. Outside a project, print the help."""
    found = look(Path.cwd())
    if not found.is_project:
        show_block(context.get_help())
        return
    show(*lines(found))
    width = max(len(command) for command, _ in next_commands(found))
    report("", "next:", *(f"  {command.ljust(width)}  {why}" for command, why in next_commands(found)))
    report(f"  {'fairway --help'.ljust(width)}  list all commands")
