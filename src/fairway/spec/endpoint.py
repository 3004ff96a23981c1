"""Endpoints and their revisions: what is wanted of the model servers on a target, and what they are seen to do.

An endpoint is an address: a base URL that its target chose. Only the target's deployer knows what stands behind it.
"""

from typing import Literal

import msgspec

from fairway.spec.artifact import Artifact
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import whole_number

_LAST_PORT = 65535


class Bounds(msgspec.Struct, frozen=True):
    """How many workers a revision may have: a fixed number where both are equal, else an autoscaler chooses."""

    low: int = 1
    high: int = 1

    @classmethod
    def exactly(cls, count: int) -> "Bounds":
        """A fixed number."""
        return cls(count, count)

    def __contains__(self, count: int) -> bool:
        return self.low <= count <= self.high

    def nearest(self, count: int) -> int:
        """The allowed number that is nearest to `count`."""
        return max(self.low, min(count, self.high))


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one server worker; everything has one.

    Attributes:
        queue: requests that may wait; one more is answered 429 with Retry-After.
        batch: rows that are computed at once at most.
        body: bytes of a request at most.
        request_seconds: time for one answer; more is 504.
        drain_seconds: how long a stopping server goes on answering before it closes its connections.
    """

    queue: int = 256
    batch: int = 64
    body: int = 64 * 2**20
    request_seconds: float = 60.0
    drain_seconds: float = 10.0


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model version that a deployed function may ask for.

    Attributes:
        trusted: whether a run of this project made the model, so that its content may run code.
    """

    version: ModelVersion
    trusted: bool = False


class RevisionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable deployed thing: a model version, or a function of a snapshot of a project.

    A model server needs nothing but this and the artifact store. What only the log can tell is written in here: what a
    reference means, and whether content may run code. The platform reads the log again whenever it starts workers, so
    a revision of an earlier version, or one whose record says too much, starts with what the log says.

    Attributes:
        endpoint: the endpoint's name, which is also the served model's name.
        number: counts from 1 per endpoint.
        model: set when a registered model is served.
        trusted: whether a run of this project made `model`, so that its content may run code.
        function: set when a custom endpoint is served: its name in the project.
        source: snapshot of the project's files, format "folder"; set with `function`.
        module: path of the project file inside `source`.
        aliases: what "name@alias" meant when the revision was made, and as "name" the newest version then.
        models: every version that the function may ask for, as a JSON list of `Offer`; None when there was none.
        replicas: how many workers it has.
        key_digest: sha256 of the key that prediction routes need; empty where they are open on loopback.
    """

    endpoint: str
    number: int
    model: ModelVersion | None = None
    trusted: bool = False
    function: str = ""
    source: Artifact | None = None
    module: str = ""
    aliases: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    models: Artifact | None = None
    replicas: Bounds = Bounds()
    limits: ServerLimits = ServerLimits()
    key_digest: str = ""
    created: float = 0.0


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is observed.

    Attributes:
        url: where it takes requests; empty as long as nothing serves.
        address: the base URL that its target gave it.
        port: the port in `address`, 0 where it has none. It follows from `address`, whatever is given.
        wanted: the number of the revision that should answer; 0 when it is being removed.
        serving: the number of the revision that answers now; 0 when none does.
        ready: workers of the serving revision that are ready.
        workers: as a deployer sees it, living workers of all revisions; to a person, how many there should be.
        others: living workers of revisions that do not serve. Workers that only finish what they began do not count.
        reason: why it is not as wanted, with the last words of the process that failed.
        runtime: what computes the answers, as the workers say: "onnx", a format of models, or "python" for a function.
        samples: of the model's samples, how many the workers reproduced, such as "32/32"; "none" when it has none.
    """

    name: str
    url: str = ""
    address: str = ""
    port: int = 0
    wanted: int
    serving: int = 0
    ready: int = 0
    workers: int = 0
    others: int = 0
    phase: Literal["Pending", "Running", "Failed", "Stopped"] = "Pending"
    reason: str = ""
    revision: RevisionSpec | None = None
    runtime: str = ""
    samples: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "port", port_of(self.address))


class DeployRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `deploy` asks of a platform.

    Attributes:
        model: "name", "name:3" or "name@champion"; empty for a function.
        function: a function of a project, with `source` and `module` as in `RevisionSpec`.
        workers: how many workers are to answer.
        port: the port that is wished for; 0 when any will do.
    """

    name: str
    model: str = ""
    function: str = ""
    source: Artifact | None = None
    module: str = ""
    workers: int = 2
    private: bool = False
    port: int = 0
    limits: ServerLimits = ServerLimits()

    @property
    def wish(self) -> str:
        """The address that is wished for, in words that a deployer reads; empty when any will do."""
        return str(self.port) if self.port else ""


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `deploy`: the endpoint once the new revision answers, and its key, shown this once."""

    status: EndpointStatus
    replaced: int = 0
    key: str = ""


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that one worker process of the model server is told, as a JSON file.

    Attributes:
        store: place of the artifact store, which is only read.
        metrics: directory in which the workers of a revision on one machine share their counters.
        listen: "HOST:PORT" to listen on; empty for a worker that inherits a listening descriptor.
        control: name of the Unix socket on which the worker takes commands, in the folder that its command line names;
            empty for a worker that is stopped by a signal and asked over HTTP.
        hosts: values of the Host header that are accepted.
        project: directory with the unpacked `source` of a function; empty for a worker that unpacks it by itself.
    """

    revision: RevisionSpec
    store: str
    metrics: str
    listen: str = ""
    control: str = ""
    hosts: tuple[str, ...] = ()
    project: str = ""


def request_url(address: str, revision: RevisionSpec) -> str:
    """Where a revision takes requests, below the address of its endpoint."""
    base = f"{address.rstrip('/')}/"
    return f"{base}v2/models/{revision.endpoint}/infer" if revision.model is not None else base


def port_of(address: str) -> int:
    """The port that a base URL names; 0 when it names none."""
    host = address.partition("://")[2].partition("/")[0]
    return whole_number(host.rpartition(":")[2], _LAST_PORT) or 0 if ":" in host else 0
