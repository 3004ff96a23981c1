"""`@pipeline`: a plain Python function that runs once, from top to bottom, and whose task calls become steps."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar, overload

from fairway.author import naming, parameters
from fairway.spec import cron
from fairway.spec.errors import UsageError
from fairway.spec.project import PipelineSpec

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(Generic[P, R]):
    """A pipeline that a project file declares.

    A call runs the function: as a part of the caller inside another pipeline, and as plain Python anywhere else.
    """

    def __init__(self, function: Callable[P, R], name: str, schedule: str = "", timezone: str = "") -> None:
        self.function = function
        self.schedule = schedule
        self.timezone = timezone
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
            name=self.__name__,
            parameters=parameters.describe(self.function),
            doc=doc[0] if doc else "",
            schedule=self.schedule,
            timezone=self.timezone,
        )

    def __repr__(self) -> str:
        return f"<pipeline {self.__name__}>"


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...


@overload
def pipeline(
    *, name: str | None = None, schedule: str = "", timezone: str = ""
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    schedule: str = "",
    timezone: str = "",
) -> "Pipeline[P, R] | Callable[[Callable[P, R]], Pipeline[P, R]]":
    """Declare a pipeline: its annotated parameters become command-line flags, and its task calls become steps.

    Args:
        name: the pipeline's name. The default is the function's name.
        schedule: the times at which it shall run, as the five fields of cron, such as "0 6 * * *". `fairway schedule FILE`
            makes a platform keep them.
        timezone: the time zone that the schedule is meant in, such as "Europe/Berlin". The default is UTC.

    Raises:
        UsageError: the schedule cannot be read.
    """
    if schedule:
        cron.parse(schedule)
    elif timezone:
        raise UsageError(
            f"timezone={timezone!r} needs a schedule", hint='`@fw.pipeline(schedule="0 6 * * *", …)`'
        )

    def decorate(inner: Callable[P, R]) -> Pipeline[P, R]:
        chosen = naming.declare("pipeline", inner, name)
        naming.refuse_async("pipeline", inner)
        return Pipeline(inner, chosen, schedule, timezone)

    return decorate(function) if function is not None else decorate
