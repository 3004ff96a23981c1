"""`@endpoint`: a function or class that answers requests once it is deployed. Its annotations are the interface."""

import inspect
import sys
from collections import abc
from collections.abc import Callable
from typing import (
    Annotated,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from fairway.author import naming
from fairway.spec.errors import UsageError
from fairway.spec.project import EndpointSpec
from fairway.spec.quantities import Bounds

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")

_MARK = "__fairway_endpoint__"
"""The attribute of a class under `@endpoint` that holds its endpoint.

It is not inherited: a subclass is no endpoint by itself.
"""

_STREAMS = (
    abc.Iterator, abc.Generator, abc.Iterable, abc.AsyncIterator, abc.AsyncGenerator, abc.AsyncIterable,
)  # fmt: skip


class Endpoint(Generic[P, R]):
    """A function or class that answers requests. A call runs it, and `fairway deploy FILE` serves it.

    A function that takes one list and returns a list is batched. Each request brings one element, and elements that
    arrive together are computed together.

    Attributes:
        function: the function, or the class whose instance answers.
        answering: the function whose annotations are the interface. For a class it is its `__call__`.
        replicas: the number of replicas that answer.
        private: True when requests need a key.
    """

    def __init__(self, function: Callable[P, R], name: str, replicas: Bounds, private: bool) -> None:
        self.function = function
        self.answering = _answering(function, name)
        self.replicas = replicas
        self.private = private
        self.__name__ = name
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def made(self) -> Callable[..., object]:
        """Make the object that answers requests: an instance of the class, or the function itself."""
        if isinstance(self.function, type):
            return cast("Callable[[], Callable[..., object]]", self.function)()
        return self.function

    @property
    def file(self) -> str:
        """The file that declares the endpoint. It is empty when there is none."""
        compiled = getattr(inspect.unwrap(self.answering), "__code__", None)
        home = getattr(sys.modules.get(self.__module__), "__file__", None)
        return str(getattr(compiled, "co_filename", "") or home or "")

    @property
    def signature(self) -> dict[str, inspect.Parameter]:
        """The parameters that a request fills, by name, without the `self` of a class."""
        found = list(inspect.signature(self.answering).parameters.items())
        static = isinstance(self.function, type) and isinstance(
            inspect.getattr_static(self.function, "__call__"), staticmethod
        )
        return dict(found[1:] if isinstance(self.function, type) and not static else found)

    @property
    def parameters(self) -> dict[str, object]:
        """The annotation of every parameter by name, with `object` for a parameter without one."""
        hints = self._hints()
        return {name: hints.get(name, object) for name in self.signature}

    @property
    def request_type(self) -> object:
        """The type of one request: the only parameter's annotation, or its element's when the endpoint is batched.

        It is `object` when the parameter has no annotation, and a dict by name when there are several parameters.
        """
        annotations = list(self.parameters.values())
        if len(annotations) != 1:
            return dict[str, object]
        return get_args(bare(annotations[0]))[0] if self.batched else annotations[0]

    @property
    def response_type(self) -> object:
        """The type of one answer."""
        annotation: object = self._hints().get("return", object)
        return get_args(bare(annotation))[0] if self.batched else annotation

    @property
    def batched(self) -> bool:
        """True when the endpoint takes a list of requests and returns a list of answers."""
        annotations = [bare(annotation) for annotation in self.parameters.values()]
        result = bare(self._hints().get("return"))
        return len(annotations) == 1 and get_origin(annotations[0]) is list and get_origin(result) is list

    @property
    def streams(self) -> bool:
        """True when the code or its annotation shows that an answer comes in pieces."""
        if inspect.isgeneratorfunction(self.answering) or inspect.isasyncgenfunction(self.answering):
            return True
        return get_origin(bare(self._hints().get("return"))) in _STREAMS

    @property
    def item_type(self) -> object:
        """The type of one piece of a stream, or `object` when the annotation does not give it."""
        return (*get_args(bare(self._hints().get("return"))), object)[0]

    def describe(self) -> EndpointSpec:
        """Return the endpoint's name, its settings and the first line of its documentation."""
        doc = (self.__doc__ or "").strip().splitlines()
        return EndpointSpec(
            name=self.__name__,
            batched=self.batched,
            replicas=self.replicas,
            private=self.private,
            doc=doc[0] if doc else "",
        )

    def _hints(self) -> dict[str, object]:
        """Evaluate the annotations. Raises UsageError."""
        try:
            return dict(get_type_hints(self.answering, include_extras=True))
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            raise UsageError(
                f"endpoint {self.__name__}: its annotations cannot be read: {error}",
                hint="import the types it names outside `if TYPE_CHECKING:`",
            ) from None

    def __repr__(self) -> str:
        return f"<endpoint {self.__name__}>"


def bare(annotation: object) -> object:
    """Return the type itself, without the limits that `Annotated` adds to it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


class _Decorator(Protocol):
    """The type of `@endpoint(…)`."""

    @overload
    def __call__(self, function: type[C], /) -> type[C]: ...  # pyright: ignore[reportOverlappingOverload]

    @overload
    def __call__(self, function: Callable[P, R], /) -> Endpoint[P, R]: ...


def endpoint_of(item: object) -> "Endpoint[..., object] | None":
    """Return the endpoint that an object is, or that `@endpoint` above a class declared. Other objects give None."""
    # `isinstance` would ask a Ref for its value, and `getattr` would find the mark of a parent class.
    kind = type(item)
    if issubclass(kind, type):
        item = cast("dict[str, object]", vars(cast("type", item))).get(_MARK)
        kind = type(item)
    return cast("Endpoint[..., object]", item) if issubclass(kind, Endpoint) else None


def _answering(function: Callable[..., object], name: str) -> Callable[..., object]:
    """Return the function that answers requests.

    Raises:
        UsageError: the class cannot be made without arguments, or its instances cannot be called.
    """
    if not isinstance(function, type):
        return function
    own = function.__call__
    if not any("__call__" in vars(base) for base in function.__mro__):
        raise UsageError(
            f"the class {name} has no `__call__`, so it cannot answer",
            hint="write `def __call__(self, …)`; its annotations are the interface",
        )
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise UsageError(
            f"the class {name} cannot be made without arguments: {error}",
            hint="an endpoint makes one instance per worker; give the parameters of `__init__` defaults",
        ) from None
    except ValueError:
        pass  # a class written in C has no signature, so the first instance will show it
    return cast("Callable[..., object]", own)


@overload
def endpoint(function: type[C], /) -> type[C]: ...  # pyright: ignore[reportOverlappingOverload]


@overload
def endpoint(function: Callable[P, R], /) -> Endpoint[P, R]: ...


@overload
def endpoint(
    *, name: str | None = None, replicas: int | tuple[int, int] = 1, private: bool = False
) -> _Decorator: ...


def endpoint(
    function: Callable[..., object] | None = None,
    /,
    *,
    name: str | None = None,
    replicas: int | tuple[int, int] = 1,
    private: bool = False,
) -> object:
    """Declare an endpoint: a function, or a class with `__call__`, that answers requests once it is deployed.

    A class stays a class. Each worker makes one instance of it before it takes requests.

    Args:
        name: the endpoint's name. The default is the function's name.
        replicas: the number of replicas that answer, or the lowest and the highest number, such as `(1, 10)`. A replica
            is a process on this machine, and a pod on a cluster.
        private: True makes the prediction routes ask for a key, which `fairway deploy` shows once.
    """

    def decorate(inner: Callable[..., object]) -> object:
        chosen = naming.declare("endpoint", inner, name)
        try:
            bounds = Bounds.of(replicas)
        except UsageError as error:
            raise UsageError(f"endpoint {chosen}: {error.message}", hint=error.hint) from None
        made = Endpoint(inner, chosen, bounds, private)
        if not isinstance(inner, type):
            return made
        setattr(inner, _MARK, made)
        return inner

    return decorate(function) if function is not None else decorate
