"""Files, folders and secrets as values that steps take and return."""

import os
from pathlib import Path
from typing import cast

from fairway.author import redaction
from fairway.spec.errors import UsageError


class File:
    """A file whose content travels with it, as a parameter, an argument or a result of a task.

    Its digest is the digest of its content. A cached step therefore runs again when the content changes, and not when
    the path changes. The file keeps the last part of its path, such as "rows.csv", wherever it is loaded.
    `open(file)`, `pandas.read_csv(file)` and `Path(file)` work. Do not write to the content.
    """

    __slots__ = ("path",)
    __fairway_kind__ = "file"

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self.path = Path(path)
        if self.path.exists() and not self._fits():
            raise UsageError(f"{self.path} is not a {self.__fairway_kind__}")

    def _fits(self) -> bool:
        """Tell whether the path leads to something of this kind."""
        return self.path.is_file()

    @property
    def __fairway_path__(self) -> Path:
        return self.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    def __fspath__(self) -> str:
        return str(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and type(other) is type(self) and other.path == self.path

    def __hash__(self) -> int:
        return hash((self.__fairway_kind__, self.path))

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


class Folder(File):
    """A folder of files whose content travels with it. Links inside it are refused."""

    __slots__ = ()
    __fairway_kind__ = "folder"

    def _fits(self) -> bool:
        return self.path.is_dir()


class Secret:
    """A secret that is known by its name. Its value is kept in no log, event or artifact.

    On this machine the value is an environment variable of that name. `reveal()` returns the value. From then on, the
    value is taken out of everything that the code prints or raises, and a result that holds the value is not stored.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if not isinstance(cast("object", name), str) or not name or "=" in name or "\0" in name:
            raise UsageError("a secret is given by its name", hint='`fw.Secret("API_KEY")`')
        self.name = name
        redaction.know(name, os.environ.get(name, ""))

    def reveal(self) -> str:
        """Return the value.

        Raises:
            UsageError: there is no such secret where this code runs.
        """
        try:
            value = os.environ[self.name]
        except KeyError:
            raise UsageError(
                f"there is no secret {self.name!r} here",
                hint=f"set it: `export {self.name}=…`, then run again",
            ) from None
        redaction.know(self.name, value)
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.name == self.name

    def __hash__(self) -> int:
        return hash(("secret", self.name))

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    __str__ = __repr__
