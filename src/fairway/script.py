"""The functions `fw.run` and `fw.deploy`, with which a script, a test or a notebook runs a pipeline or serves a model."""

import importlib
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from fairway.local import descent
from fairway.local.interrupts import blocking
from fairway.spec.errors import FairwayError, Interrupted, UsageError
from fairway.spec.quantities import Bounds
from fairway.wiring import deployments, headstart, machine, settings, target

if TYPE_CHECKING:
    from fairway.author.endpoint import Endpoint
    from fairway.author.pipeline import Pipeline
    from fairway.engine.live import LiveRun
    from fairway.engine.report import Run
    from fairway.ports.platform import Platform
    from fairway.spec.endpoint import Deployed, DeployRequest
    from fairway.spec.run import Phase, RunRequest, RunStatus
    from fairway.spec.update import Over
    from fairway.wiring.serving import Asked
    from fairway.wiring.there import There

T = TypeVar("T")


class RunHandle:
    """A run that goes on by itself, from `fw.run(pipeline, wait=False)`.

    Args:
        name: the run's name, as in `fairway follow NAME`.
        where: the folder of the store, or the target.
    """

    def __init__(self, name: str, where: "Path | There") -> None:
        self.name = name
        self._where = where

    @property
    def status(self) -> "RunStatus":
        """Recorded status of the run by now."""
        return _ask(self._where, lambda platform: platform.run(self.name))

    @property
    def phase(self) -> "Phase":
        """Phase of the run. The run is over when `phase.ended`."""
        return self.status.phase

    def wait(self) -> "Run":
        """Wait for the end of the run, and return the finished run as `fw.run` does.

        Raises:
            Interrupted: the run was cancelled, or nobody works on it any more.
        """
        return _shown_to_scripts(partial(_finished, self._where, self.name))

    def cancel(self) -> None:
        """Stop the run. Its steps get ten seconds to end by themselves. Raises UsageError when it is over."""
        _shown_to_scripts(lambda: _ask(self._where, lambda platform: platform.cancel(self.name)))

    def __repr__(self) -> str:
        there = "" if isinstance(self._where, Path) else f" --target {self._where.name}"
        return f"run {self.name}: `fairway follow {self.name}{there}` shows it"


@overload
def run(
    pipeline: "Pipeline[..., object] | Callable[..., object]",
    /,
    *,
    wait: Literal[False],
    target: str = "",
    **parameters: object,
) -> RunHandle: ...


@overload
def run(
    pipeline: "Pipeline[..., object] | Callable[..., object]",
    /,
    *,
    wait: Literal[True] = True,
    target: str = "",
    **parameters: object,
) -> "Run": ...


def run(
    pipeline: "Pipeline[..., object] | Callable[..., object]",
    /,
    *,
    wait: bool = True,
    target: str = "",
    **parameters: object,
) -> "Run | RunHandle":
    """Run a pipeline from a script or notebook and wait for its end.

    Args:
        pipeline: a function decorated with `@fairway.pipeline`.
        wait: False submits the run to the platform process, which is started if it does not run, and returns at once: the
            run goes on when this program ends. If the pipeline has a parameter `wait`, this sets that instead.
        target: the target to run on, as `fairway targets` lists them. The default is this machine. If the pipeline has a
            parameter `target`, this sets that instead.
        parameters: the pipeline's arguments by name. Missing ones take their defaults.

    Returns:
        The run: `.ok`, `.phase`, `.result`, `.steps`, `.metrics`. It prints and renders as a summary. With `wait=False`, a
        handle: `.name`, `.phase`, `.status`, `.wait()` and `.cancel()`.

    Raises:
        UsageError: it is not a pipeline, or a parameter is unknown or missing; or it is called while Fairway imports the
            project: put it under `if __name__ == "__main__":`.
    """
    descent.refuse_at_import("fw.run")
    from fairway.author import parameters as described
    from fairway.author.pipeline import Pipeline

    if not isinstance(pipeline, Pipeline):
        raise UsageError("fairway.run takes a pipeline", hint="decorate the function with `@fw.pipeline`")
    known = described.describe(pipeline.function)
    names = {parameter.name for parameter in known}
    if "wait" in names and wait is not True:
        parameters, wait = {**parameters, "wait": wait}, True
    if "target" in names and target:
        parameters, target = {**parameters, "target": target}, ""
    for name in parameters:
        if name not in names:
            raise UsageError(f"{pipeline.__name__} has no parameter {name!r}")
    for parameter in known:
        if parameter.required and parameter.name not in parameters:
            raise UsageError(f"{pipeline.__name__} needs {parameter.name} ({parameter.annotation})")
    parameters = described.check(pipeline.function, parameters)
    declared = cast("Pipeline[..., object]", pipeline)
    if target not in ("", "local"):
        return _shown_to_scripts(partial(_run_there, declared, parameters, target, wait=wait))
    return _shown_to_scripts(partial(_run if wait else _submitted, declared, parameters))


def _run(pipeline: "Pipeline[..., object]", parameters: dict[str, object]) -> "Run":
    """Run a pipeline in this process."""
    from fairway.author.origins import origin, pickle

    file, module = origin(pipeline.function)
    stores = machine.LocalStores(settings.store_root(file, module)).prepare()
    pickled = "" if file else pickle(pipeline, str(stores.root))
    try:
        headstart.start_ahead(stores.setup(file, module, pickled))
        request = _request(pipeline, file, module, parameters, stores)
        request.pickled = pickled
        name, over = blocking(_carry_out(target.platform_of(stores), request))
        return _ended(name, over, stores)
    finally:
        if pickled:
            Path(pickled).unlink(missing_ok=True)
        stores.close()


def _run_there(
    pipeline: "Pipeline[..., object]", parameters: dict[str, object], name: str, *, wait: bool
) -> "Run | RunHandle":
    """Run a pipeline on a target."""
    from fairway.author.origins import origin
    from fairway.spec.run import RunRequest
    from fairway.wiring import targets
    from fairway.wiring.there import There

    found = targets.chosen(name)
    assert found is not None
    file, module = origin(pipeline.function)
    if not file:
        raise UsageError(
            f"{pipeline.__name__} is in no file, so it cannot be sent to {name}",
            hint="write it into a .py file and import it from there, or leave out `target=`",
        )
    there = There(found)
    request = RunRequest(file=file, module=module, pipeline=pipeline.__name__, shown=_shown(parameters))
    handle = RunHandle(there.submit(request, parameters), there)
    return _finished(there, handle.name) if wait else handle


def _shown(parameters: dict[str, object]) -> dict[str, str]:
    return {name: str(value)[:200] for name, value in parameters.items()}


def _submitted(pipeline: "Pipeline[..., object]", parameters: dict[str, object]) -> RunHandle:
    """Submit a run to the platform process."""
    from fairway.author.origins import origin

    descent.refuse_in_step("a run with `wait=False`", hint="leave out `wait=False`")
    file, module = origin(pipeline.function)
    if not file:
        raise UsageError(
            f"{pipeline.__name__} is in no file, so it cannot run in another process later",
            hint="write it into a .py file and import it from there, or leave out `wait=False`",
        )
    stores = machine.LocalStores(settings.store_root(file, module)).prepare()
    request = _request(pipeline, file, module, parameters, stores)
    request.folder = str(Path.cwd())
    stores.close()
    return RunHandle(blocking(target.apart(stores.root).submit(request)), stores.root)


def _request(
    pipeline: "Pipeline[..., object]",
    file: str,
    module: str,
    parameters: dict[str, object],
    stores: machine.LocalStores,
) -> "RunRequest":
    from fairway.runner.values import Values
    from fairway.spec.run import RunRequest

    values = Values(stores.artifacts)
    return RunRequest(
        file=file,
        module=module,
        pipeline=pipeline.__name__,
        parameters={name: values.save(value) for name, value in parameters.items()},
        shown=_shown(parameters),
    )


async def _carry_out(platform: "Platform", request: "RunRequest") -> "tuple[str, Over]":
    try:
        name = await platform.submit(request)
        return name, await _end_of(platform, name)
    except BaseException:
        await platform.close()
        raise


async def _end_of(platform: "Platform", name: str) -> "Over":
    from fairway.spec.update import Over

    live = _live(name)
    async for update in platform.follow(name):
        if live is not None:
            live.take(update.news)
        if isinstance(update.news, Over):
            return update.news
    raise AssertionError("a run is followed to its end")


def _live(name: str) -> "LiveRun | None":
    """Return the drawer of a run's progress in a notebook; None anywhere else, where nothing can be drawn again."""
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from fairway.engine.live import LiveRun

    display: Callable[..., Any] = importlib.import_module("IPython.display").display
    shown = display({"text/plain": f"run {name}"}, raw=True, display_id=True)
    return LiveRun(name, lambda picture: shown.update(picture, raw=True))


def _ask(where: "Path | There", question: "Callable[[Platform], Coroutine[Any, Any, T]]") -> T:
    """Ask the platform of a store or target."""

    async def asked() -> T:
        platform = target.here(where) if isinstance(where, Path) else where.platform()
        try:
            return await question(platform)
        finally:
            await platform.close()

    return blocking(asked())


def _finished(where: "Path | There", name: str) -> "Run":
    """Wait for the end of a run that another process carries out."""
    over = _ask(where, lambda platform: _end_of(platform, name))
    if not isinstance(where, Path):
        from fairway.engine.report import Run

        _refuse_unfinished(name, over)
        return Run(_ask(where, lambda platform: platform.run(name)), where.load, None, where.ask)
    stores = machine.LocalStores(where)
    try:
        return _ended(name, over, stores)
    finally:
        stores.close()


def _ended(name: str, over: "Over", stores: machine.LocalStores) -> "Run":
    """Return a run that is over. Raises Interrupted if it was cancelled, or stopped without an end."""
    from fairway.engine.report import Run

    _refuse_unfinished(name, over)
    root = stores.root
    return Run(stores.metadata.run(name), stores.load, stores.look, lambda question: _ask(root, question))


def _refuse_unfinished(name: str, over: "Over") -> None:
    """Refuse a run that was cancelled, or that stopped without an end. Raises Interrupted."""
    hint = f"`fairway resume {name}` goes on with it"
    if over.ended is None:
        raise Interrupted(f"run {name} was interrupted: nobody works on it", hint=hint)
    if over.ended.failure is not None and over.ended.failure.message == "cancelled":
        raise Interrupted(f"run {name} was cancelled", hint=hint)


def _shown_to_scripts(work: Callable[[], T]) -> T:
    """Call a function for a script. Its error is shown as a script or notebook shows one."""
    try:
        return work()
    except FairwayError as error:
        raise _as_a_script_shows_it(error) from None


def _as_a_script_shows_it(error: FairwayError) -> FairwayError:
    """Return the error with its hint as a note and without our own lines. A script or notebook shows it as a traceback."""
    if error.hint:
        error.add_note(f"hint: {error.hint}")
    return error.with_traceback(None)


def deploy(
    what: "str | Endpoint[..., object] | type",
    /,
    *,
    replicas: int | tuple[int, int] | None = None,
    private: bool = False,
    target: str = "",
) -> "Deployed":
    """Serve a registered model ("churn", "churn:3", "churn@champion") or an endpoint function.

    Returns once it answers. The address is `.status.url`.

    Args:
        what: the model or the function.
        replicas: the number of replicas that answer, or the lowest and the highest number, such as `(1, 10)`. A replica is
            a process on this machine, and a pod on a cluster. The default is 2 for a model, and for a function what
            `@fw.endpoint` says.
        private: True makes the prediction routes ask for a key.
        target: the target to serve on, as `fairway targets` lists them. The default is this machine.

    Raises:
        NotFound: there is no such model, version, alias or target.
        UsageError: it is called while Fairway imports the project: put it under `if __name__ == "__main__":`.
        FairwayError: it did not become ready. The earlier revision goes on serving.
    """
    descent.refuse_at_import("fw.deploy")
    bounds = None if replicas is None else Bounds.of(replicas)
    return _shown_to_scripts(partial(_deployed, what, bounds, private, target))


def _deployed(
    what: "str | Endpoint[..., object] | type", replicas: Bounds | None, private: bool, name: str
) -> "Deployed":
    import msgspec

    from fairway.author.origins import caller
    from fairway.wiring import serving, targets

    asked = serving.Asked(what) if isinstance(what, str) else _function(what)

    def wished(requests: "list[DeployRequest]") -> "list[DeployRequest]":
        return [
            msgspec.structs.replace(one, replicas=replicas or one.replicas, private=private or one.private)
            for one in requests
        ]

    there = targets.chosen(name) if name not in ("", targets.LOCAL) else None
    if there is not None:
        answers: list[Deployed] = []
        work = serving.deploy(there, asked, wished, lambda answer, _: answers.append(answer), _print)
        blocking(work)
        return answers[0]
    if asked.file:
        root = settings.store_root(asked.file, asked.module)
        requests = blocking(deployments.function_requests(root, asked.file, asked.module, asked.only))
    else:
        root = settings.store_root(caller())
        requests = [blocking(deployments.model_request(target.here(root), asked.model))]
    return blocking(target.here(root).deploy(wished(requests)[0]))


def _function(what: "Endpoint[..., object] | type") -> "Asked":
    """Return the endpoint function that is meant. Raises UsageError if it is none, or is in no file."""
    from fairway.author.endpoint import endpoint_of
    from fairway.author.origins import origin
    from fairway.wiring.serving import Asked

    endpoint = endpoint_of(what)
    file, module = origin(endpoint.function, endpoint.file) if endpoint is not None else ("", "")
    if endpoint is None or not file:
        raise UsageError(
            f"{what!r} is {'no endpoint' if endpoint is None else 'not in a file'}",
            hint="put `@fw.endpoint` above it, in a .py file, and import it from there",
        )
    return Asked("", file, module, endpoint.__name__)


def _print(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)
