"""An exception of the user's code as texts: what it says in one line, and its traceback.

Such an exception may do anything when it is asked for its text: fail, be of any length, refer to itself, or hold
what no encoding has. Nothing here raises because of that. What is given back is bounded, may still hold secrets and
may still need `legible`.
"""

import contextlib
import importlib
import os
import traceback
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from fairway.spec.text import bounded, shortened

_HIDDEN = (
    str(Path(__file__).resolve().parents[1]) + os.sep,
    str(Path(importlib.__file__).parent) + os.sep,
    "<frozen ",
)
_PART = 1 << 18
"""Characters kept of the beginning and of the end, before secrets are taken out and `SHOWN` is kept of that."""

SHOWN = (8 << 10, 24 << 10)
"""Characters of the beginning and of the end of a traceback that are recorded."""

HEADLINE = 500
"""Characters that are recorded of what an exception says."""


def text_of(error: BaseException) -> str:
    """What an exception says, or that it cannot say it."""
    try:
        return bounded(str(error), _PART, _PART)
    except BaseException:  # Such a method may raise anything, the exception itself too.
        return f"<its text cannot be had: {type(error).__name__}.__str__ failed>"


def repr_of(value: object) -> str:
    """A value's representation in one line, or that it has none."""
    try:
        return shortened(repr(value), HEADLINE)
    except BaseException:
        return f"<a {type(value).__name__} without a representation>"


def said(error: BaseException) -> str:
    """The type of an exception and what it says, in one line."""
    text = " ".join(text_of(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def headline(error: BaseException) -> str:
    """An exception in one line: its type and the first line of what it says; notes and further lines are in the traceback."""
    try:
        texts = traceback.TracebackException(type(error), error, None, compact=True).format_exception_only()
        lines = [line.strip() for text in _relevant(error, list(texts)) for line in text[:_PART].splitlines()]
        written = [line for line in lines if line]
        return " ".join(written[:2]) if written[0].endswith(":") else written[0]
    except BaseException:
        return said(error)


def _relevant(error: BaseException, texts: list[str]) -> list[str]:
    if not isinstance(error, SyntaxError):
        return texts
    # The place of a syntax error in its file comes before what is wrong there.
    return [text for text in texts if text.startswith(type(error).__name__)] or texts[-1:]


def folded(error: BaseException) -> str:
    """The traceback of an error with only frames of the user's and installed code, without ours and the import's."""
    return _formatted(error, hide=True)


def whole(error: BaseException) -> str:
    """The traceback of an error with all frames, bounded."""
    return bounded(_formatted(error, hide=False), *SHOWN)


def _formatted(error: BaseException, *, hide: bool) -> str:
    try:
        told = traceback.TracebackException.from_exception(error, compact=True)
        if hide:
            _hide(told)
        return _joined(told.format())
    except BaseException:
        # Groups of groups without end, or an exception that breaks what would print it: its own frames and text.
        return _joined(_alone(error))


def _alone(error: BaseException) -> Iterator[str]:
    with contextlib.suppress(BaseException):
        frames = _shown(traceback.extract_tb(error.__traceback__)).format()
        yield from ("Traceback (most recent call last):\n", *frames)
    yield said(error)


def _hide(whole: traceback.TracebackException) -> None:
    parts: list[traceback.TracebackException | None] = [whole]
    seen: set[int] = set()
    while parts:
        part = parts.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = _shown(part.stack)
        parts += [part.__cause__, part.__context__, *(part.exceptions or ())]


def _shown(stack: traceback.StackSummary) -> traceback.StackSummary:
    return traceback.StackSummary.from_list(
        [frame for frame in stack if not frame.filename.startswith(_HIDDEN)]
    )


def _joined(texts: Iterator[str]) -> str:
    """The texts together. Of very many only the first and the last are kept while they come."""
    head, size = list[str](), 0
    tail: deque[str] = deque()
    held = 0
    for text in texts:
        short = bounded(text, _PART, _PART)
        if size < _PART:
            head.append(short)
            size += len(short)
            continue
        tail.append(short)
        held += len(short)
        while held - len(tail[0]) > _PART:
            held -= len(tail.popleft())
    return "".join([*head, *tail]).rstrip()
