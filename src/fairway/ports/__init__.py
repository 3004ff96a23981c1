"""The seams of the house: what the engine, the runner and the programs need of the world, as Protocols.

An adapter never imports this module; it fits by shape, and `wiring`, which names adapters, is where the type checker
holds the two together.

The rule for store calls on an event loop: the loop of a run's engine is shared with nobody, so short synchronous calls of
a store may block it, and a slow disk then holds up that run alone. Whoever shares a loop (the engine of endpoints, the
platform's API) makes every call that writes, or that reads the log or content, in a thread: such a call waits for the disk,
and everybody's requests would wait with it. Reading a small table, such as that of endpoints, may stay on the loop.
Calls of an executor, a host or a deployer that wait for anything outside are `async` and never block.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fairway.spec.artifact import Artifact, FileEntry
from fairway.spec.endpoint import EndpointStatus, RevisionSpec
from fairway.spec.evaluation import Evaluation
from fairway.spec.event import Event
from fairway.spec.model import Candidate, Lineage, ModelSummary, ModelVersion
from fairway.spec.places import Attempt, Back, Gone, Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import RunStatus, RunSummary, StepResult
from fairway.spec.wire import Bind, Bound, FromHost, ToHost

if TYPE_CHECKING:
    from concurrent.futures import Future


class ArtifactStore(Protocol):
    """Immutable content by sha256. Written whole or not at all; safe under any number of processes."""

    def put_bytes(self, data: bytes) -> str:
        """Store `data`; returns its digest after it is durable."""
        ...

    def writer(self) -> AbstractContextManager["BlobWriter"]:
        """A file that is hashed while it is written and becomes a blob when the block ends without an error."""
        ...

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a copy of a file; returns digest and size."""
        ...

    def put_folder(self, path: Path) -> tuple[str, int]:
        """Store every regular file below `path` and their manifest; returns the manifest's digest and the total size."""
        ...

    def open(self, artifact: Artifact, *, verified: bool = False, name: str = "") -> Path | bytes:
        """The content: inline bytes, or a path that must not be written to; a folder's files lie below the path.

        The path ends in `name`, where one is given. Checks the digest unless `verified`, or this process checked
        it before. Raises CorruptArtifact, NotFound.
        """
        ...

    def exists(self, digest: str) -> bool:
        """Whether a blob is here."""
        ...

    def holds(self, artifact: Artifact) -> bool:
        """Whether all content of an artifact is here; what was found damaged is not. It is not read."""
        ...

    def renew(self, digest: str, size: int) -> bool:
        """Have a blob count as new, so that no sweep takes it; False when none of this size is here."""
        ...

    def files(self, digest: str) -> tuple[FileEntry, ...]:
        """The files that a manifest names. Raises CorruptArtifact, NotFound."""
        ...

    def sweep(self, keep: Iterable[str], *, older_than: float, dry: bool) -> "Swept":
        """Remove blobs that are not in `keep` (manifests keep their files) and are older than so many seconds."""
        ...


class BlobWriter(Protocol):
    """A binary file for writing that knows its digest once its block has ended.

    It is an `io.IOBase` at run time; `BinaryIO` is no protocol, so a type checker needs a cast where one is wanted.
    """

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Add bytes; all of them are taken."""
        ...

    def tell(self) -> int:
        """Bytes written so far; the file cannot seek."""
        ...

    def flush(self) -> None:
        """Does nothing: the content counts only once the block has ended."""
        ...

    @property
    def digest(self) -> str:
        """sha256 of what was written, in hex."""
        ...

    @property
    def size(self) -> int:
        """Bytes written."""
        ...


class Swept(Protocol):
    """What a sweep found: number of unreferenced blobs, and their bytes."""

    blobs: int
    size: int


class ResultStore(Protocol):
    """One record per attempt, created once and never changed: the first one committed is the truth."""

    def commit(self, result: StepResult) -> bool:
        """Write the record durably; False when one was there already."""
        ...

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        """The record, or None when there is none or it was cut short by a power loss."""
        ...


class LogStore(Protocol):
    """Output of attempts, line by line with time stamps; outlives the process that printed it."""

    def append(self, run: str, step: str, attempt: int, time: float, data: bytes) -> None:
        """Add output as it came; lines may arrive in pieces."""
        ...

    def close(self, run: str, step: str, attempt: int) -> None:
        """No more output will come for this attempt."""
        ...

    def read(
        self, run: str, step: str, attempt: int, offset: int = 0, most: int = 4 << 20
    ) -> tuple[list[tuple[float, str]], int]:
        """Complete lines from a byte offset with their times, and the offset behind them; `most` bytes are looked at."""
        ...

    def attempts(self, run: str) -> list[tuple[str, int]]:
        """Which attempts of a run have output: step name and number, in order of first output."""
        ...


class MetadataStore(Protocol):
    """The event log and the tables derived from it. Acknowledged means durable."""

    def submit(self, events: Sequence[Event]) -> "Future[int]":
        """Queue events for the next group commit; the future gives the last seq once they are durable."""
        ...

    def append(self, events: Sequence[Event]) -> int:
        """Append events and wait until they are durable; returns the last seq."""
        ...

    def register(
        self,
        candidate: Candidate,
        lineage: Lineage,
        judge: "Callable[[Evaluation | None], None]",
        aliases: tuple[str, ...],
    ) -> ModelVersion:
        """Give a model the next number, in one transaction with the gates' verdict; once per (run, step).

        `judge` gets the evaluation of the version that `gates.better_than` names (or None) and raises GateRefused.
        """
        ...

    def create_revision(self, revision: RevisionSpec) -> RevisionSpec:
        """Record a revision under the endpoint's next number; returns it with that number."""
        ...

    def run_names(self, prefix: str = "") -> list[str]:
        """Names of runs that start with `prefix`, newest first."""
        ...

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """The newest runs; `alive` is not filled in."""
        ...

    def run(self, name: str) -> RunStatus:
        """One run with all its steps. Raises NotFound."""
        ...

    def events(self, after: int = 0, run: str = "") -> Iterator[Event]:
        """The log in order, from behind seq `after`, of one run or of all."""
        ...

    def cached(self, key: str) -> "CacheHit | None":
        """The newest succeeded step with this cache key."""
        ...

    def last_parts(self, pipeline: str, task: str, label: str) -> dict[str, str]:
        """What the cache key of the newest like step was made of, to explain a miss; empty when there is none."""
        ...

    def models(self) -> list[ModelSummary]:
        """Every model, by name."""
        ...

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions of a model, oldest first. Raises NotFound."""
        ...

    def registered_by(self, run: str) -> list[str]:
        """Names of the models that a run registered, in order, without reading the run itself."""
        ...

    def require_own(self) -> None:
        """Raise ForeignStore unless this user made the store, on this machine."""
        ...

    def resolve(self, reference: str) -> ModelVersion:
        """The version that "churn" (newest), "churn:3" or "churn@champion" means. Raises NotFound."""
        ...

    def aliases(self, model: str = "") -> dict[str, int]:
        """What every "name@alias" means, of one model or of all."""
        ...

    def endpoints(self) -> list[EndpointStatus]:
        """Every endpoint as wanted, with the revision it points to; nothing observed is filled in."""
        ...

    def revisions(self, endpoint: str) -> list[RevisionSpec]:
        """All revisions of an endpoint, oldest first. Raises NotFound."""
        ...

    def digests(self) -> Iterator[str]:
        """Digest of every artifact that an event refers to."""
        ...


class CacheHit(Protocol):
    """An earlier result that can be used again."""

    run: str
    step: str
    outputs: tuple[Artifact, ...]


class Host(Protocol):
    """A process that has the project imported under one environment and forks attempts on command."""

    @property
    def name(self) -> str:
        """Unique among hosts of an engine."""
        ...

    def send(self, message: ToHost) -> None:
        """Queue a message. A host that is gone swallows it; one that cannot be reached gets it when it is back."""
        ...

    async def close(self) -> None:
        """End the host and everything it started, at once."""
        ...


Hear = Callable[[Host, FromHost | Gone | Back], None]
"""Takes every message of a host, and what is seen of the host itself. After a certain `Gone` nothing follows."""


class Home(Host, Protocol):
    """The host that described the project. It reads typed parameters, and whoever needs it hears it."""

    def listen(self, hear: Hear) -> None:
        """Pass messages to somebody else from here on; a host that is gone already says so soon."""
        ...

    async def bind(self, request: Bind) -> Bound:
        """Turn typed texts into values."""
        ...


class StillRunning(Protocol):
    """An attempt that an earlier engine began and that was seen to run still."""

    step: str
    attempt: int
    place: Place
    host: Host


class Executor(Protocol):
    """Where steps run: makes hosts and knows how much there is, and how much of it other runs leave."""

    def places(self, environment: EnvironmentSpec | None) -> Sequence[Place]:
        """The places for steps of an environment, the best one first; always the same ones for the same environment."""
        ...

    def capacity(self) -> Mapping[str, Resources]:
        """All that steps may use together, by pool of places. A pool that is not named has no bound."""
        ...

    def enter(self, run: str, changed: Callable[[str, Resources | None], None]) -> None:
        """A run begins to work here; from now on it gets its share and leaves others theirs.

        `changed` is called, on the engine's loop, with a pool whose capacity became another; None is no bound.
        """
        ...

    def leave(self) -> None:
        """The run is over and uses nothing. A process that dies has left as well."""
        ...

    def take(self, place: Place, wanted: Resources, step: str) -> Grant | None:
        """A part of what a place has, for one attempt of a step; None while other runs leave no room for it."""
        ...

    def give_back(self, grant: Grant) -> None:
        """The attempt is over."""
        ...

    def wait_for(self, wanted: Resources, step: str) -> None:
        """Stand in the line with the first step that there is no room for, and stay there: `take` again soon."""
        ...

    def stop_waiting(self) -> None:
        """Step out of the line: no step waits for room any more."""
        ...

    def who_else(self) -> str:
        """Who leaves no room, such as "run k7m2, which uses 2 of 2 cores"; empty when nobody is known."""
        ...

    async def start(self, place: Place, hear: Hear, attempt: Attempt | None = None) -> Host:
        """A host at a place, after its environment was built; for `attempt` where attempts are alone.

        Every message of the host is passed to `hear`. A host that is lost is told there as `Gone`, once and last.

        Raises:
            HostLost: it ended before it was ready; another may live.
            FairwayError: the environment cannot be built, or the project not imported.
        """
        ...

    async def observe(self, run: str, hear: Hear) -> Sequence[StillRunning]:
        """Attempts of a run that outlived its last engine. `hear` is called only after this has returned.

        What they use counts as taken until they end, which the executor notices by itself. The pipeline's own process is
        never among them: an executor that finds it ends it, and the engine begins it again.
        """
        ...


class Deployer(Protocol):
    """Model servers on a target, by endpoint and revision. It alone knows what an address is made of."""

    def reserve(self, endpoint: str, wish: str, others: Mapping[str, str]) -> str:
        """Keep an address for an endpoint until `remove`; returns it.

        Args:
            wish: what a person asked for in the target's own words, or an address from here; empty when any will do.
            others: addresses of the other endpoints, by name.

        Raises:
            UsageError: no endpoint here can have it, or somebody else has it.
        """
        ...

    async def roll(self, revision: RevisionSpec, address: str) -> EndpointStatus:
        """Bring a revision up beside the one that serves, then let it take over without losing a request.

        `address` is one that `reserve` gave, now or to an earlier platform process. Returns once the revision answers
        there alone. Raises FairwayError when it does not become ready; then nothing has changed.
        """
        ...

    async def observe(self, endpoint: str) -> EndpointStatus | None:
        """What is seen of an endpoint; None when nothing of it exists."""
        ...

    async def remove(self, endpoint: str) -> None:
        """Take an endpoint away after it finished what is in flight."""
        ...


class Leases(Protocol):
    """Who works on a run. A lease ends with its holder, however that ends."""

    def take(self, run: str) -> AbstractContextManager[object]:
        """Work on a run for the length of a block. Raises UsageError when somebody else does."""
        ...

    def holder(self, run: str) -> str:
        """Who works on a run, such as "process 4711"; empty when nobody does."""
        ...

    def ask_to_stop(self, run: str) -> bool:
        """Ask the holder to cancel the run; False when there was nobody to ask."""
        ...


class Clock(Protocol):
    """Time, given from outside so that decisions can be tested."""

    def now(self) -> float:
        """Seconds since the epoch; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...
