"""Endpoints and their revisions: the model servers that are wanted on a target, and what is observed of them.

An endpoint is an address, a base URL that its target chose. Only the target's deployer knows what stands behind it.
"""

from typing import Literal

import msgspec

from fairway.spec.artifact import Artifact
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import Bounds, whole_number

_LAST_PORT = 65535
_LONGEST_DRAIN = 60.0
"""Seconds for which a draining server that others route to accepts at the most, as long as requests still come."""


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one worker of the model server. Every resource has a limit.

    Attributes:
        queue: the most requests that may wait. The next one is answered 429 with Retry-After.
        batch: the most rows that are computed at once.
        body: the most bytes of a request.
        request_seconds: the time for one answer. A longer one is answered 504.
        drain_seconds: the time in which a stopping server still answers, before it closes its connections.
    """

    queue: int = 256
    batch: int = 64
    body: int = 64 * 2**20
    request_seconds: float = 60.0
    drain_seconds: float = 10.0

    @property
    def longest_drain(self) -> float:
        """The most seconds for which a draining server that others route to accepts connections."""
        return max(self.drain_seconds, _LONGEST_DRAIN)

    def accepts_for(self, started_in: float) -> float:
        """Return the seconds for which such a server accepts at least, if it took `started_in` seconds until it was ready.

        The server that replaces it may take as long. If nobody else answers until then, requests still come here.
        """
        return min(max(self.drain_seconds, 2 * started_in), self.longest_drain)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model version that a deployed function may ask for.

    Attributes:
        trusted: True when a run of this project made the model, so that its content may run code.
    """

    version: ModelVersion
    trusted: bool = False


class RevisionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable deployment: a model version, or a function of a snapshot of a project.

    A model server needs only the revision and the artifact store. The revision therefore holds what only the log knows:
    the meaning of references, and whether content may run code. The platform reads the log again whenever it starts
    workers. A revision of an earlier version, or one whose record claims too much, starts with the facts of the log.

    Attributes:
        endpoint: the endpoint's name, which is also the served model's name.
        number: the number of the revision. It counts from 1 per endpoint.
        model: the registered model that is served, if one is.
        trusted: True when a run of this project made `model`, so that its content may run code.
        function: the name in the project of the custom endpoint that is served, if one is.
        source: the snapshot of the project's files, format "folder". It is set together with `function`.
        module: the path of the project file inside `source`.
        aliases: the version that "name@alias" meant when the revision was made. "name" is the newest version then.
        models: every version that the function may ask for, as a JSON list of `Offer`. None when there was none.
        replicas: the number of replicas. Each is a worker process of the model server.
        key_digest: the sha256 of the key that prediction routes need. It is empty if they are open on loopback.
        image: on a cluster, the image by digest whose environment serves, or the reference to layers in the store. Empty for the
            image of the installation.
        layers: the digests of the content that such a reference leads to, which the store keeps as long as the revision.
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
    image: str = ""
    layers: tuple[str, ...] = ()
    created: float = 0.0


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The observed state of an endpoint.

    Attributes:
        url: the URL that takes requests. It is empty as long as nothing serves.
        address: the base URL that the target gave the endpoint.
        port: the port in `address`, or 0 if it has none. It always follows from `address`. A given value is ignored.
        wanted: the number of the revision that should answer. It is 0 when the endpoint is being removed.
        serving: the number of the revision that answers now. It is 0 when none does.
        ready: the workers of the serving revision that are ready.
        workers: from a deployer, the living workers of all revisions. For a person, the number that there should be.
        others: the living workers of revisions that do not serve. Workers that only finish their requests do not count.
        starting: the living workers of all revisions that are not ready yet and have not failed.
        crashing: the living workers of all revisions that end again and again before they are ready.
        reason: the reason why the endpoint is not as wanted, with the last output of the process that failed.
        runtime: the runtime that the workers report: "onnx", a format of models, or "python" for a function.
        samples: the samples of the model that the workers reproduced, such as "32/32". "none" when it has no samples.
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
    starting: int = 0
    crashing: int = 0
    phase: Literal["Pending", "Running", "Failed", "Stopped"] = "Pending"
    reason: str = ""
    revision: RevisionSpec | None = None
    runtime: str = ""
    samples: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "port", port_of(self.address))


class ServerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a server printed.

    Attributes:
        endpoint: the name of the endpoint.
        revision: the number of the revision that the server serves.
        pod: the name of the pod.
        time: the time of the line, as the cluster wrote it: RFC 3339 with nanoseconds, in UTC.
        text: the line.
        previous: True if a container before the present one of the pod printed it.
    """

    endpoint: str
    revision: int
    pod: str
    time: str
    text: str
    previous: bool = False


class DeployRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request to a platform to deploy a model or a function.

    Attributes:
        model: "name", "name:3" or "name@champion". It is empty for a function.
        function: a function of a project, with `source` and `module` as in `RevisionSpec`.
        replicas: the number of replicas that answer.
        port: the requested port, or 0 when any port will do.
        image: on a cluster, the image by digest whose environment serves. Empty for the image of the installation.
        key: the key of the request. A request that is sent again has the same key, and deploys once.
    """

    name: str
    model: str = ""
    function: str = ""
    source: Artifact | None = None
    module: str = ""
    replicas: Bounds = Bounds(2, 2)
    private: bool = False
    port: int = 0
    limits: ServerLimits = ServerLimits()
    image: str = ""
    key: str = ""

    @property
    def wish(self) -> str:
        """The requested address as a text that a deployer reads. It is empty when any address will do."""
        return str(self.port) if self.port else ""


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `deploy`: the endpoint once the new revision answers, and its key, which is shown only once.

    `pending` is true in an answer that came before the change was over. The request is then sent again with its key.
    """

    status: EndpointStatus
    replaced: int = 0
    key: str = ""
    pending: bool = False


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one worker process of the model server, which it gets as a JSON file.

    Attributes:
        store: the place of the artifact store, which is only read.
        metrics: the directory in which the workers of a revision on one machine share their counters.
        listen: "HOST:PORT" to listen on, or ":PORT" for all addresses. It is empty for a worker that inherits a descriptor.
        control: the name of the Unix socket on which the worker takes commands, in the folder that its command line
            names. It is empty for a worker that is stopped by a signal and asked over HTTP.
        hosts: the values of the Host header that are accepted.
        routed: True where somebody else routes connections here and learns late that the worker ends. A worker then accepts
            on while it drains, counts as ready for as long as it accepts, and answers to its IP address as well.
        project: the directory with the unpacked `source` of a function. A worker without it unpacks `source`.
    """

    revision: RevisionSpec
    store: str
    metrics: str
    listen: str = ""
    control: str = ""
    hosts: tuple[str, ...] = ()
    routed: bool = False
    project: str = ""


def request_url(address: str, revision: RevisionSpec) -> str:
    """Return the URL that takes a revision's requests, below the address of its endpoint."""
    base = f"{address.rstrip('/')}/"
    return f"{base}v2/models/{revision.endpoint}/infer" if revision.model is not None else base


def port_of(address: str) -> int:
    """Return the port that a base URL names, or 0 when it names none."""
    host = address.partition("://")[2].partition("/")[0]
    return whole_number(host.rpartition(":")[2], _LAST_PORT) or 0 if ":" in host else 0
