"""The ports: what the engine, the runner and the programs need of the world, as Protocols.

An adapter never imports this module. It fits by shape. `wiring` names adapters, and there the type checker compares the
two.

The rule for store calls on an event loop: the loop of engines of runs answers no requests. So short synchronous calls of a
store may block it. A slow disk then delays those runs, which wait for it anyway: their log has one writer. A part that
shares its loop with requests (the engine of endpoints, the platform's API) makes every call in a thread that writes, or that
reads the log or content, because all requests would wait with it. Reading a small table, such as that of endpoints, may stay
on the loop. Files beside the stores, such as that of webhooks, are read in a thread wherever several runs share a loop.
Calls of an executor, a host or a deployer that wait for something outside are `async` and never block.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from fairway.ports.artifacts import ArtifactStore as ArtifactStore
from fairway.ports.artifacts import BlobWriter as BlobWriter
from fairway.ports.artifacts import Swept as Swept
from fairway.ports.leases import Leases as Leases
from fairway.ports.logs import LogStore as LogStore
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import EndpointStatus, RevisionSpec
from fairway.spec.evaluation import Evaluation
from fairway.spec.event import Event
from fairway.spec.history import START, Comparison, Position, RunQuery, RunRecord
from fairway.spec.model import Candidate, Lineage, ModelSummary, ModelVersion
from fairway.spec.places import Attempt, Back, Gone, Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import RunStatus, RunSummary, StepResult
from fairway.spec.wire import Bind, Bound, FromHost, ToHost

if TYPE_CHECKING:
    from concurrent.futures import Future


class ResultStore(Protocol):
    """A store with one record per attempt. A record never changes: the first one that was committed counts."""

    def commit(self, result: StepResult) -> bool:
        """Write the record durably. Return False if there was one already."""
        ...

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        """Return the record; None if there is none, or a power loss cut it short."""
        ...


class MetadataStore(Protocol):
    """A store of the event log and the tables derived from it. A write that is acknowledged is durable."""

    def submit(self, events: Sequence[Event]) -> "Future[int]":
        """Queue events for the next group commit. The future gives the last seq once they are durable."""
        ...

    def append(self, events: Sequence[Event]) -> int:
        """Append events, wait until they are durable, and return the last seq."""
        ...

    def register(
        self,
        candidate: Candidate,
        lineage: Lineage,
        judge: "Callable[[Evaluation | None], None]",
        aliases: tuple[str, ...],
    ) -> ModelVersion:
        """Give a model the next number in one transaction with the gates' verdict, once per (run, step).

        `judge` gets the evaluation of the version that `gates.better_than` names, or None. It raises GateRefused.
        """
        ...

    def create_revision(self, revision: RevisionSpec) -> RevisionSpec:
        """Record a revision under the endpoint's next number and return it with that number."""
        ...

    def deeds(self, who: str = "", before: int = 0) -> Iterator[Event]:
        """Yield the events that people cause with a seq below `before`, newest first, of one person or of all."""
        ...

    def run_names(self, prefix: str = "", most: int = 0) -> list[str]:
        """Return the names of runs that start with `prefix`, newest first; with `most`, of the first so many by name.

        Among the first is always the run with exactly that name.
        """
        ...

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """Return the newest runs, without `alive`."""
        ...

    def past(
        self, query: RunQuery, bounds: Sequence[Comparison] = (), after: Position = START, most: int = 5000
    ) -> tuple[list[RunRecord], Position]:
        """Return at most `most` runs of a query, and the position to go on from; `START` at the end.

        The condition of the query counts only as far as the bounds say.
        """
        ...

    def lacking_facts(self, names: Sequence[str]) -> list[str]:
        """Return those of some names that no metric and no parameter of a run has."""
        ...

    def fact_names(self) -> list[str]:
        """Return the names of all metrics and parameters of runs."""
        ...

    def last_change(self, run: str) -> int:
        """Return the place in the log of the last event of a run; 0 without one."""
        ...

    def run(self, name: str) -> RunStatus:
        """Return one run with all its steps. Raises NotFound."""
        ...

    def events(self, after: int = 0, run: str = "") -> Iterator[Event]:
        """Yield the events of one run or of all, in order, after seq `after`."""
        ...

    def cached(self, key: str) -> "CacheHit | None":
        """Return the newest succeeded step with this cache key; None if there is none."""
        ...

    def last_parts(self, pipeline: str, task: str, label: str) -> dict[str, str]:
        """Return the parts of the cache key of the newest similar step, to explain a miss; empty if there is none."""
        ...

    def models(self) -> list[ModelSummary]:
        """Return every model, by name."""
        ...

    def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first. Raises NotFound."""
        ...

    def registered_by(self, run: str) -> list[str]:
        """Return the names of the models that a run registered, in order, without reading the run itself."""
        ...

    def owned(self, owner: str, going: Sequence[str]) -> list[str]:
        """Return the digests that a run or "model NAME:VERSION" needs, and nothing else but what is in `going`."""
        ...

    def require_own(self) -> None:
        """Raise ForeignStore unless this user made the store on this machine."""
        ...

    def resolve(self, reference: str) -> ModelVersion:
        """Return the version that "churn" (newest), "churn:3" or "churn@champion" means. Raises NotFound."""
        ...

    def aliases(self, model: str = "") -> dict[str, int]:
        """Return the version number of every "name@alias", of one model or of all."""
        ...

    def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint as wanted, with the revision it points to. Nothing observed is filled in."""
        ...

    def revisions(self, endpoint: str) -> list[RevisionSpec]:
        """Return all revisions of an endpoint, oldest first. Raises NotFound."""
        ...

    def digests(self) -> Iterator[str]:
        """Yield the digest of every artifact that an event refers to."""
        ...


class CacheHit(Protocol):
    """An earlier result that can be used again."""

    run: str
    step: str
    outputs: tuple[Artifact, ...]


class Host(Protocol):
    """A process that has imported the project in one environment. It forks attempts on command."""

    @property
    def name(self) -> str:
        """Name that is unique among the hosts of an engine."""
        ...

    def send(self, message: ToHost) -> None:
        """Queue a message. A host that is gone ignores it. A host that is out of reach gets it when it is back."""
        ...

    async def close(self) -> None:
        """End the host and everything that it started, at once."""
        ...


Hear = Callable[[Host, FromHost | Gone | Back], None]
"""Handler of every message of a host, and of observations of the host itself. After a certain `Gone` nothing follows."""


class Home(Host, Protocol):
    """The host that described the project. It reads typed parameters, and can change the handler of its messages."""

    def listen(self, hear: Hear) -> None:
        """Pass messages to another handler from here on. A host that is gone already soon reports that to it."""
        ...

    async def bind(self, request: Bind) -> Bound:
        """Turn typed texts into values."""
        ...


class StillRunning(Protocol):
    """An attempt that an earlier engine began and that was seen to run still."""

    @property
    def step(self) -> str:
        """Name of the step."""
        ...

    @property
    def attempt(self) -> int:
        """Number of the attempt."""
        ...

    @property
    def place(self) -> Place:
        """Place where it runs."""
        ...

    @property
    def host(self) -> Host:
        """Host that runs it."""
        ...


class Executor(Protocol):
    """The place where steps run. It makes hosts, and knows the capacity and how much of it other runs leave."""

    def places(self, environment: EnvironmentSpec | None) -> Sequence[Place]:
        """Return the places for steps of an environment, the best one first. One environment always has the same places."""
        ...

    def capacity(self) -> Mapping[str, Resources]:
        """Return the resources that steps may use together, by pool of places. A pool that is not named has no bound."""
        ...

    def enter(self, run: str, changed: Callable[[str, Resources | None], None]) -> None:
        """Enter a run among those that work here. From now on it gets its share and leaves the others theirs.

        `changed` is called on the engine's loop with a pool whose capacity changed, and the new capacity; None is no bound.
        """
        ...

    def leave(self) -> None:
        """Leave, because the run is over and uses nothing. A process that dies has left as well."""
        ...

    def take(self, place: Place, wanted: Resources, step: str) -> Grant | None:
        """Take resources of a place for one attempt of a step. Return None while other runs leave no room for it."""
        ...

    def give_back(self, grant: Grant) -> None:
        """Give back a grant, because its attempt is over."""
        ...

    def wait_for(self, wanted: Resources, step: str, waiting: int = 1) -> None:
        """Enter the queue with the first step that finds no room, and stay in it: call `take` again soon.

        `waiting` is the number of steps of this run that wait for room at the same places, this one included.
        """
        ...

    def stop_waiting(self) -> None:
        """Leave the queue, because no step waits for room any more."""
        ...

    def who_else(self) -> str:
        """Return the run that leaves no room, such as "run k7m2, which uses 2 of 2 cores"; empty if none is known."""
        ...

    async def start(self, place: Place, hear: Hear, attempt: Attempt | None = None) -> Host:
        """Start a host at a place after building its environment; for `attempt` if attempts are alone there.

        Every message of the host is passed to `hear`. If the host is lost, `Gone` is passed there, once and last.

        Raises:
            HostLost: it ended before it was ready. Another host may live.
            FairwayError: the environment cannot be built, or the project not imported.
        """
        ...

    async def observe(self, run: str, hear: Hear) -> Sequence[StillRunning]:
        """Return the attempts of a run that outlived its last engine. `hear` is called only after the return.

        Their resources count as taken until they end, which the executor notices by itself. The pipeline's own process is
        never among them: an executor that finds it ends it, and the engine begins it again.
        """
        ...


class Deployer(Protocol):
    """The manager of model servers on a target, by endpoint and revision. It alone knows the parts of an address.

    On some targets a person may choose an address, and on others it follows from the endpoint's name. Whoever restarts calls
    `roll` again with the revision that is wanted, whatever the last call had done when its process ended.
    """

    def reserve(self, endpoint: str, wish: str, others: Mapping[str, str]) -> str:
        """Reserve an address for an endpoint until `remove`, and return it.

        Args:
            wish: the address that a person asked for in the target's own words, or one from here; empty if any will do.
            others: addresses of the other endpoints, by name.

        Raises:
            UsageError: no endpoint here can have the address, or somebody else has it.
        """
        ...

    async def roll(self, revision: RevisionSpec, address: str) -> EndpointStatus:
        """Start a revision beside the one that serves, then let it take over without losing a request.

        `address` comes from `reserve`, now or in an earlier platform process. Return once the revision answers
        there alone. Raises FairwayError if it does not become ready. Then nothing has changed.
        """
        ...

    async def observe(self, endpoint: str) -> EndpointStatus | None:
        """Return the observed status of an endpoint; None if none of it exists."""
        ...

    async def remove(self, endpoint: str) -> None:
        """Remove an endpoint after its open requests."""
        ...


class Clock(Protocol):
    """A clock, passed in from outside so that decisions can be tested."""

    def now(self) -> float:
        """Return the seconds since the epoch. The clock may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...
