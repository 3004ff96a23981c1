"""Environments: the Python and the pinned packages of a task that does not use the project's own."""

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from fairway.spec.errors import UsageError
from fairway.spec.project import EnvironmentSpec

_NAME = r"[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*"
_PINNED = re.compile(rf"{_NAME}(===?\s*[^\s*,]+|@\s*\S+)(\s*,.*)?")
_PACKAGE = re.compile(_NAME)
_PYTHON = re.compile(r"\d+\.\d+(\.\d+)?")
_ELSEWHERE = ("-r", "-c", "-e", "--requirement", "--constraint", "--editable")


class Environment:
    """A Python with pinned packages. It is built once and shared by all tasks that ask for the same.

    Args:
        requirements: pinned lines such as "xgboost==3.4.0", or the path of a lock file. A path is relative to the
            project file that names it. If one line has a hash, every line needs one, and the hashes must match.
        python: a version such as "3.12". The default is the version of the project.

    Raises:
        UsageError: a line is not pinned, a file cannot be read, or `python` is not a version.
    """

    __slots__ = ("spec",)

    def __init__(self, requirements: "Sequence[str] | str | Path" = (), *, python: str = "") -> None:
        if isinstance(requirements, str | Path):
            frame = inspect.currentframe()
            caller = frame.f_back if frame is not None else None
            beside = str(caller.f_globals.get("__file__", "")) if caller is not None else ""
            text = _read(requirements, Path(beside).parent)
        else:
            text = "\n".join(_line(line) for line in requirements)
        lines = _lines(text)
        for line in lines:
            _check(line)
        hashed = any("--hash=" in line for line in lines)
        loose = [line for line in lines if not line.startswith("-") and "--hash=" not in line]
        if hashed and loose:
            raise UsageError(
                f"requirement {loose[0]!r} has no hash, and others have",
                hint="lock all of them: `uv pip compile --generate-hashes`",
            )
        if not isinstance(cast("object", python), str) or (python and not _PYTHON.fullmatch(python)):
            raise UsageError(f"python={python!r} is not a version of Python", hint='write it like "3.12"')
        self.spec = EnvironmentSpec(requirements=tuple(lines), python=python, hashed=hashed)

    def __repr__(self) -> str:
        return f"Environment({list(self.spec.requirements)!r}, python={self.spec.python!r})"


def _line(line: object) -> str:
    """Return a requirement that is text. Raises UsageError."""
    if not isinstance(line, str):
        raise UsageError(f"requirement {line!r} is not text", hint='write it like "xgboost==3.4.0"')
    return line


def _lines(text: str) -> list[str]:
    """Split requirements as pip does: join continued lines, and leave out comments and blank lines."""
    joined = re.sub(r"\\\r?\n", " ", text)
    bare = (re.sub(r"(^|\s)#.*", "", line) for line in joined.splitlines())
    return [" ".join(line.split()) for line in bare if line.strip()]


def _check(line: str) -> None:
    """Refuse a requirement that is not pinned or that points to another file. Raises UsageError."""
    if line.startswith(_ELSEWHERE):
        raise UsageError(
            f"requirement {line!r} points to another file or folder",
            hint="put everything into one lock file: `uv pip compile`",
        )
    if line.startswith("-") or _PINNED.fullmatch(re.split(r"\s*;|\s+--hash=", line)[0]):
        return
    name = _PACKAGE.match(line)
    example = f"{name[0].strip()}==1.2.3" if name else "xgboost==3.4.0"
    raise UsageError(
        f"requirement {line!r} is not pinned", hint=f'write it with its version, such as "{example}"'
    )


def _read(path: str | Path, beside: Path) -> str:
    """Read a requirements file beside the file that names it. Raises UsageError."""
    try:
        return (beside / path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if "==" in str(path):
            hint = f'requirements given as text are a list: `requirements=["{path}"]`'
        else:
            hint = "the path is relative to the file that names it"
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"cannot read the requirements file {path}: {reason}", hint=hint) from None
