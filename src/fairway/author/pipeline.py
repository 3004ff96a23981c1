"""`@pipeline`: a plain Python function, run once from top to bottom, whose task calls become steps."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar, overload

from fairway.author import naming, parameters
from fairway.spec.project import PipelineSpec

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(Generic[P, R]):
    """A pipeline. Calling it runs its function: in another pipeline as a part of it, elsewhere as plain Python."""

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
        """Its name, parameters and first line of documentation.

        Raises:
            UsageError: a parameter has no flag, or one that `fairway run` has itself.
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
    """Declare a pipeline: its annotated parameters become command-line flags, and its task calls steps.

    Args:
        name: instead of the function's name.
    """

    def decorate(inner: Callable[P, R]) -> Pipeline[P, R]:
        chosen = naming.declare("pipeline", inner, name)
        naming.refuse_async("pipeline", inner)
        return Pipeline(inner, chosen)

    return decorate(function) if function is not None else decorate
