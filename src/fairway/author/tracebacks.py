"""Texts of exceptions that the user's code raises: a line that sums one up, and its traceback.

Such an exception may do anything when it is asked for its text. It may fail, be of any length, refer to itself, or
contain characters that no encoding has. Nothing here raises because of that. The texts returned are bounded. They may
still contain secrets, and they may still need `legible`.
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
"""Beginnings of the file names of frames that a user does not see: those of Fairway and of Python's import."""
_PART = 1 << 18
"""The number of characters kept of the beginning and of the end, before secrets are taken out.

`SHOWN` is kept of the result.
"""

SHOWN = (8 << 10, 24 << 10)
"""The number of characters of a traceback that are recorded: of its beginning, and of its end."""

HEADLINE = 500
"""The number of characters that are recorded of an exception's text."""


def text_of(error: BaseException) -> str:
    """Return the text of an exception, or a replacement when the exception cannot give it."""
    try:
        return bounded(str(error), _PART, _PART)
    except BaseException:  # the method belongs to the user and may raise anything, even the exception itself
        return f"<no text, because {type(error).__name__}.__str__ failed>"


def repr_of(value: object) -> str:
    """Return the representation of a value in one line, or a replacement when it has none."""
    try:
        return shortened(repr(value), HEADLINE)
    except BaseException:
        return f"<a {type(value).__name__} without a representation>"


def summary(error: BaseException) -> str:
    """Return the type and the text of an exception in one line."""
    text = " ".join(text_of(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def headline(error: BaseException) -> str:
    """Return the type of an exception and the first line of its text, in one line.

    Notes and further lines are left to the traceback.
    """
    try:
        texts = traceback.TracebackException(type(error), error, None, compact=True).format_exception_only()
        lines = [line.strip() for text in _relevant(error, list(texts)) for line in text[:_PART].splitlines()]
        written = [line for line in lines if line]
        return " ".join(written[:2]) if written[0].endswith(":") else written[0]
    except BaseException:
        return summary(error)


def _relevant(error: BaseException, texts: list[str]) -> list[str]:
    """Leave out the texts that show where a syntax error is, and keep those that tell what is wrong."""
    if not isinstance(error, SyntaxError):
        return texts
    # The lines before these show the place of the error in its file.
    return [text for text in texts if text.startswith(type(error).__name__)] or texts[-1:]


def folded(error: BaseException) -> str:
    """Return the traceback of an error without the frames of Fairway and of Python's import."""
    return _formatted(error, hide=True)


def whole(error: BaseException) -> str:
    """Return the traceback of an error with all its frames, bounded."""
    return bounded(_formatted(error, hide=False), *SHOWN)


def _formatted(error: BaseException, *, hide: bool) -> str:
    """Return the traceback of an error, with or without hidden frames."""
    try:
        report = traceback.TracebackException.from_exception(error, compact=True)
        if hide:
            _hide(report)
        return _joined(report.format())
    except BaseException:
        # Endless groups of groups, or an exception that breaks the printing, leave its own frames and text.
        return _joined(_alone(error))


def _alone(error: BaseException) -> Iterator[str]:
    """Yield the frames and the text of an error itself, without its causes."""
    with contextlib.suppress(BaseException):
        frames = _shown(traceback.extract_tb(error.__traceback__)).format()
        yield from ("Traceback (most recent call last):\n", *frames)
    yield summary(error)


def _hide(whole: traceback.TracebackException) -> None:
    """Remove hidden frames from a traceback, its causes and the members of its groups."""
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
    """Return the frames of a stack that a user sees."""
    return traceback.StackSummary.from_list(
        [frame for frame in stack if not frame.filename.startswith(_HIDDEN)]
    )


def _joined(texts: Iterator[str]) -> str:
    """Join the texts. Of very many, only the first and the last are held in memory."""
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
