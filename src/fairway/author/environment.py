"""Environments: the Python and the pinned packages a task needs, when they are not the project's own."""

from collections.abc import Sequence
from pathlib import Path

from fairway.spec.errors import UsageError
from fairway.spec.project import EnvironmentSpec


class Environment:
    """A Python with pinned packages, built once and shared by everything that asks for the same.

    Args:
        requirements: pinned lines such as "xgboost==3.4.0", or the path of a lock file. Hashes, when present, must match.
        python: such as "3.12"; the project's own version when empty.
    """

    __slots__ = ("spec",)

    def __init__(self, requirements: "Sequence[str] | str | Path" = (), *, python: str = "") -> None:
        lines = (
            _read(Path(requirements))
            if isinstance(requirements, str | Path)
            else [line.strip() for line in requirements]
        )
        hashed = any("--hash=" in line for line in lines)
        for line in lines:
            if "==" not in line and "@" not in line and not line.startswith("-"):
                raise UsageError(
                    f"requirement {line!r} is not pinned",
                    hint=f'write it with its version, such as "{line.split(">")[0].split("<")[0].strip()}==1.2.3"',
                )
        self.spec = EnvironmentSpec(requirements=tuple(lines), python=python, hashed=hashed)

    def __repr__(self) -> str:
        return f"Environment({list(self.spec.requirements)!r}, python={self.spec.python!r})"


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the requirements file {path}: {error.strerror}") from None
    joined = text.replace("\\\n", " ")
    return [
        line.split(" #")[0].strip()
        for line in joined.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
