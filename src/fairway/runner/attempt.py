"""What a forked child does: run the pipeline's function, or one step, and leave its record.

Everything a user's code may do happens in such a child, so whatever goes wrong ends this process and nothing else.
"""

import contextlib
import hashlib
import inspect
import os
import random
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, cast

import msgspec

from fairway.author import redaction, session
from fairway.author.task import Task
from fairway.ports import ArtifactStore, ResultStore
from fairway.runner import failures, processes, registering
from fairway.runner.channel import Channel
from fairway.runner.sessions import DriverSession, StepSession
from fairway.runner.values import Values
from fairway.spec.artifact import Artifact
from fairway.spec.errors import StepFailed, StorageError
from fairway.spec.host import THREAD_VARIABLES, StorePlace
from fairway.spec.run import Failure, Reason, StepResult
from fairway.spec.wire import DRIVER, LEASE, REGISTER, Committed, Returned, Revealed, Start


class Project(Protocol):
    """The imported project: what can be started by name."""

    def task(self, name: str) -> "Task[..., object] | None":
        """The task of that name."""
        ...

    def pipeline(self, name: str) -> Callable[..., object]:
        """The function of the pipeline of that name."""
        ...


class Workplace(msgspec.Struct, frozen=True):
    """What a child needs besides its orders.

    Attributes:
        foreign: whether it is another environment than the project's own.
        store: where the store is, for a process that is started to read it.
    """

    project: Project
    artifacts: ArtifactStore
    results: ResultStore
    foreign: bool
    store: StorePlace


def run(start: Start, channel: Channel, place: Workplace) -> int:
    """Carry out one attempt; returns the exit status of the process."""
    _reseed(start)
    redaction.report_new(lambda name, value: channel.tell(Revealed(name=name, value=value)))
    values = Values(place.artifacts, start.verified, foreign=place.foreign)
    if start.step == DRIVER:
        return _drive(start, channel, place.project, values)
    return _step(start, channel, place, values)


def _drive(start: Start, channel: Channel, project: Project, values: Values) -> int:
    driver = DriverSession(channel, values)
    session.enter(driver)
    try:
        function = project.pipeline(start.task)
        arguments = {name: values.from_node(node) for name, node in start.inputs.items()}
        result = values.to_node(function(**arguments))
        _flush()
        channel.tell(Returned(result=result))
    except processes.Terminated:
        raise
    except BaseException as error:
        _flush()
        channel.tell(Returned(failure=failures.of_code(error)))
        return 1
    return 0


def _step(start: Start, channel: Channel, place: Workplace, values: Values) -> int:
    begun = time.monotonic()
    _know_share(start)
    inside = StepSession(channel, values)
    session.enter(inside)
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    try:
        arguments = {name: values.from_node(node) for name, node in start.inputs.items()}
    except Exception as error:
        failure = failures.of_code(error, Reason.INPUT)
    else:
        try:
            result = _call(start, place, values, arguments)
        except processes.Terminated:
            raise
        except BaseException as error:
            failure = failures.of_code(error)
        else:
            try:
                outputs = _outputs(start, values, result)
            except Exception as error:
                failure = failures.of_code(error, Reason.RESULT)
    _flush()
    usage = processes.usage(begun)
    if start.memory and usage.memory > start.memory:
        # The engine, which knows both numbers, too, puts it into words.
        outputs, failure = (), Failure(reason=Reason.OOM, message="")
    record = StepResult(
        run=start.run,
        step=start.step,
        attempt=start.attempt,
        outputs=outputs,
        failure=failure,
        usage=usage,
        shown=inside.shown,
    )
    try:
        first = place.results.commit(record)
    except StorageError as error:
        channel.tell(Returned(failure=failures.of_code(error, Reason.RESULT)))
        return 1
    if first:
        channel.tell(Committed(result=record))
    return 0 if failure is None else 1


def _call(start: Start, place: Workplace, values: Values, arguments: dict[str, object]) -> object:
    if start.task == REGISTER:
        return registering.package(start, values, arguments, place.store)
    task = place.project.task(start.task)
    if task is None:
        raise StepFailed(
            f"the project has no task {start.task!r}", hint="give tasks made by code a place in the module"
        )
    bound = inspect.BoundArguments(task.signature, OrderedDict(arguments))
    _set_threads(start.cpu)
    return task.function(*bound.args, **bound.kwargs)


def _outputs(start: Start, values: Values, result: object) -> tuple[Artifact, ...]:
    if not start.outputs:
        return (values.save(result),)
    if not isinstance(result, tuple | list) or len(cast("list[object]", result)) != start.outputs:
        raise StepFailed(
            f"{start.task} is declared to return {start.outputs} values and returned {_described(result)}",  # pyright: ignore[reportUnknownArgumentType]
            hint="return them as a tuple, or change the return annotation",
        )
    return tuple(values.save(item) for item in cast("list[object]", result))


def _described(result: object) -> str:
    if isinstance(result, tuple | list):
        return str(len(cast("list[object]", result)))
    return f"a {type(result).__name__}"


def _reseed(start: Start) -> None:
    """Give every step its own, repeatable random numbers: children of one host would all draw the same."""
    seed = int.from_bytes(hashlib.sha256(start.step.encode()).digest()[:4], "big")
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)


def _know_share(start: Start) -> None:
    """Let runs that the step starts work within its share, and libraries see the devices it was given."""
    if start.lease:
        os.environ[LEASE] = start.lease
    if start.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(start.gpus)
        # Where a device has no name but its number, this is the order the numbers are in.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def _set_threads(cpu: float) -> None:
    """Let numeric libraries use the cores the step asked for; the host keeps them at one so that it can fork."""
    count = max(1, int(cpu))
    if os.environ.get(THREAD_VARIABLES[0]) != str(count):
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    control = sys.modules.get("threadpoolctl")
    if control is not None and count > 1:
        control.threadpool_limits(limits=count)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # The code may have put anything in their place.
            stream.flush()
