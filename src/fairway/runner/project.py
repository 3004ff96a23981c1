"""The user's project inside a host: it is imported once, and its tasks and pipelines are found by name."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

from fairway.author import describe, session
from fairway.author.pipeline import Pipeline
from fairway.author.task import Task
from fairway.local import projects
from fairway.spec.host import ProjectCode


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
