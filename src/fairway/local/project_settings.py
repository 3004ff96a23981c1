"""The settings of a project in `[tool.fairway]` of its `pyproject.toml` that concern where it runs and what is sent there.

Must not know any target. TOML is read only if the text has the words, because most projects have none of them.
"""

import re
from typing import cast

from fairway.local.projects import settings_file
from fairway.spec.errors import UsageError
from fairway.spec.retention import DAY, Retention

_AGE = re.compile(r"([0-9]{1,5})([dwh])")
_WORDS = (b"target", b"exclude", b"requirements", b"keep")


class ProjectSettings:
    """The settings of a project.

    Attributes:
        path: the file that they come from. It is empty without one.
        target: the target on which commands of this project work. It may be empty.
        exclude: the patterns of files that are not sent, as in `.gitignore`.
        requirements: the requirements file with the packages of the project on a target. It may be empty.
        keep: how long runs are kept.
    """

    __slots__ = ("exclude", "keep", "path", "requirements", "target")

    def __init__(
        self,
        path: str = "",
        target: str = "",
        exclude: tuple[str, ...] = (),
        requirements: str = "",
        keep: Retention | None = None,
    ) -> None:
        self.path = path
        self.target = target
        self.exclude = exclude
        self.requirements = requirements
        self.keep = keep or Retention()


def read(folder: str) -> ProjectSettings:
    """Return the settings in the nearest `pyproject.toml` from a folder upwards.

    Raises:
        UsageError: a setting does not have its form, or the file is not TOML.
    """
    path, data = settings_file(folder)
    if b"fairway" not in data or not any(word in data for word in _WORDS):
        return ProjectSettings(path)
    import tomllib

    try:
        tool = cast("dict[str, dict[str, object]]", tomllib.loads(data.decode()).get("tool", {}))
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    table = tool.get("fairway", {})
    target, requirements = table.get("target", ""), table.get("requirements", "")
    if not isinstance(target, str):
        raise UsageError(f"target of [tool.fairway] in {path} is not a name", hint='`target = "team"`')
    if not isinstance(requirements, str):
        raise UsageError(
            f"requirements of [tool.fairway] in {path} is not the path of a file",
            hint='`requirements = "requirements.txt"`',
        )
    exclude = _patterns(path, table.get("exclude", []))
    return ProjectSettings(path, target, exclude, requirements, _retention(path, table.get("keep", {})))


def _retention(path: str, found: object) -> Retention:
    """Return how long runs are kept. Raises UsageError."""
    table = cast("dict[str, object]", found) if isinstance(found, dict) else {"": found}
    runs, tagged = table.get("runs", "0d"), table.get("tagged", True)
    written = _AGE.fullmatch(runs) if isinstance(runs, str) else None
    if table.keys() - {"runs", "tagged"} or written is None or not isinstance(tagged, bool):
        raise UsageError(
            f"keep of [tool.fairway] in {path} is not how long runs are kept",
            hint='`keep = { runs = "90d" }`, with `tagged = false` if words on a run shall not keep it',
        )
    seconds = float(written[1]) * {"d": DAY, "w": 7 * DAY, "h": DAY / 24}[written[2]]
    return Retention(seconds=seconds, tagged=tagged)


def _patterns(path: str, found: object) -> tuple[str, ...]:
    """Return the patterns of files. Raises UsageError."""
    patterns = cast("list[object]", found) if isinstance(found, list) else [None]
    if not all(isinstance(pattern, str) and pattern.strip() for pattern in patterns):
        raise UsageError(
            f"exclude of [tool.fairway] in {path} is not a list of patterns",
            hint='`exclude = ["data/", "*.csv"]`',
        )
    return tuple(str(pattern) for pattern in patterns)
