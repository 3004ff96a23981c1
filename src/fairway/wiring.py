"""Puts the parts together for a target: the one place that names adapters, and with `headstart` the reader of FAIRWAY_ variables.

FAIRWAY_HOME        directory of the store, instead of the project's own
FAIRWAY_TOKEN       token for the platform, instead of the one in the store
FAIRWAY_FIRST_PORT  port of the platform, instead of 7700; endpoints take free ones above it
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fairway.headstart import launch_host, store_place
from fairway.local import descent
from fairway.local.launching import HostSetup
from fairway.spec.errors import FairwayError, Interrupted, NotFound, UsageError
from fairway.spec.quantities import whole_number

if TYPE_CHECKING:
    from fairway.author.endpoint import Endpoint
    from fairway.author.pipeline import Pipeline
    from fairway.engine.endpoints import EndpointEngine
    from fairway.engine.listening import Listener
    from fairway.engine.report import Run
    from fairway.local.deployer import LocalDeployer
    from fairway.local.launching import Launched
    from fairway.plan.run import Recorded
    from fairway.remote import RemotePlatform
    from fairway.spec.artifact import Artifact, Node
    from fairway.spec.endpoint import Deployed, DeployRequest
    from fairway.spec.event import RunEnded
    from fairway.spec.project import ProjectSpec
    from fairway.spec.run import RunRequest, RunSpec, RunStatus
    from fairway.stores import FileArtifacts, FileLogs, FileResults, SqliteMetadata


_FIRST_PORT = 7700
_LAST_FIRST_PORT = 65_000


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Seconds since the epoch; may jump."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


def store_root(file: str = "", module: str = "") -> Path:
    """Where the store is: FAIRWAY_HOME, else the project's own; that of the project here when no file is named.

    Raises:
        StorageError: it is another user's, or others may write to it.
    """
    from fairway.stores import ownership

    place = store_place(file, module)
    ownership.refuse_others(place, named=is_named())
    return Path(place)


def is_named() -> bool:
    """Whether the person named the store, which then belongs to no project folder."""
    return bool(os.environ.get("FAIRWAY_HOME"))


def first_port() -> int:
    """Port of a platform; its endpoints take free ports above it. Raises UsageError."""
    text = os.environ.get("FAIRWAY_FIRST_PORT", "") or str(_FIRST_PORT)
    port = whole_number(text, _LAST_FIRST_PORT)
    if not port:
        raise UsageError(
            f"FAIRWAY_FIRST_PORT is a port from 1 to {_LAST_FIRST_PORT}, not {text[:40]!r}",
            hint="`unset FAIRWAY_FIRST_PORT` for the usual ones, from 7700",
        )
    return port


class LocalStores:
    """The stores of this machine's target, each opened when it is first used."""

    def __init__(self, root: Path) -> None:
        from fairway.stores import Layout

        self.root = root
        self.layout: Layout = Layout(root)
        self._metadata: SqliteMetadata | None = None
        self._artifacts: FileArtifacts | None = None

    def prepare(self) -> "LocalStores":
        """Make the store if it is not there.

        Raises:
            ForeignStore: it was not made by this user on this machine, so nothing in it is used.
            StorageError: it cannot be written.
        """
        self.layout.prepare()
        self.metadata.require_own()
        return self

    @property
    def metadata(self) -> "SqliteMetadata":
        """The event log and its tables."""
        if self._metadata is None:
            from fairway.stores import SqliteMetadata

            self._metadata = SqliteMetadata(self.layout)
        return self._metadata

    @property
    def artifacts(self) -> "FileArtifacts":
        """Content by digest."""
        if self._artifacts is None:
            from fairway.stores import FileArtifacts

            self._artifacts = FileArtifacts(self.root)
        return self._artifacts

    @property
    def results(self) -> "FileResults":
        """Records of attempts."""
        from fairway.stores import FileResults

        return FileResults(self.root)

    @property
    def logs(self) -> "FileLogs":
        """Output of attempts."""
        from fairway.stores import FileLogs

        return FileLogs(self.root)

    def read(self, artifact: "Artifact") -> bytes:
        """All content of a single-file artifact."""
        content = self.artifacts.open(artifact)
        return content if isinstance(content, bytes) else content.read_bytes()

    def load(self, node: "Node") -> object:
        """The value of a node."""
        from fairway.runner.values import Values

        return Values(self.artifacts).from_node(node)

    def look(self, node: "Artifact") -> object:
        """The value of an artifact for showing it: plain data only, whoever made it. Raises FairwayError."""
        from fairway.formats import look

        return look(node.format, self.artifacts.open(node), node.kind)

    def only_look(self) -> None:
        """Change no file of the store from here on, because it may be anybody's."""
        from fairway.stores import FileArtifacts

        self._artifacts = FileArtifacts(self.root, looking=True)

    def run_folder(self, run: str) -> Path:
        """Where a run keeps its files."""
        return self.layout.run(run)

    def close(self) -> None:
        """Make everything durable and let go."""
        if self._metadata is not None:
            self._metadata.close()


class Follower:
    """How a run is followed: told about it before it begins, then given its events."""

    def begin(self, spec: "RunSpec", project: "ProjectSpec") -> "Listener":
        """The run is about to start; returns who listens to it."""
        from fairway.engine.listening import Listener

        return Listener()

    def note(self, text: str) -> None:
        """Something worth a line happened outside any step."""

    def arguments(self, project: "ProjectSpec", request: "RunRequest") -> "RunRequest":
        """The project is known: a chance to read the command line by its parameters."""
        return request


def setup_of(request: "RunRequest", stores: LocalStores) -> HostSetup:
    """What the host of a run is told."""
    return HostSetup(str(stores.root), request.file, request.pickled, request.module)


async def execute(
    request: "RunRequest", stores: LocalStores, launched: "Launched", follower: Follower
) -> "tuple[str, RunEnded]":
    """Run a pipeline to its end on this machine; returns the run's name and how it ended.

    Raises:
        FairwayError: it could not start, or the store failed.
    """
    from fairway.engine.import_output import print_import
    from fairway.engine.run import RunEngine, Stores
    from fairway.local import environments
    from fairway.local.executor import LocalExecutor
    from fairway.local.interrupts import Interrupts
    from fairway.local.leases import Lease
    from fairway.local.sharing import Share, shared_folder
    from fairway.spec.wire import LEASE

    setup = setup_of(request, stores)
    share = Share(shared_folder(), os.environ.get(LEASE, ""), str(stores.root), follower.note)
    executor = LocalExecutor(
        setup, environments.cache_folder(stores.root), follower.note, print_import, share
    )
    stores.metadata.open_ahead()
    host, project = await executor.adopt(launched)
    try:
        request = follower.arguments(project, request)
        spec, recorded = (None if request.resume else await _new_run(request, project, host, stores)), None
        folder = stores.run_folder(spec.name if spec is not None else request.resume)

        def cancel(**how: float) -> None:
            if not how:
                follower.note(
                    "stopping: steps have ten seconds to end by themselves, Ctrl-C again ends them at once"
                )
            engine.cancel(**how)

        # Whoever sees the lease may ask to cancel: heard from here on, and answered once the engine is at work.
        with Interrupts(cancel), Lease(folder):
            if spec is None:
                spec, recorded = _resumed(request, stores)
            listener = follower.begin(spec, project)
            parts = Stores(stores.metadata, stores.results, stores.logs, stores.read, stores.artifacts.holds)
            engine = RunEngine(parts, executor, SystemClock(), listener)
            host.listen(engine.hear)
            ended = await engine.run(spec, project, host, recorded)
        return spec.name, ended
    finally:
        await host.close()


async def _new_run(
    request: "RunRequest", project: "ProjectSpec", host: object, stores: LocalStores
) -> "RunSpec":
    from fairway.engine.names import choose_pipeline, new_name
    from fairway.local.executor import LocalHost
    from fairway.spec.run import RunSpec
    from fairway.spec.wire import Bind, typed

    pipeline = choose_pipeline(project, request.pipeline)
    if request.values is None:
        bound = await cast("LocalHost", host).bind(
            Bind(pipeline=pipeline, texts=typed(request.texts), config=request.config)
        )
        if bound.failure is not None:
            raise UsageError(bound.failure.message, hint=bound.failure.hint)
        parameters, shown = bound.parameters, bound.shown
    else:
        from fairway.runner.values import Values

        values = Values(stores.artifacts)
        parameters = {name: values.save(value) for name, value in request.values.items()}
        shown = {name: str(value)[:200] for name, value in request.values.items()}
    return RunSpec(
        name=new_name(set(stores.metadata.run_names())),
        pipeline=pipeline,
        project=project.path,
        module=project.name,
        source=project.source,
        environment=project.environment,
        parameters=parameters,
        shown=shown,
    )


def _resumed(request: "RunRequest", stores: LocalStores) -> "tuple[RunSpec, dict[str, Recorded]]":
    from fairway.engine.resume import recorded_steps

    status = stores.metadata.run(request.resume)
    if status.phase == "Succeeded":
        raise UsageError(
            f"run {request.resume} has succeeded meanwhile", hint=f"`fairway show {request.resume}`"
        )
    return status.spec, recorded_steps(status, stores.results)


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
    stores = LocalStores(store_root(file, module)).prepare()
    request = RunRequest(file=file, module=module, pipeline=pipeline.__name__, values=dict(parameters))
    request.pickled = pickled = "" if file else pickle(pipeline, str(stores.root))
    try:
        launched = launch_host(setup_of(request, stores))
        name, ended = blocking(execute(request, stores, launched, Follower()))
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


def find_run(stores: LocalStores, prefix: str) -> str:
    """The run whose name starts with `prefix`; the newest for an empty one. Raises NotFound, or UsageError for several."""
    names = stores.metadata.run_names(prefix)
    if prefix in names:
        return prefix
    if not names:
        what = f"no run {prefix!r}" if prefix else f"no run yet in {stores.root}"
        raise NotFound(
            f"there is {what}", hint="`fairway runs` lists them" if prefix else "`fairway run FILE`"
        )
    if prefix and len(names) > 1:
        raise UsageError(f"{prefix!r} fits {len(names)} runs: {', '.join(names[:5])}")
    return names[0]


def endpoint_folder(root: Path, name: str) -> Path:
    """Where an endpoint's workers leave their output."""
    from fairway.local.listening import folder

    return folder(root, name)


def engine_of(stores: LocalStores, run: str) -> int:
    """Process id of the engine that works on a run; 0 when none does."""
    from fairway.local.leases import holder

    return holder(stores.run_folder(run))


def with_waiting(stores: LocalStores, status: "RunStatus") -> "RunStatus":
    """A run at work, with the reason for which one of its steps has not begun where other runs leave no room for it."""
    from msgspec import structs

    from fairway.local.sharing import shared_folder, waits

    name, whom = waits(shared_folder(), status.spec.name, str(stores.root))
    if not name:
        return status
    why = f"waits for {whom or 'other runs'}"
    steps = tuple(
        structs.replace(step, why=why) if step.spec.name == name and not step.phase.ended else step
        for step in status.steps
    )
    return structs.replace(status, steps=steps)


def cancel_run(stores: LocalStores, run: str) -> bool:
    """Tell the engine of a run to stop, or put on record that an interrupted run will not go on.

    Returns:
        Whether there was an engine to tell.

    Raises:
        UsageError: the run is over.
    """
    from fairway.local.leases import Lease, stop
    from fairway.spec.event import Event, RunEnded
    from fairway.spec.run import Failure, Phase, Reason

    stores.metadata.require_own()
    folder = stores.run_folder(run)
    for left in reversed(range(10)):
        if stop(folder):
            return True
        try:
            with Lease(folder):
                over = stores.metadata.run(run).phase.ended
                if not over:
                    failure = Failure(reason=Reason.CANCELLED, message="cancelled after it was interrupted")
                    body = RunEnded(Phase.CANCELLED, failure)
                    stores.metadata.append([Event(body=body, run=run, time=time.time())])
        except UsageError:
            if not left:
                raise
            continue
        if over:
            raise UsageError(f"run {run} is over already", hint=f"`fairway show {run}`")
        break
    return False


async def foresee(
    request: "RunRequest", stores: LocalStores, launched: "Launched", follower: Follower
) -> list[tuple[str, str, str]]:
    """What a run would do, as (step, "run" or "cached" or "may run", why), without running any step."""
    from fairway.engine.foresight import Foresight
    from fairway.engine.import_output import print_import
    from fairway.local import environments
    from fairway.local.executor import LocalExecutor

    setup = setup_of(request, stores)
    executor = LocalExecutor(setup, environments.cache_folder(stores.root), follower.note, print_import)
    host, project = await executor.adopt(launched)
    try:
        request = follower.arguments(project, request)
        spec = await _new_run(request, project, host, stores)
        foresight = Foresight(stores.metadata, stores.artifacts.holds, project, spec)
        host.listen(foresight.hear)
        return await foresight.look(host)
    finally:
        await host.close()


def endpoint_engine(stores: LocalStores) -> "tuple[EndpointEngine, LocalDeployer]":
    """What looks after the endpoints of a store on this machine, for the one process that does."""
    from fairway.engine.endpoints import EndpointEngine
    from fairway.local.deployer import LocalDeployer

    deployer = LocalDeployer(stores.root, stores.artifacts.open, first_port() + 1)
    engine = EndpointEngine(stores.metadata, deployer, stores.artifacts, SystemClock(), deployer.claim)
    deployer.changed = engine.wake
    return engine, deployer


def token_of(root: Path) -> str:
    """The token of a store's platform: FAIRWAY_TOKEN, else the store's own."""
    from fairway.local import platforms

    return os.environ.get("FAIRWAY_TOKEN") or platforms.token(root, _token_seal(root))


def _token_seal(root: Path) -> Callable[[str], str]:
    """Makes what only this user can add to the token of a store. Raises ForeignStore."""
    stores = LocalStores(root).prepare()
    seal = stores.metadata.admitted()
    stores.close()
    return lambda text: seal.over(b"token", text.encode())[:32]


def platform(root: Path, note: Callable[[str], None] = lambda text: None) -> "RemotePlatform":
    """The platform of a store, started in the background when it does not run. Raises FairwayError."""
    from fairway.local import platforms
    from fairway.remote import RemotePlatform

    record = platforms.running(root)
    if record is None:
        first_port()  # a setting that is wrong is refused here: the process would only tell its log
        LocalStores(root).prepare()
        record = platforms.start(root)
        note(f"platform started at {record.url}; `fairway down` stops it")
    return RemotePlatform(record.url, token_of(root))


def stop_platform(root: Path) -> bool:
    """End the platform process of a store and all its endpoints; whether there was anything to end."""
    from fairway.local import platforms
    from fairway.local.interrupts import blocking

    if platforms.running(root) is None and not platforms.left_behind(root):
        return False
    found = platform(root)
    record = platforms.running(root)
    blocking(found.shutdown(endpoints=True))
    return record is None or platforms.wait_gone(record, 30.0)


def model_request(stores: LocalStores, reference: str) -> "DeployRequest":
    """How to serve a model; for an empty reference the only one there is. Raises NotFound, UsageError."""
    from fairway.spec.endpoint import DeployRequest

    if not reference:
        names = [model.name for model in stores.metadata.models()]
        if not names:
            raise NotFound(
                f"there is no model to deploy in {stores.root}",
                hint="a pipeline registers one: `fairway run FILE`",
            )
        if len(names) > 1:
            raise UsageError(f"there are {len(names)} models: {', '.join(names)}", hint="name one")
        reference = names[0]
    version = stores.metadata.resolve(reference)
    return DeployRequest(name=version.name, model=reference)


async def function_requests(
    stores: LocalStores, file: str, module: str = "", only: str = ""
) -> "list[DeployRequest]":
    """How to serve the endpoints of a project file, its sources put into the store. Raises FairwayError."""
    from fairway.author.source import files
    from fairway.engine.import_output import print_import
    from fairway.local.executor import LocalExecutor
    from fairway.local.projects import copied_folder, locate
    from fairway.local.sources import snapshot
    from fairway.spec.artifact import Artifact
    from fairway.spec.endpoint import DeployRequest

    setup = HostSetup(str(stores.root), file, module=module)
    executor = LocalExecutor(setup, stores.root, lambda text: None, print_import)
    host, project = await executor.adopt(launch_host(setup))
    await host.close()
    found = [endpoint for endpoint in project.endpoints if only in ("", endpoint.name)]
    if not found:
        what = f"endpoint {only!r}" if only else "endpoint"
        raise UsageError(f"{file} declares no {what}", hint="put `@fw.endpoint` above a function")
    place = locate(file, module)
    copied, path = Path(copied_folder(place)), Path(place.file)
    with snapshot(copied, dict.fromkeys([*files(path.parent), *files(copied)])) as folder:
        digest, size = stores.artifacts.put_folder(folder)
    source = Artifact(format="folder", digest=digest, size=size, kind="project", files=True)
    return [
        DeployRequest(
            name=endpoint.name, function=endpoint.name, source=source, module=str(path.relative_to(copied)),
            workers=endpoint.workers, private=endpoint.private,
        )
        for endpoint in found
    ]  # fmt: skip


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
        stores = LocalStores(store_root(caller()))
        request = model_request(stores, what)
    else:
        endpoint = endpoint_of(what)
        file, module = origin(endpoint.function, endpoint.file) if endpoint is not None else ("", "")
        if endpoint is None or not file:
            raise UsageError(
                f"{what!r} is {'no endpoint' if endpoint is None else 'not in a file'}",
                hint="put `@fw.endpoint` above it, in a .py file, and import it from there",
            )
        stores = LocalStores(store_root(file, module))
        request = blocking(function_requests(stores, file, module, endpoint.__name__))[0]
    workers, private = workers or request.workers, private or request.private
    request = msgspec.structs.replace(request, workers=workers, private=private)
    return blocking(platform(stores.root).deploy(request))
