"""The settings of a project in `[tool.fairway]` of its `pyproject.toml` that concern where it runs and what is sent there.

Must not know any target. TOML is read only if the text has the words, because most projects have none of them.
"""

from typing import cast

from fairway.local.projects import settings_file
from fairway.spec.errors import UsageError

_WORDS = (b"target", b"exclude", b"requirements")


class ProjectSettings:
    """The settings of a project.

    Attributes:
        path: the file that they come from. It is empty without one.
        target: the target on which commands of this project work. It may be empty.
        exclude: the patterns of files that are not sent, as in `.gitignore`.
        requirements: the requirements file with the packages of the project on a target. It may be empty.
    """

    __slots__ = ("exclude", "path", "requirements", "target")

    def __init__(
        self, path: str = "", target: str = "", exclude: tuple[str, ...] = (), requirements: str = ""
    ) -> None:
        self.path = path
        self.target = target
        self.exclude = exclude
        self.requirements = requirements


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
    return ProjectSettings(path, target, _patterns(path, table.get("exclude", [])), requirements)


def _patterns(path: str, found: object) -> tuple[str, ...]:
    """Return the patterns of files. Raises UsageError."""
    patterns = cast("list[object]", found) if isinstance(found, list) else [None]
    if not all(isinstance(pattern, str) and pattern.strip() for pattern in patterns):
        raise UsageError(
            f"exclude of [tool.fairway] in {path} is not a list of patterns",
            hint='`exclude = ["data/", "*.csv"]`',
        )
    return tuple(str(pattern) for pattern in patterns)
