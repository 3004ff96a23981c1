"""Endpoints and their revisions: what is wanted of the model servers on a target, and what they are seen to do."""

from typing import Literal

import msgspec

from fairway.spec.artifact import Artifact
from fairway.spec.model import ModelVersion


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one server worker; everything has one.

    Attributes:
        queue: requests waiting; one more is answered 429 with Retry-After.
        batch: rows computed at once at most.
        body: bytes of a request at most.
        request_seconds: time for one answer; more is 504.
        drain_seconds: how long a stopping server goes on answering before it closes its connections.
    """

    queue: int = 256
    batch: int = 64
    body: int = 64 * 2**20
    request_seconds: float = 60.0
    drain_seconds: float = 10.0


class RevisionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable deployed thing: a model version, or a function of a snapshot of a project.

    Attributes:
        endpoint: the endpoint's name, which is also the served model's name.
        number: counts from 1 per endpoint.
        model: set when a registered model is served.
        function: set when a custom endpoint is served: its name in the project.
        source: snapshot of the project's files, format "folder"; set with `function`.
        module: path of the project file inside `source`.
        aliases: what "name@alias" meant when the revision was made.
        key_digest: sha256 of the key that prediction routes need; empty where they are open on loopback.
    """

    endpoint: str
    number: int
    model: ModelVersion | None = None
    function: str = ""
    source: Artifact | None = None
    module: str = ""
    aliases: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    workers: int = 1
    limits: ServerLimits = ServerLimits()
    key_digest: str = ""
    created: float = 0.0


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is observed.

    Attributes:
        wanted: the number of the revision that should answer; 0 when it is being removed.
        serving: the number of the revision that answers now; 0 when none does.
        ready: workers of the serving revision that are ready.
        reason: why it is not as wanted, with the last words of the process that failed.
        runtime: what computes the answers, as the workers say: "onnx", a format of models, or "python" for a function.
        samples: of the model's samples, how many the workers reproduced, such as "32/32"; "none" when it has none.
    """

    name: str
    url: str
    port: int
    wanted: int
    serving: int = 0
    ready: int = 0
    workers: int = 0
    phase: Literal["Pending", "Running", "Failed", "Stopped"] = "Pending"
    reason: str = ""
    revision: RevisionSpec | None = None
    runtime: str = ""
    samples: str = ""


class DeployRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `deploy` asks of a platform. `model` is "name", "name:3" or "name@champion"; or a project's function."""

    name: str
    model: str = ""
    function: str = ""
    source: Artifact | None = None
    module: str = ""
    workers: int = 2
    private: bool = False
    port: int = 0
    limits: ServerLimits = ServerLimits()


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `deploy`: the endpoint once the new revision answers, and its key, shown this once."""

    status: EndpointStatus
    replaced: int = 0
    key: str = ""


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that one worker process of the model server is told, as a JSON file.

    Attributes:
        store: directory of the artifact store, read only.
        project: directory with the unpacked `source`, for a custom endpoint.
        hosts: values of the Host header that are accepted.
        control: name of the Unix socket on which the worker takes commands, in the folder that its command line names.
        metrics: directory shared by the workers of a revision for their counters.
    """

    revision: RevisionSpec
    store: str
    control: str
    metrics: str
    hosts: tuple[str, ...] = ()
    project: str = ""
