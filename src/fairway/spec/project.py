"""What a project file declares: tasks, pipelines, endpoints, environments, as a host describes them to the engine.

These are facts about the user's code, read once by the process that imported it. Nothing here can call that code.
"""

from typing import Literal

import msgspec

from fairway.spec.quantities import Resources


class EnvironmentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A Python with pinned packages.

    Attributes:
        requirements: lines as pip reads them, each pinned with ==, or the lines of a lock file.
        python: version such as "3.12"; empty is the project's own.
        hashed: whether the lines carry hashes, which are then required to match.
    """

    requirements: tuple[str, ...] = ()
    python: str = ""
    hashed: bool = False


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a pipeline, as a command-line flag sees it.

    Attributes:
        name: as in Python; its flag is `--` and the name with dashes.
        kind: how text becomes a value. "struct" comes from a JSON or TOML file; "json" is any other annotation, given as JSON.
        item: for kind "list", the kind of its elements.
        choices: for kind "choice", the texts allowed.
        optional: whether None is allowed.
        required: whether there is no default.
        default: the default as a person would type it.
        annotation: the type as written, for help and errors.
        help: one line, from the docstring.
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
    """One task and its settings.

    Attributes:
        name: as declared, unique in a project.
        outputs: number of elements when the result is declared `tuple[A, B]`; 0 for one undivided result.
        retries: further attempts after a failure of the user's code.
        timeout: seconds an attempt may take; 0 means no limit.
        cache: whether an equal earlier step's result may be used.
        environment: None is the project's own.
    """

    name: str
    outputs: int = 0
    resources: Resources = Resources()
    retries: int = 0
    timeout: float = 0.0
    cache: bool = False
    environment: EnvironmentSpec | None = None


class PipelineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline: its parameters and first line of documentation."""

    name: str
    parameters: tuple[Parameter, ...] = ()
    doc: str = ""


class EndpointSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One custom endpoint function: `batched` when it takes a list of inputs and returns a list of outputs."""

    name: str
    batched: bool = False
    workers: int = 1
    private: bool = False
    doc: str = ""


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One of the project's own source files, as it was imported.

    Attributes:
        path: below the folder that its modules are imported from, with forward slashes.
        place: where the host has found it.
        digest: sha256 of its content.
        size: its bytes.
        executable: whether its owner may run it as a program.
        secret: name of a secret whose value the file holds, so that its content is not stored; usually empty.
    """

    path: str
    place: str
    digest: str
    size: int
    executable: bool = False
    secret: str = ""


class ProjectSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that one project file declares.

    Attributes:
        path: the file, absolute; empty for a project that lives in a notebook.
        name: the module's name.
        source: digest of the bundle of `files`; empty until that is stored.
        files: the project's own source files.
        environment: digest of the interpreter's version and the installed distributions.
    """

    path: str
    name: str
    source: str = ""
    files: tuple[SourceFile, ...] = ()
    environment: str = ""
    python: str = ""
    tasks: tuple[TaskSpec, ...] = ()
    pipelines: tuple[PipelineSpec, ...] = ()
    endpoints: tuple[EndpointSpec, ...] = ()
