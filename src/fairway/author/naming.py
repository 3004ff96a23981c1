"""Names of tasks, pipelines and endpoints: the rules for them, and the lines that declare them.

A step's process finds its task again by name. A name must therefore mean one function at the top level of a module.
"""

import inspect
import re
from collections.abc import Callable
from typing import Literal

from fairway.spec.errors import UsageError
from fairway.spec.names import is_declared
from fairway.spec.wire import DRIVER, REGISTER

Kind = Literal["task", "pipeline", "endpoint"]

_COUNTED = re.compile(r".*-\d+")
_lines: dict[tuple[str, str, str], set[int]] = {}


def declare(kind: Kind, function: Callable[..., object], name: str | None) -> str:
    """Return the name of a decorated function, and remember the line that declares it.

    Args:
        kind: the decorator that stands above the function.
        function: the decorated function or class.
        name: the name that the user gave; None stands for the function's own name.

    Raises:
        UsageError: it is not a function, it belongs to a class, or its name cannot be used.
    """
    if not callable(function) or (isinstance(function, type) and kind != "endpoint"):
        raise UsageError(f"@{kind} takes a function, not {function!r}")
    own = getattr(function, "__name__", None)
    if not isinstance(own, str) and name is None:
        raise UsageError(f"@{kind}: {function!r} has no name", hint=f'give one: `@fw.{kind}(name="…")`')
    outer = str(getattr(function, "__qualname__", own)).rpartition(".")[0]
    if (outer and not outer.endswith("<locals>")) or isinstance(function, staticmethod | classmethod):
        raise UsageError(
            f"the {kind} {own} is declared in a class, where no other process finds it",
            hint="declare it at the top level of the file and hand it what it needs",
        )
    chosen = check(kind, own if name is None else name)
    answering = function.__call__ if isinstance(function, type) else function
    compiled = getattr(inspect.unwrap(answering), "__code__", None)
    if compiled is not None and not outer:
        _lines.setdefault((function.__module__, kind, chosen), set()).add(compiled.co_firstlineno)
    return chosen


def check(kind: Kind, name: object) -> str:
    """Return the name if it can be used. Raises UsageError."""
    if not isinstance(name, str) or not is_declared(name):
        raise UsageError(
            f"{name!r} is not a usable name of a {kind}",
            hint=f'letters, digits, `-`, `_` and `.`, at most 63: `@fw.{kind}(name="…")`',
        )
    if kind == "task" and (name in (DRIVER, REGISTER) or _COUNTED.fullmatch(name)):
        # Further steps of the task `train` are named train-2, train-3 and on.
        why = "is Fairway's own" if name in (DRIVER, REGISTER) else "is reserved for further steps of a task"
        raise UsageError(f"the name {name!r} {why}", hint='choose another: `@fw.task(name="…")`')
    return name


def refuse_async(kind: Kind, function: Callable[..., object]) -> None:
    """Refuse coroutine and generator functions, because a plain call of them runs nothing. Raises UsageError."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"the {kind} {function.__name__} is an async function",
            hint="call `asyncio.run(…)` inside a plain one",
        )
    if inspect.isgeneratorfunction(function):
        raise UsageError(
            f"the {kind} {function.__name__} is a generator, so a call of it runs nothing",
            hint="return a list of the values that it yields",
        )


def refuse_redefined(module: str) -> None:
    """Refuse a module that declares two things of one kind under one name. Raises UsageError."""
    for (where, kind, name), lines in _lines.items():
        if where == module and len(lines) > 1:
            raise UsageError(
                f"{module} declares two {kind}s {name!r}, in lines {' and '.join(map(str, sorted(lines)))}",
                hint="rename one of them",
            )


def forget(module: str) -> None:
    """Forget the declarations of a module before it is imported again."""
    for key in [key for key in _lines if key[0] == module]:
        del _lines[key]
