"""The user's project inside a host: it is imported once, described, and its tasks and pipelines are found by name.

Both forms of a host use it: the one that forks a process for each attempt, and the one that runs them in its own process.
"""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

import msgspec

from fairway.author import bundle, describe, parameters, redaction, secret_names, session
from fairway.author.pipeline import Pipeline
from fairway.author.task import Task
from fairway.local import importing, projects
from fairway.runner import failures
from fairway.runner.values import Values
from fairway.spec.errors import UsageError
from fairway.spec.host import HostSetup, ProjectCode
from fairway.spec.text import legible
from fairway.spec.wire import Bind, Bound, Described
from fairway.stores.opening import OpenStore


class ImportedProject:
    """The user's module with the tasks, pipelines and endpoints that it declares."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.tasks, self.pipelines, self.endpoints = describe.declared(module)
        for task in self.tasks.values():
            task.signature  # noqa: B018  computed once here, not again in every child

    def task(self, name: str) -> "Task[..., object] | None":
        """Return the task of that name, or None. The module declares it, or it can be reached from the module's imports."""
        return self.tasks.get(name) or describe.find_task(self.module, name)

    def pipeline(self, name: str) -> Callable[..., object]:
        """Return the function of the pipeline of that name."""
        return self.pipelines[name].function


def load_module(code: ProjectCode) -> ModuleType:
    """Import the project file, or unpickle the pipeline that a notebook sent."""
    if code.file:
        place = projects.locate(code.file, code.module)
        return describe.load(place.file, place.module, place.roots)
    import cloudpickle

    pipeline = cast("Pipeline[..., object]", cloudpickle.loads(Path(code.pickled).read_bytes()))
    module = ModuleType("__main__")
    pipeline.__module__ = module.__name__
    vars(module)[pipeline.__name__] = pipeline
    for value in pipeline.function.__globals__.values():
        if not session.is_ref(value) and isinstance(value, Task):
            vars(module)[value.__name__] = value
    return module


def describe_project(setup: HostSetup, store: OpenStore) -> tuple[ImportedProject | None, Described]:
    """Import the project of a host. Return it with its description, or None with the failure of the import."""
    session.settle(setup.store.address)
    file = setup.code.file
    try:
        with importing.apart():
            # Before the import, whose output and error may hold a secret.
            if file:
                redaction.name_more(secret_names.read(Path(file).parent))
            redaction.watch_environment()
            module = load_module(setup.code)
        project = ImportedProject(module)
        redaction.refresh()
        spec = describe.describe(file, module)
        if file and not setup.foreign:
            files = bundle.source_files(module, store.artifacts.exists)
            spec = msgspec.structs.replace(spec, files=files)
    except BaseException as error:
        return None, Described(pid=os.getpid(), failure=failures.of_import(error, file))
    return project, Described(pid=os.getpid(), project=spec)


def bind(project: ImportedProject, store: OpenStore, message: Bind) -> Bound:
    """Turn the typed parameters of a pipeline into values that are stored."""
    try:
        pipeline = project.pipelines[message.pipeline]
        values = parameters.bind(pipeline.function, message.words(), message.config)
        _check_secrets(values)
        stored, clean = Values(store.artifacts), redaction.live().text
        return Bound(
            parameters={name: stored.save(value) for name, value in values.items()},
            shown={name: legible(clean(text)) for name, text in parameters.shown(values).items()},
        )
    except Exception as error:
        return Bound(failure=failures.of_parameters(error))


def _check_secrets(values: dict[str, object]) -> None:
    """Refuse parameters whose values may not be stored. Raises UsageError."""
    for name, value in values.items():
        why = redaction.refusal(name, value)
        if why:
            raise UsageError(
                why,
                hint=f"annotate it `{name}: fw.Secret`, give the name of an environment variable, and `reveal()` it",
            )
