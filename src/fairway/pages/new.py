"""The page that starts a run: the files of the project, then a form of the pipeline's typed parameters."""

import secrets
from shlex import quote
from typing import Any

import msgspec
from starlette.responses import Response

from fairway.pages.parameters import fields_of, flags_of, typed, values_in, values_of
from fairway.pages.visit import View, Visit, address
from fairway.spec.access import Role
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.project import PipelineSpec, ProjectSpec
from fairway.spec.run import RunRequest, RunStatus

_LONGEST_PATH = 4096


class New:
    """The pages that start a run."""

    def views(self) -> list[View]:
        """Return the page and the targets of its forms."""
        runner = Role.RUNNER
        return [
            View(path="/new", handler=self.show, role=runner),
            View(path="/new", handler=self.start, role=runner, method="POST"),
            View(path="/new/template", handler=self.begin, role=runner, method="POST"),
            View(path="/runs/{name}/steps/{step}/again", handler=self.repeat, role=runner, method="POST"),
        ]

    async def show(self, visit: Visit) -> Response:
        """Show the form of a pipeline, or the files of the project to choose from."""
        asked = visit.query
        if not asked.get("run") and not asked.get("file"):
            project = await visit.platform.projects.files()
            return visit.page("new.html", title="Start a run", command="fairway run FILE", project=project)
        run, request = await _wanted(visit, asked)
        return await _form(visit, run, request, values_of(run.spec) if run is not None else {})

    async def start(self, visit: Visit) -> Response:
        """Start the run that the form asks for. A wrong value shows the form again, with the error."""
        form = await visit.form()
        run, request = await _wanted(visit, form)
        values = values_in(form)
        try:
            pipeline = _chosen(await visit.platform.describe(request), request.pipeline)
            request.pipeline = pipeline.name
            request.key = form.get("key", "")[:64]
            if run is not None and values == _fields_as_sent(pipeline, run):
                # Nothing was changed, so the run gets the very values of the earlier one.
                request.parameters, request.shown = run.spec.parameters, run.spec.shown
            else:
                request.texts = typed(pipeline, form)
            name = await visit.platform.submit(request)
        except UsageError as error:
            return await _form(visit, run, request, values, error)
        return visit.go(address("runs", name))

    async def begin(self, visit: Visit) -> Response:
        """Write a template into the project and run it."""
        form = await visit.form()
        file = await visit.platform.projects.begin(form.get("template", ""))
        request = RunRequest(file=file, folder=file.rpartition("/")[0])
        request.pipeline = _chosen(await visit.platform.describe(request), "").name
        return visit.go(address("runs", await visit.platform.submit(request)))

    async def repeat(self, visit: Visit) -> Response:
        """Run one step again by itself, with the inputs that it had."""
        await visit.form()
        params = visit.request.path_params
        status = await visit.platform.run(params["name"])
        request = _of_run(status)
        request.repeats = f"{status.spec.name}/{params['step']}"
        return visit.go(address("runs", await visit.platform.submit(request)))


async def _wanted(visit: Visit, asked: dict[str, str]) -> tuple[RunStatus | None, RunRequest]:
    """Return the run that is to be repeated, if any, and the request without parameters. Raises NotFound."""
    if asked.get("run"):
        status = await visit.platform.run(asked["run"])
        return status, _of_run(status)
    file = asked.get("file", "")[:_LONGEST_PATH]
    project = await visit.platform.projects.files()
    if file not in project.files:
        raise NotFound(
            f"the project has no file {file[:200]!r} with a pipeline", hint="choose one of its files"
        )
    request = RunRequest(file=f"{project.folder}/{file}", folder=project.folder)
    request.pipeline = asked.get("pipeline", "")[:200]
    return None, request


def _of_run(status: RunStatus) -> RunRequest:
    spec = status.spec
    if not spec.project:
        raise UsageError(
            f"run {spec.name} is of a notebook, so it can only be run again there",
            hint="write the pipeline into a .py file",
        )
    folder = "" if spec.bundle else spec.project.rpartition("/")[0]
    return RunRequest(
        file=spec.project,
        module=spec.module,
        pipeline=spec.pipeline,
        bundle=spec.bundle,
        images=spec.images,
        folder=folder,
    )


async def _form(
    visit: Visit,
    run: RunStatus | None,
    request: RunRequest,
    values: dict[str, str],
    error: FairwayError | None = None,
) -> Response:
    plain = msgspec.structs.replace(request, texts={}, parameters=None, shown={}, pipeline="")
    project = await visit.platform.describe(plain)
    if not request.pipeline and len(project.pipelines) != 1:
        return visit.page(
            "new_pipeline.html",
            title="Choose a pipeline",
            command=f"fairway run {quote(request.file)}",
            file=visit.query.get("file", ""),
            pipelines=project.pipelines,
        )
    pipeline = _chosen(project, request.pipeline)
    texts = typed(pipeline, {f"parameter.{name}": text for name, text in values.items()})
    words = [f"{request.file}:{pipeline.name}" if len(project.pipelines) > 1 else request.file]
    return visit.page(
        "new_run.html",
        title=f"Run {pipeline.name}",
        command=" ".join(["fairway run", *map(quote, [*words, *flags_of(pipeline, texts)])]),
        status=400 if error is not None else 200,
        pipeline=pipeline,
        run=run,
        file="" if run is not None else request.file.removeprefix(request.folder + "/"),
        fields=fields_of(pipeline, values),
        key=secrets.token_hex(12),
        error=error,
    )


def _chosen(project: ProjectSpec, wanted: str) -> PipelineSpec:
    """Return the pipeline that is wanted, or the only one. Raises NotFound."""
    found = [one for one in project.pipelines if wanted in ("", one.name)]
    if len(found) != 1:
        names = ", ".join(one.name for one in project.pipelines) or "none"
        raise NotFound(f"the project has no such pipeline {wanted[:80]!r}", hint=f"it has {names}")
    return found[0]


def _fields_as_sent(pipeline: PipelineSpec, run: RunStatus) -> dict[str, Any]:
    """Return what the form of a run holds before anybody changes it."""
    return {field.label: field.value for field in fields_of(pipeline, values_of(run.spec))}
