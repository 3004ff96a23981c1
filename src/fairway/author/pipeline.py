"""`@pipeline`: a plain Python function that runs once, from top to bottom, and whose task calls become steps."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar, overload

from fairway.author import naming, parameters
from fairway.spec.project import PipelineSpec

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(Generic[P, R]):
    """A pipeline that a project file declares.

    A call runs the function: as a part of the caller inside another pipeline, and as plain Python anywhere else.
    """

    def __init__(self, function: Callable[P, R], name: str) -> None:
        self.function = function
        self.__name__ = name
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def describe(self) -> PipelineSpec:
        """Return the pipeline's name, its parameters and the first line of its documentation.

        Raises:
            UsageError: a parameter can have no flag, or its flag is one of `fairway run` itself.
        """
        doc = (self.__doc__ or "").strip().splitlines()
        return PipelineSpec(
            name=self.__name__, parameters=parameters.describe(self.function), doc=doc[0] if doc else ""
        )

    def __repr__(self) -> str:
        return f"<pipeline {self.__name__}>"


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...


@overload
def pipeline(*, name: str | None = None) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(
    function: Callable[P, R] | None = None, /, *, name: str | None = None
) -> "Pipeline[P, R] | Callable[[Callable[P, R]], Pipeline[P, R]]":
    """Declare a pipeline: its annotated parameters become command-line flags, and its task calls become steps.

    Args:
        name: the pipeline's name. The default is the function's name.
    """

    def decorate(inner: Callable[P, R]) -> Pipeline[P, R]:
        chosen = naming.declare("pipeline", inner, name)
        naming.refuse_async("pipeline", inner)
        return Pipeline(inner, chosen)

    return decorate(function) if function is not None else decorate
