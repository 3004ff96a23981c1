"""`@endpoint`: a function that answers requests once it is deployed, its annotations being the interface."""

import inspect
from collections.abc import Callable
from typing import Annotated, Generic, ParamSpec, TypeVar, get_args, get_origin, get_type_hints, overload

from fairway.author import naming
from fairway.spec.errors import UsageError
from fairway.spec.project import EndpointSpec

P = ParamSpec("P")
R = TypeVar("R")


class Endpoint(Generic[P, R]):
    """An endpoint. Calling it runs its function; `fairway deploy FILE` serves it.

    A function whose one parameter is a list and whose result is a list is batched: each request brings one
    element, and what has arrived together is computed together.
    """

    def __init__(self, function: Callable[P, R], name: str, workers: int, private: bool) -> None:
        self.function = function
        self.workers = workers
        self.private = private
        self.__name__ = name
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @property
    def parameters(self) -> dict[str, object]:
        """Annotation of every parameter by name; `object` where there is none."""
        hints = self._hints()
        return {name: hints.get(name, object) for name in inspect.signature(self.function).parameters}

    @property
    def request_type(self) -> object:
        """What one request is: the only parameter's annotation, or its element's when batched.

        `object` where the parameter has no annotation; a dict by name where there are several parameters.
        """
        annotations = list(self.parameters.values())
        if len(annotations) != 1:
            return dict[str, object]
        return get_args(bare(annotations[0]))[0] if self.batched else annotations[0]

    @property
    def response_type(self) -> object:
        """What one answer is."""
        annotation: object = self._hints().get("return", object)
        return get_args(bare(annotation))[0] if self.batched else annotation

    @property
    def batched(self) -> bool:
        """Whether it takes a list of requests and returns a list of answers."""
        annotations = [bare(annotation) for annotation in self.parameters.values()]
        result = bare(self._hints().get("return"))
        return len(annotations) == 1 and get_origin(annotations[0]) is list and get_origin(result) is list

    def describe(self) -> EndpointSpec:
        """Its name, settings and first line of documentation."""
        doc = (self.__doc__ or "").strip().splitlines()
        return EndpointSpec(
            name=self.__name__,
            batched=self.batched,
            workers=self.workers,
            private=self.private,
            doc=doc[0] if doc else "",
        )

    def _hints(self) -> dict[str, object]:
        try:
            return dict(get_type_hints(self.function, include_extras=True))
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            raise UsageError(
                f"endpoint {self.__name__}: its annotations cannot be read: {error}",
                hint="import the types it names outside `if TYPE_CHECKING:`",
            ) from None

    def __repr__(self) -> str:
        return f"<endpoint {self.__name__}>"


def bare(annotation: object) -> object:
    """The type itself, without the limits that `Annotated` adds to it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


@overload
def endpoint(function: Callable[P, R], /) -> Endpoint[P, R]: ...


@overload
def endpoint(
    *, name: str | None = None, workers: int = 1, private: bool = False
) -> Callable[[Callable[P, R]], Endpoint[P, R]]: ...


def endpoint(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    workers: int = 1,
    private: bool = False,
) -> "Endpoint[P, R] | Callable[[Callable[P, R]], Endpoint[P, R]]":
    """Declare an endpoint: a function that answers requests once deployed.

    Args:
        name: instead of the function's name.
        workers: processes that answer.
        private: whether its prediction routes need a key, which `fairway deploy` shows once.
    """

    def decorate(inner: Callable[P, R]) -> Endpoint[P, R]:
        chosen = naming.declare("endpoint", inner, name)
        if type(workers) is not int or workers < 1:
            raise UsageError(f"endpoint {chosen}: workers={workers!r} is not a whole number of at least 1")
        return Endpoint(inner, chosen, workers, private)

    return decorate(function) if function is not None else decorate
