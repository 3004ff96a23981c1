"""`@task`: a function whose calls inside a pipeline become steps.

A task stays a function: outside a pipeline, calling it just runs it. Here its settings are checked and its calls
bound to names; starting the step is the session's work.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Generic, ParamSpec, TypeVar, cast, get_args, get_origin, overload

import msgspec

from fairway.author import code
from fairway.author.environment import Environment
from fairway.author.ref import Ref
from fairway.author.session import Session, current, is_ref
from fairway.spec.artifact import RefData
from fairway.spec.errors import UsageError
from fairway.spec.project import TaskSpec
from fairway.spec.quantities import parse_cpu, parse_duration, parse_memory
from fairway.spec.run import StepSpec

P = ParamSpec("P")
R = TypeVar("R")

_LABEL_WIDTH = 40


class Task(Generic[P, R]):
    """A task. Calling it in a pipeline starts a step and gives a Ref typed as the result; elsewhere it runs the function."""

    def __init__(self, function: Callable[P, R], spec: TaskSpec) -> None:
        self.function = function
        self.spec = spec
        self.__name__ = spec.name
        self.__qualname__ = getattr(function, "__qualname__", spec.name)
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._signature: inspect.Signature | None = None
        self._code: dict[str, str] | None = None
        self._outputs = -1

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        session = current()
        if session is None or not session.pipeline:
            return self.function(*args, **kwargs)
        return cast("R", self._start(session, self._bind(args, kwargs)))

    def map(self, items: Iterable[object], **common: object) -> list[R]:
        """Start one step per item. The item is the first parameter that `common` does not name.

        Returns:
            one result (a Ref inside a pipeline) per item, in order.
        """
        free = [name for name in self.signature.parameters if name not in common]
        if not free:
            raise UsageError(f"{self.__name__}.map: every parameter is given, none is left for the items")
        call = cast("Callable[..., R]", self)
        return [call(**{free[0]: item}, **common) for item in items]

    def options(
        self,
        *,
        cpu: float | str | None = None,
        memory: str | int | None = None,
        gpu: int | None = None,
        retries: int | None = None,
        timeout: str | float | None = None,
        cache: bool | None = None,
        environment: Environment | None = None,
        name: str | None = None,
    ) -> "Task[P, R]":
        """The same task with other settings; what is not given stays."""
        asked = _Settings(cpu, memory, gpu, retries, timeout, cache, environment, name)
        return Task(self.function, _configured(self.spec, asked))

    @property
    def signature(self) -> inspect.Signature:
        """The function's signature."""
        if self._signature is None:
            self._signature = inspect.signature(self.function)
        return self._signature

    @property
    def outputs(self) -> int:
        """Number of elements when the return annotation is `tuple[A, B]`; otherwise 0."""
        if self._outputs < 0:
            self._outputs = _declared_outputs(self.function)
        return self._outputs

    def _bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise UsageError(
                f"{self.__name__}: {error}", hint=f"its parameters are {self.__name__}{self.signature}"
            ) from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def _start(self, session: Session, arguments: dict[str, object]) -> object:
        if self.spec.cache and self._code is None:
            self._code = code.parts(self.function)
        step = StepSpec(
            name="",
            task=self.spec.name,
            inputs={},
            label=_label(arguments),
            outputs=self.outputs,
            resources=self.spec.resources,
            retries=self.spec.retries,
            timeout=self.spec.timeout,
            cache=self.spec.cache,
            code=self._code or {},
            environment=self.spec.environment,
        )
        return as_refs(session, session.call(step, arguments), self.outputs)

    def __repr__(self) -> str:
        return f"<task {self.__name__}>"


def as_refs(session: Session, data: RefData, outputs: int) -> object:
    """The Ref of a started step, or a tuple of Refs where its output is declared as a tuple."""
    if not outputs:
        return Ref(data, lambda: session.wait(data))

    def element(index: int) -> Ref:
        part = RefData(data.step, index)
        return Ref(part, lambda: session.wait(part))

    return tuple(element(index) for index in range(outputs))


def _declared_outputs(function: Callable[..., object]) -> int:
    annotation: object = getattr(function, "__annotations__", {}).get("return")
    if isinstance(annotation, str):
        try:
            annotation = inspect.get_annotations(function, eval_str=True).get("return")
        except (NameError, SyntaxError, TypeError, AttributeError):
            return 0
    if get_origin(annotation) is not tuple:
        return 0
    parts = get_args(annotation)
    return 0 if Ellipsis in parts else len(parts)


def _label(arguments: dict[str, object]) -> str:
    shown: list[str] = []
    for name, value in arguments.items():
        if not is_ref(value) and isinstance(value, bool | int | float | str):
            text = f"{name}={value}"
            if len(text) <= _LABEL_WIDTH:
                shown.append(text)
    return " ".join(shown[:3])


class _Settings(msgspec.Struct, frozen=True):
    """Settings as the user wrote them; None is not given."""

    cpu: float | str | None = None
    memory: str | int | None = None
    gpu: int | None = None
    retries: int | None = None
    timeout: str | float | None = None
    cache: bool | None = None
    environment: object = None
    name: str | None = None


def _configured(spec: TaskSpec, asked: _Settings) -> TaskSpec:
    resources = spec.resources
    if asked.cpu is not None:
        resources = msgspec.structs.replace(resources, cpu=parse_cpu(asked.cpu))
    if asked.memory is not None:
        resources = msgspec.structs.replace(resources, memory=parse_memory(asked.memory))
    if asked.gpu is not None:
        resources = msgspec.structs.replace(resources, gpu=_count("gpu", asked.gpu))
    changed: dict[str, object] = {"resources": resources}
    if asked.retries is not None:
        changed["retries"] = _count("retries", asked.retries)
    if asked.timeout is not None:
        changed["timeout"] = parse_duration(asked.timeout)
    if asked.cache is not None:
        changed["cache"] = asked.cache
    if asked.environment is not None:
        if not isinstance(asked.environment, Environment):
            raise UsageError(
                "environment= takes a `fairway.Environment`", hint='`fw.Environment(requirements=["a==1.0"])`'
            )
        changed["environment"] = asked.environment.spec
    if asked.name is not None:
        changed["name"] = asked.name
    return cast("TaskSpec", msgspec.structs.replace(spec, **changed))


def _count(name: str, number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise UsageError(f"{name}={number!r} is not a whole number of at least 0")
    return number


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    cpu: float | str | None = None,
    memory: str | int | None = None,
    gpu: int | None = None,
    retries: int | None = None,
    timeout: str | float | None = None,
    cache: bool | None = None,
    environment: Environment | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(
    function: Callable[P, R] | None = None,
    /,
    *,
    cpu: float | str | None = None,
    memory: str | int | None = None,
    gpu: int | None = None,
    retries: int | None = None,
    timeout: str | float | None = None,
    cache: bool | None = None,
    environment: Environment | None = None,
    name: str | None = None,
) -> "Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]":
    """Declare a task: a function whose calls inside a pipeline become isolated, recorded steps.

    Args:
        cpu: cores an attempt needs, such as 2, 0.5 or "500m"; 1 when not given.
        memory: such as "2Gi"; an attempt that uses more ends as out of memory. Not limited when not given.
        gpu: whole GPUs.
        retries: further attempts after the code failed, with growing pauses.
        timeout: such as "10m"; then the attempt and everything it started is ended.
        cache: use the result of an earlier step with the same code, inputs and environment.
        environment: a `fairway.Environment` other than the project's own.
        name: instead of the function's name.

    Raises:
        UsageError: a setting is not of the form it must have.
    """
    asked = _Settings(cpu, memory, gpu, retries, timeout, cache, environment, name)

    def decorate(inner: Callable[P, R]) -> Task[P, R]:
        if not callable(inner):
            raise UsageError(f"@task takes a function, not {inner!r}")
        if inspect.iscoroutinefunction(inner):
            raise UsageError(
                f"the task {inner.__name__} is an async function",
                hint="call `asyncio.run(…)` inside a plain one",
            )
        return Task(inner, _configured(TaskSpec(name=inner.__name__), asked))

    return decorate(function) if function is not None else decorate
