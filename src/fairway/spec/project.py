"""The declarations of a project file: tasks, pipelines, endpoints and environments, as a host describes them.

They are facts about the user's code, read once by the process that imported it. Nothing here can call that code.
"""

import hashlib
from typing import Literal

import msgspec

from fairway.spec.quantities import Bounds, Resources


class EnvironmentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A Python with pinned packages.

    Attributes:
        requirements: lines in the form of pip, each pinned with ==, or the lines of a lock file.
        python: a version such as "3.12". Empty is the project's own.
        hashed: True when the lines have hashes, which must then match.
        complete: True when the lines name every package, so that nothing else is installed for them.
    """

    requirements: tuple[str, ...] = ()
    python: str = ""
    hashed: bool = False
    complete: bool = False

    @property
    def key(self) -> str:
        """Text that no other environment has: the beginning of a digest."""
        parts = "\n".join([self.python, *self.requirements])
        return hashlib.sha256(parts.encode()).hexdigest()[:12]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of a pipeline, in the terms of a command-line flag.

    Attributes:
        name: the name in Python. The flag is `--` and the name with dashes.
        kind: the way in which text becomes a value. "struct" comes from a JSON or TOML file, and "json" is any other
            annotation, given as JSON.
        item: the kind of the elements, for kind "list".
        choices: the allowed texts, for kind "choice".
        optional: True when None is allowed.
        required: True when there is no default.
        default: the default as a person would type it.
        annotation: the type as it is written, for help and errors.
        help: one line from the docstring.
    """

    name: str
    kind: Literal["int", "float", "bool", "str", "path", "file", "folder", "choice", "list", "struct", "json"]
    item: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False
    required: bool = False
    default: str = ""
    annotation: str = ""
    help: str = ""


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A task and its settings.

    Attributes:
        name: the declared name, unique in a project.
        outputs: the number of elements when the result is declared `tuple[A, B]`, and 0 for an undivided result.
        retries: the number of further attempts after a failure of the user's code.
        timeout: the seconds that an attempt may take; 0 means no limit.
        cache: True when the result of an equal earlier step may be used.
        environment: the environment. None is the project's own.
        isolated: True when each attempt gets a host of its own wherever the target can give it one.
    """

    name: str
    outputs: int = 0
    resources: Resources = Resources()
    retries: int = 0
    timeout: float = 0.0
    cache: bool = False
    environment: EnvironmentSpec | None = None
    isolated: bool = False


class PipelineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline: its parameters, and the first line of its documentation.

    Attributes:
        schedule: the five fields of cron for `fairway schedule`. It is empty without a schedule of its own.
        timezone: the time zone that the fields are meant in.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    doc: str = ""
    schedule: str = ""
    timezone: str = ""


class EndpointSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A custom endpoint. A `batched` one takes a list of inputs and returns a list of outputs."""

    name: str
    batched: bool = False
    replicas: Bounds = Bounds()
    private: bool = False
    doc: str = ""


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A source file of the project, as it was imported.

    Attributes:
        path: the path below the folder that its modules are imported from, with forward slashes.
        place: the path at which the host found it.
        digest: the sha256 of its content.
        size: the number of its bytes.
        executable: True when its owner may run it as a program.
        secret: the name of a secret whose value the file holds, so that its content is not stored. It is usually empty.
    """

    path: str
    place: str
    digest: str
    size: int
    executable: bool = False
    secret: str = ""


class ProjectSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a project file declares.

    Attributes:
        path: the absolute path of the file. It is empty for a project that lives in a notebook.
        name: the name of the module.
        source: the digest of the bundle of `files`. It is empty until the bundle is stored.
        files: the project's own source files.
        environment: the digest of the interpreter's version and the installed distributions.
        packages: the list of which `environment` is the digest, one distribution a line.
        machine: the machine that imported the project, for people.
    """

    path: str
    name: str
    source: str = ""
    files: tuple[SourceFile, ...] = ()
    environment: str = ""
    packages: str = ""
    machine: str = ""
    python: str = ""
    tasks: tuple[TaskSpec, ...] = ()
    pipelines: tuple[PipelineSpec, ...] = ()
    endpoints: tuple[EndpointSpec, ...] = ()
