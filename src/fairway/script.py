"""`fw.run` and `fw.deploy`: what a script, a test or a notebook calls to run a pipeline or to serve a model."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fairway.local import descent
from fairway.spec.errors import FairwayError, Interrupted, UsageError
from fairway.wiring import deployments, headstart, machine, runs, settings, target

if TYPE_CHECKING:
    from fairway.author.endpoint import Endpoint
    from fairway.author.pipeline import Pipeline
    from fairway.engine.report import Run
    from fairway.spec.endpoint import Deployed


def run(pipeline: "Pipeline[..., object] | Callable[..., object]", /, **parameters: object) -> "Run":
    """Run a pipeline from a script or notebook and wait for its end.

    Args:
        pipeline: a function decorated with `@fairway.pipeline`.
        parameters: its arguments by name; missing ones take their defaults.

    Returns:
        The run: `.ok`, `.phase`, `.result`, `.steps`, `.metrics`; it prints and renders as a summary.

    Raises:
        UsageError: it is not a pipeline, or a parameter is unknown or missing; or it is called while Fairway imports the
            project: put it under `if __name__ == "__main__":`.
    """
    descent.refuse_at_import("fw.run")
    from fairway.author import parameters as described
    from fairway.author.origins import origin, pickle
    from fairway.author.pipeline import Pipeline
    from fairway.engine.report import Run
    from fairway.local.interrupts import blocking
    from fairway.spec.run import RunRequest

    if not isinstance(pipeline, Pipeline):
        raise UsageError("fairway.run takes a pipeline", hint="decorate the function with `@fw.pipeline`")
    known = described.describe(pipeline.function)
    for name in parameters:
        if name not in {parameter.name for parameter in known}:
            raise UsageError(f"{pipeline.__name__} has no parameter {name!r}")
    for parameter in known:
        if parameter.required and parameter.name not in parameters:
            raise UsageError(f"{pipeline.__name__} needs {parameter.name} ({parameter.annotation})")
    parameters = described.check(pipeline.function, parameters)
    pipeline = cast("Pipeline[..., object]", pipeline)
    file, module = origin(pipeline.function)
    stores = machine.LocalStores(settings.store_root(file, module)).prepare()
    request = RunRequest(file=file, module=module, pipeline=pipeline.__name__, values=dict(parameters))
    request.pickled = pickled = "" if file else pickle(pipeline, str(stores.root))
    try:
        launched = headstart.launch_host(runs.setup_of(request, stores))
        name, ended = blocking(runs.execute(request, stores, launched, runs.Follower()))
        status = stores.metadata.run(name)
    except FairwayError as error:
        raise _as_a_script_shows_it(error) from None
    finally:
        stores.close()
        if pickled:
            Path(pickled).unlink(missing_ok=True)
    if ended.failure is not None and ended.failure.message == "cancelled":
        raise Interrupted(f"run {name} was cancelled", hint=f"`fairway resume {name}` goes on with it")
    return Run(status, stores.load, stores.look)


def _as_a_script_shows_it(error: FairwayError) -> FairwayError:
    """The error with its hint as a note, and without our own lines: a script or notebook shows it as a traceback."""
    if error.hint:
        error.add_note(f"hint: {error.hint}")
    return error.with_traceback(None)


def deploy(
    what: "str | Endpoint[..., object] | type", /, *, workers: int | None = None, private: bool = False
) -> "Deployed":
    """Serve a registered model ("churn", "churn:3", "churn@champion") or an endpoint function on this machine.

    Returns once it answers; the address is `.status.url`.

    Raises:
        NotFound: there is no such model, version or alias.
        UsageError: it is called while Fairway imports the project: put it under `if __name__ == "__main__":`.
        FairwayError: it did not become ready; what served before serves on.
    """
    descent.refuse_at_import("fw.deploy")
    try:
        return _deployed(what, workers, private)
    except FairwayError as error:
        raise _as_a_script_shows_it(error) from None


def _deployed(what: "str | Endpoint[..., object] | type", workers: int | None, private: bool) -> "Deployed":
    import msgspec

    from fairway.author.endpoint import endpoint_of
    from fairway.author.origins import caller, origin
    from fairway.local.interrupts import blocking

    if isinstance(what, str):
        stores = machine.LocalStores(settings.store_root(caller()))
        request = deployments.model_request(stores, what)
    else:
        endpoint = endpoint_of(what)
        file, module = origin(endpoint.function, endpoint.file) if endpoint is not None else ("", "")
        if endpoint is None or not file:
            raise UsageError(
                f"{what!r} is {'no endpoint' if endpoint is None else 'not in a file'}",
                hint="put `@fw.endpoint` above it, in a .py file, and import it from there",
            )
        stores = machine.LocalStores(settings.store_root(file, module))
        request = blocking(deployments.function_requests(stores, file, module, endpoint.__name__))[0]
    workers, private = workers or request.workers, private or request.private
    request = msgspec.structs.replace(request, workers=workers, private=private)
    return blocking(target.platform(stores.root).deploy(request))
