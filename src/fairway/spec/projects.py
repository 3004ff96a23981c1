"""The project in whose folder a platform lies: its files that may declare pipelines, and the templates to start from."""

import msgspec


class TemplateSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A template: its name, the file that it becomes, and the packages that it needs beside Fairway."""

    name: str
    file: str
    needs: str = ""


class ProjectFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a project.

    Attributes:
        folder: the folder of the project. It is empty where a platform lies in none, as on a cluster.
        files: the paths of the files that may declare pipelines, below the folder.
        serving: the paths of the files that may declare endpoint functions, below the folder.
        templates: what a new project can start from.
    """

    folder: str = ""
    files: tuple[str, ...] = ()
    serving: tuple[str, ...] = ()
    templates: tuple[TemplateSpec, ...] = ()


class BeginRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of the template that becomes a file of the project."""

    template: str


class Begun(msgspec.Struct, frozen=True):
    """The absolute path of a file that was written."""

    file: str


class FunctionsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The path, below the folder of the project, of a file whose endpoint functions are wanted."""

    file: str
