"""The work of a child: it runs the function of a pipeline, or one step, and leaves a record.

Code of the user runs only in such a child. If the code ends its process, nothing else ends with it.
"""

import contextlib
import inspect
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from fairway.author import redaction, session
from fairway.author.task import Task
from fairway.runner import failures, processes, registering, seeding
from fairway.runner.channel import Line
from fairway.runner.sessions import DriverSession, StepSession, repeat_step
from fairway.runner.values import Values
from fairway.spec.artifact import Artifact
from fairway.spec.errors import StepFailed, StorageError
from fairway.spec.host import THREAD_VARIABLES, StorePlace
from fairway.spec.run import Failure, Reason, StepResult, Usage
from fairway.spec.wire import DRIVER, LEASE, MOST_KEPT, REGISTER, Committed, Returned, Start, frame

if TYPE_CHECKING:
    from fairway.ports import ArtifactStore, ResultStore


class Project(Protocol):
    """The imported project, in which tasks and pipelines are found by name."""

    def task(self, name: str) -> "Task[..., object] | None":
        """Return the task of that name, or None."""
        ...

    def pipeline(self, name: str) -> Callable[..., object]:
        """Return the function of the pipeline of that name."""
        ...


Caller = Callable[[Callable[[], object]], object]
"""A caller of the function of a pipeline or step, which returns what the function returns."""


def _call_plainly(function: Callable[[], object]) -> object:
    return function()


class Workplace(msgspec.Struct, frozen=True):
    """Everything that an attempt needs besides its order.

    Attributes:
        project: the imported project.
        artifacts: the store of values.
        results: the store of the records that attempts leave.
        foreign: True when the child works in another environment than the project's own.
        store: the place of the store, for processes that are started to read it.
        call: calls the function. A process with a terminal calls it under a debugger.
        usage: returns the time and memory used since a moment in monotonic seconds.
        trusted: False when the inputs may be anybody's, so that reading them runs no code.
        keeps: True when the message with a record is kept until the log of the engine has it.
    """

    project: Project
    artifacts: "ArtifactStore"
    results: "ResultStore"
    foreign: bool
    store: StorePlace
    call: Caller = _call_plainly
    usage: Callable[[float], Usage] = processes.usage
    trusted: bool = True
    keeps: bool = False


def run(start: Start, channel: Line, place: Workplace) -> int:
    """Run one attempt and return the exit status of its process."""
    seeding.seed(start.step)
    # Before any code of the project runs: the host takes a secret out of the output only if it knows the secret.
    redaction.report_new(channel.reveal)
    values = Values(place.artifacts, start.verified, foreign=place.foreign, trusted=place.trusted)
    if start.step == DRIVER:
        return _drive(start, channel, place, values)
    return _step(start, channel, place, values)


def _drive(start: Start, channel: Line, place: Workplace, values: Values) -> int:
    driver = DriverSession(channel, values)
    session.enter(driver)
    try:
        if start.repeats is not None:
            result = repeat_step(start.repeats, driver, place.project.task(start.repeats.task))
        else:
            function = place.project.pipeline(start.task)
            arguments = {name: values.from_node(node) for name, node in start.inputs.items()}
            result = values.to_node(place.call(lambda: function(**arguments)))
        # Before the message, so that everything the code printed is in the log when the engine reads the outcome.
        _flush()
        channel.send(Returned(result=result))
    except processes.Terminated:
        raise
    except BaseException as error:
        _flush()
        channel.send(Returned(failure=failures.of_code(error)))
        return 1
    return 0


class _Outcome(msgspec.Struct, frozen=True):
    """The outcome of a step's function. `storing` is the time in seconds from its return until its outputs were in the store."""

    outputs: tuple[Artifact, ...] = ()
    metrics: dict[str, float] = {}
    failure: Failure | None = None
    storing: float = 0.0


def _step(start: Start, channel: Line, place: Workplace, values: Values) -> int:
    begun = time.monotonic()
    _know_share(start)
    inside = StepSession(channel, values)
    session.enter(inside)
    outcome = _worked(start, place, values)
    _flush()
    usage = msgspec.structs.replace(place.usage(begun), storing=outcome.storing)
    if start.memory and usage.memory > start.memory:
        # The message is empty because the engine, which has both numbers as well, writes it.
        outcome = _Outcome(failure=Failure(reason=Reason.OOM, message=""))
    record = StepResult(
        run=start.run,
        step=start.step,
        attempt=start.attempt,
        outputs=outcome.outputs,
        failure=outcome.failure,
        usage=usage,
        shown=inside.shown,
        metrics=outcome.metrics,
    )
    message = Committed(result=record)
    try:
        is_kept = place.keeps and len(frame(message)[4:]) <= MOST_KEPT
        first = is_kept or place.results.commit(record)
    except StorageError as error:
        channel.send(Returned(failure=failures.of_code(error, Reason.RESULT)))
        return 1
    # After the commit, so that the engine acts only on a record that is kept. If this attempt has a record already, that
    # one counts, and the outputs here are not its outputs.
    if first:
        channel.send(message)
    return 0 if outcome.failure is None else 1


def _worked(start: Start, place: Workplace, values: Values) -> _Outcome:
    """Load the inputs of a step, call its function and store what the function returned."""
    try:
        arguments = {name: values.from_node(node) for name, node in start.inputs.items()}
    except Exception as error:
        return _Outcome(failure=failures.of_code(error, Reason.INPUT))
    try:
        result = place.call(lambda: _call(start, place, values, arguments))
    except processes.Terminated:
        raise
    except BaseException as error:
        return _Outcome(failure=failures.of_code(error))
    returned = time.monotonic()
    try:
        outputs, metrics = _outputs(start, values, result), _metrics(result)
    except Exception as error:
        failure = failures.of_code(error, Reason.RESULT)
        return _Outcome(failure=failure, storing=time.monotonic() - returned)
    return _Outcome(outputs, metrics, storing=time.monotonic() - returned)


def _call(start: Start, place: Workplace, values: Values, arguments: dict[str, object]) -> object:
    if start.task == REGISTER:
        return registering.package(start, values, arguments, place.store)
    task = place.project.task(start.task)
    if task is None:
        raise StepFailed(
            f"the project has no task {start.task!r}", hint="give tasks made by code a place in the module"
        )
    bound = inspect.BoundArguments(task.signature, OrderedDict(arguments))
    # After the inputs, because a limit reaches only libraries that are loaded by now or read the variables later.
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


def _metrics(result: object) -> dict[str, float]:
    """Return the metrics of the evaluations that a step returned, by name."""
    loaded = sys.modules.get("fairway.spec.evaluation")
    if loaded is None:
        return {}  # and so nothing can be an evaluation
    several = cast("tuple[object, ...]", result) if isinstance(result, tuple) else (result,)
    found: dict[str, float] = {}
    for item in several:
        if isinstance(item, loaded.Evaluation):
            found.update(cast("dict[str, float]", getattr(item, "metrics", {})))
    return found


def _described(result: object) -> str:
    if isinstance(result, tuple | list):
        return str(len(cast("list[object]", result)))
    return f"a {type(result).__name__}"


def _know_share(start: Start) -> None:
    """Set the variables by which libraries find the GPUs of the step, and runs inside the step find its share of the machine."""
    if start.lease:
        os.environ[LEASE] = start.lease
    if start.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(start.gpus)
        # A device without a name is given by its number, and the numbers are in this order.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def _set_threads(cpu: float) -> None:
    """Let numeric libraries use the cores that the step asked for.

    The host limits them to one thread, because a process with more threads cannot fork.
    """
    count = max(1, int(cpu))
    if os.environ.get(THREAD_VARIABLES[0]) != str(count):
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    control = sys.modules.get("threadpoolctl")
    if control is not None and count > 1:
        control.threadpool_limits(limits=count)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # The code may have replaced the streams by any object.
            stream.flush()
