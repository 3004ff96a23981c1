"""`@task`: a function whose calls inside a pipeline become steps.

A task stays a function: a call outside a pipeline runs the function. This module checks a task's settings and binds
the arguments of a call to names. The session starts the step.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Generic, ParamSpec, TypeVar, cast, get_args, get_origin, overload

import msgspec

from fairway.author import code, labels, naming, source
from fairway.author.environment import Environment
from fairway.author.ref import Ref
from fairway.author.session import Session, current, is_ref
from fairway.spec.artifact import RefData
from fairway.spec.errors import UsageError
from fairway.spec.nodes import NOTHING, NodeChoice, parse_architecture, parse_gpu, parse_name
from fairway.spec.project import TaskSpec
from fairway.spec.quantities import Resources, parse_cpu, parse_disk, parse_duration, parse_memory
from fairway.spec.run import StepSpec

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function that can run as a step of a pipeline.

    A call inside a pipeline starts a step and returns a `Ref` typed as the result. A call anywhere else runs the
    function.

    Attributes:
        function: the decorated function.
        spec: the settings. A step's process finds the task again by `spec.name`.
        title: the name of the steps. They are named after `spec.name` when it is empty.
    """

    def __init__(self, function: Callable[P, R], spec: TaskSpec, title: str = "") -> None:
        self.function = function
        self.spec = spec
        self.title = title
        self.__name__ = title or spec.name
        self.__qualname__ = getattr(function, "__qualname__", spec.name)
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._signature: inspect.Signature | None = None
        self._code: code.Code | None = None
        self._outputs = -1
        # A function of the top level is importable by its name; one made inside a function is looked up at its first call.
        self._found = "<locals>" not in self.__qualname__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        session = current()
        if session is None or not session.pipeline:
            return self.function(*args, **kwargs)
        return cast("R", self._start(session, self._bind(args, kwargs)))

    def map(self, items: Iterable[object], **common: object) -> list[R]:
        """Start one step per item of a collection.

        The item fills the first parameter that `common` does not name.

        Args:
            items: the values to go through, one for each step.
            common: arguments that every step gets, by name.

        Returns:
            one result per item, in the order of the items. Inside a pipeline each result is a `Ref`.

        Raises:
            UsageError: no parameter is left for the items, or `items` is not iterable.
        """
        free = [one for one in self.signature.parameters.values() if one.name not in common]
        if not free or free[0].kind is free[0].VAR_KEYWORD:
            raise UsageError(f"{self.__name__}.map: every parameter is given, none is left for the items")
        try:
            each = iter(items)
        except TypeError:
            raise UsageError(
                f"{self.__name__}.map goes through its items, and {items!r} has none",
                hint=f"`{self.__name__}.map([…])`",
            ) from None
        call = cast("Callable[..., R]", self)
        if free[0].kind in (free[0].POSITIONAL_ONLY, free[0].VAR_POSITIONAL):
            return [call(item, **common) for item in each]
        return [call(**{free[0].name: item}, **common) for item in each]

    def options(
        self,
        *,
        cpu: float | str | None = None,
        memory: str | int | None = None,
        gpu: int | str | None = None,
        spot: bool | None = None,
        arch: str | None = None,
        priority: str | None = None,
        queue: str | None = None,
        disk: str | int | None = None,
        retries: int | None = None,
        timeout: str | float | None = None,
        cache: bool | None = None,
        environment: Environment | None = None,
        isolated: bool | None = None,
        name: str | None = None,
    ) -> "Task[P, R]":
        """Return the same task with other settings. A setting that is not given stays as it is.

        Args:
            name: a name for the steps of this copy. The other arguments are those of `@task`.
        """
        asked = _Settings(
            cpu=cpu, memory=memory, gpu=gpu, spot=spot, arch=arch, priority=priority, queue=queue,
            disk=disk, retries=retries, timeout=timeout, cache=cache, environment=environment, isolated=isolated,
        )  # fmt: skip
        title = self.title if name is None else naming.check("task", name)
        return Task(self.function, _configured(self.spec, asked), title)

    @property
    def signature(self) -> inspect.Signature:
        """The signature of the function."""
        if self._signature is None:
            self._signature = inspect.signature(self.function)
        return self._signature

    @property
    def outputs(self) -> int:
        """The number of elements when the return annotation is `tuple[A, B]`, otherwise 0."""
        if self._outputs < 0:
            self._outputs = _declared_outputs(self.function)
        return self._outputs

    def _bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        """Return the arguments of a call by name, with defaults. Raises UsageError."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise UsageError(
                f"{self.__name__}: {error}", hint=f"its parameters are {self.__name__}{self.signature}"
            ) from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def _start(self, session: Session, arguments: dict[str, object]) -> object:
        """Start a step in the session and return its `Ref`.

        Raises UsageError for a task that no other process can find.
        """
        if not self._found:
            self._found = _is_reachable(self.function)
        if not self._found:
            raise UsageError(
                f"the task {self.__name__} is made inside a function, where no other process finds it",
                hint="declare it at the top level of the file and hand it what it needs",
            )
        # Digests are computed once, and only for cached tasks, because the walk through the code takes time.
        if self.spec.cache and self._code is None:
            self._code = code.of_task(self.function)
        step = self.step(labels.label(arguments))
        return as_refs(session, session.call(step, arguments), self.outputs)

    def step(self, label: str) -> StepSpec:
        """Return the call of the task, without the name of a step and without inputs."""
        return StepSpec(
            name=self.title,
            task=self.spec.name,
            inputs={},
            label=label,
            outputs=self.outputs,
            resources=self.spec.resources,
            retries=self.spec.retries,
            timeout=self.spec.timeout,
            cache=self.spec.cache,
            code=self._code.parts if self._code is not None else {},
            packages=self._code.packages if self._code is not None else None,
            environment=self.spec.environment,
            isolated=self.spec.isolated,
        )

    def __repr__(self) -> str:
        return f"<task {self.__name__}>"


def as_refs(session: Session, data: RefData, outputs: int) -> object:
    """Return the `Ref` of a started step, or a tuple of `Ref` when the task declares a tuple as its output.

    Args:
        session: the session that started the step.
        data: the reference to the step's output.
        outputs: the number of declared elements, or 0 for a single value.
    """
    if not outputs:
        return Ref(data, lambda: session.wait(data))

    def element(index: int) -> Ref:
        part = RefData(data.step, index)
        return Ref(part, lambda: session.wait(part))

    return tuple(element(index) for index in range(outputs))


def _is_reachable(function: Callable[..., object]) -> bool:
    """Tell whether a task of this function is a global of some module of the project.

    A step's process looks for tasks there and nowhere else.
    """
    homes = [cast("dict[str, object]", getattr(function, "__globals__", {}))]
    homes += [vars(module) for name, module in list(sys.modules.items()) if source.is_project(name)]
    return any(
        not is_ref(item) and isinstance(item, Task) and cast("Task[..., object]", item).function is function
        for home in homes
        for item in list(home.values())
    )


def _declared_outputs(function: Callable[..., object]) -> int:
    """Return the number of elements that the return annotation declares, or 0 when it is not a fixed tuple."""
    annotation: object = getattr(function, "__annotations__", {}).get("return")
    if isinstance(annotation, str):
        written, annotation = annotation, None
        scope = cast("dict[str, object]", getattr(inspect.unwrap(function), "__globals__", {}))
        try:
            # The text is the user's own annotation, in a module that this process has imported already.
            annotation = cast("object", eval(written, scope))
        except Exception:
            return _written_outputs(written)
    if get_origin(annotation) is not tuple:
        return 0
    parts = get_args(annotation)
    return 0 if Ellipsis in parts else len(parts)


def _written_outputs(annotation: str) -> int:
    """Count the elements of a tuple annotation from its text, for names that only type checkers know."""
    try:
        node = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return 0
    if not isinstance(node, ast.Subscript) or ast.unparse(node.value).split(".")[-1] not in (
        "tuple",
        "Tuple",
    ):
        return 0
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return 0 if any(isinstance(part, ast.Constant) and part.value is ... for part in parts) else len(parts)


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a task in the form in which the user wrote them. None stands for a setting that is not given."""

    cpu: float | str | None = None
    memory: str | int | None = None
    gpu: int | str | None = None
    spot: bool | None = None
    arch: str | None = None
    priority: str | None = None
    queue: str | None = None
    disk: str | int | None = None
    retries: int | None = None
    timeout: str | float | None = None
    cache: bool | None = None
    environment: object = None
    isolated: bool | None = None


def _configured(spec: TaskSpec, asked: _Settings) -> TaskSpec:
    """Return the spec with the given settings checked and put in. Raises UsageError."""
    try:
        resources = _resources(spec.resources, asked)
        retries = spec.retries if asked.retries is None else _count("retries", asked.retries)
        timeout = spec.timeout if asked.timeout is None else parse_duration(asked.timeout)
        cache = spec.cache if asked.cache is None else _flag("cache", asked.cache)
        isolated = spec.isolated if asked.isolated is None else _flag("isolated", asked.isolated)
    except UsageError as error:
        raise UsageError(f"task {spec.name}: {error.message}", hint=error.hint) from None
    environment = spec.environment
    if asked.environment is not None:
        if not isinstance(asked.environment, Environment):
            raise UsageError(
                f"task {spec.name}: environment={asked.environment!r} is not a `fairway.Environment`",
                hint='`fw.Environment(requirements=["a==1.0"])`',
            )
        environment = asked.environment.spec
    return msgspec.structs.replace(
        spec,
        resources=resources,
        retries=retries,
        timeout=timeout,
        cache=cache,
        environment=environment,
        isolated=isolated,
    )


def _resources(before: Resources, asked: _Settings) -> Resources:
    """Return the resources with the given ones put in. A GPU that is given anew replaces number and model."""
    nodes = before.nodes or NOTHING
    gpu, model = (before.gpu, nodes.gpu) if asked.gpu is None else parse_gpu(asked.gpu)
    nodes = NodeChoice(
        gpu=model,
        spot=nodes.spot if asked.spot is None else _flag("spot", asked.spot),
        arch=nodes.arch if asked.arch is None else parse_architecture(asked.arch),
        priority=nodes.priority
        if asked.priority is None
        else parse_name("priority", asked.priority, "class of priority"),
        queue=nodes.queue if asked.queue is None else parse_name("queue", asked.queue, "queue"),
    )
    return Resources(
        cpu=before.cpu if asked.cpu is None else parse_cpu(asked.cpu),
        memory=before.memory if asked.memory is None else parse_memory(asked.memory),
        gpu=gpu,
        disk=before.disk if asked.disk is None else parse_disk(asked.disk),
        nodes=None if nodes == NOTHING else nodes,
    )


def _flag(name: str, flag: object) -> bool:
    """Return the flag if it is one. Raises UsageError."""
    if not isinstance(flag, bool):
        raise UsageError(f"{name}={flag!r} is neither True nor False")
    return flag


def _count(name: str, number: object) -> int:
    """Return the number if it is whole and not negative. Raises UsageError."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise UsageError(f"{name}={number!r} is not a whole number of at least 0", hint=f"such as `{name}=1`")
    return number


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    cpu: float | str | None = None,
    memory: str | int | None = None,
    gpu: int | str | None = None,
    spot: bool | None = None,
    arch: str | None = None,
    priority: str | None = None,
    queue: str | None = None,
    disk: str | int | None = None,
    retries: int | None = None,
    timeout: str | float | None = None,
    cache: bool | None = None,
    environment: Environment | None = None,
    isolated: bool | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(
    function: Callable[P, R] | None = None,
    /,
    *,
    cpu: float | str | None = None,
    memory: str | int | None = None,
    gpu: int | str | None = None,
    spot: bool | None = None,
    arch: str | None = None,
    priority: str | None = None,
    queue: str | None = None,
    disk: str | int | None = None,
    retries: int | None = None,
    timeout: str | float | None = None,
    cache: bool | None = None,
    environment: Environment | None = None,
    isolated: bool | None = None,
    name: str | None = None,
) -> "Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]":
    """Declare a task: a function whose calls inside a pipeline become isolated, recorded steps.

    Args:
        cpu: the cores that an attempt needs, such as 2, 0.5 or "500m". Give 0 for a task that only waits. The default
            is 1.
        memory: the most memory that an attempt may use, such as "2Gi". An attempt that uses more ends as out of
            memory. Without it, memory is not limited.
        gpu: the number of whole GPUs, a model such as "L4", or both, such as "A100:2". An attempt sees only the GPUs
            that it was given.
        spot: True runs the task on nodes of a cluster that cost less and may be taken away at any time. An attempt that
            loses its node is repeated, which spends no retry.
        arch: the architecture of the processors, "amd64" or "arm64".
        priority: the name of a class of priority of the cluster. It decides which pods have to make room for others.
        queue: the name of a queue of Kueue, in which the task waits for its turn on a cluster.
        disk: the most that an attempt may write to disk, such as "20Gi". An attempt that writes more is ended.
        retries: the number of further attempts when the code fails. The pauses between them grow.
        timeout: the longest time that an attempt may take, such as "10m". After it, the attempt and everything it
            started is ended.
        cache: True uses the result of an earlier step with the same code, inputs and environment.
        environment: a `fairway.Environment` that replaces the project's own.
        isolated: True gives each attempt a pod of its own on a cluster, even if the driver has room for it. On one
            machine, attempts share the host as ever.
        name: the task's name. The default is the function's name.

    Raises:
        UsageError: a setting does not have the form it must have.
    """
    asked = _Settings(
        cpu=cpu, memory=memory, gpu=gpu, spot=spot, arch=arch, priority=priority, queue=queue,
        disk=disk, retries=retries, timeout=timeout, cache=cache, environment=environment, isolated=isolated,
    )  # fmt: skip

    def decorate(inner: Callable[P, R]) -> Task[P, R]:
        chosen = naming.declare("task", inner, name)
        naming.refuse_async("task", inner)
        return Task(inner, _configured(TaskSpec(name=chosen), asked))

    return decorate(function) if function is not None else decorate
