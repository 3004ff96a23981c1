"""The files of a project that may declare pipelines, and new ones from templates. Nothing here imports a project."""

import os
from pathlib import Path

from fairway import templates
from fairway.local.project_listing import listed
from fairway.spec.errors import UsageError
from fairway.spec.projects import ProjectFiles, TemplateSpec

_MOST_FILES = 100
_MOST_READ = 2000
"""The Python files of a project that are looked into."""

_HEAD = 1 << 18
"""The bytes of a file that are looked at."""


class ProjectFolder:
    """The folder of a project.

    Args:
        folder: its path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> ProjectFiles:
        """Return the files that use Fairway, as far as their text tells. Shallow ones come first."""
        paths = [path for path in listed(str(self._folder)) if path.endswith(".py")]
        paths.sort(key=lambda path: (path.count("/"), path))
        texts = {path: self._text(path) for path in paths[:_MOST_READ]}
        using = {path: text for path, text in texts.items() if b"fairway" in text}
        pipelines = [path for path, text in using.items() if b"pipeline" in text]
        endpoints = [path for path, text in using.items() if b"endpoint" in text]
        return ProjectFiles(
            folder=str(self._folder),
            files=tuple(pipelines[:_MOST_FILES]),
            serving=tuple(endpoints[:_MOST_FILES]),
            templates=tuple(
                TemplateSpec(name=name, file=file, needs=needs)
                for name, (file, needs) in templates.TEMPLATES.items()
            ),
        )

    def begin(self, template: str) -> str:
        """Write a template as a new file and return its path. Raises UsageError."""
        if template not in templates.TEMPLATES:
            raise UsageError(
                f"there is no template {template[:40]!r}", hint=f"there are {', '.join(templates.TEMPLATES)}"
            )
        name, _ = templates.TEMPLATES[template]
        path = self._folder / name
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            raise UsageError(f"{name} exists already", hint=f"run it: `fairway run {name}`") from None
        with open(fd, "w", encoding="utf-8") as file:
            file.write(templates.read(template))
        return str(path)

    def _text(self, path: str) -> bytes:
        """Return the first part of a file. It is empty for a link that leads out of the project."""
        whole = self._folder / path
        try:
            if not whole.resolve().is_relative_to(self._folder.resolve()):
                return b""
            with open(whole, "rb") as file:
                return file.read(_HEAD)
        except OSError:
            return b""
