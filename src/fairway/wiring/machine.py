"""The parts of this machine: its clock, its stores, and the engine of its endpoints."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.spec.errors import NotFound
from fairway.wiring import settings

if TYPE_CHECKING:
    from fairway.engine.endpoints import EndpointEngine
    from fairway.engine.records import Records, Waiting
    from fairway.local.deployer import LocalDeployer
    from fairway.local.health import HealthLook
    from fairway.local.leases import FileLeases
    from fairway.local.sealed_file import SealedFile
    from fairway.local.tokens import Tokens
    from fairway.ports import Leases
    from fairway.spec.artifact import Artifact, Node
    from fairway.spec.host import HostSetup
    from fairway.spec.upkeep import Check, Health, Snapshot, Tried
    from fairway.stores import FileArtifacts, FileLogs, FileResults
    from fairway.stores.copies import StoreCopies
    from fairway.stores.metadata import SqliteMetadata
    from fairway.stores.objects import ObjectArtifacts


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return the seconds since the epoch. The clock may jump."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


class LocalStores:
    """The stores of this machine's target. Each one is opened when it is first used.

    Args:
        root: directory of the store.
        artifacts: the artifacts, if they are not in that directory.
    """

    def __init__(self, root: Path, artifacts: "ObjectArtifacts | None" = None) -> None:
        from fairway.stores import Layout

        self.root = root
        self.layout: Layout = Layout(root)
        self._metadata: SqliteMetadata | None = None
        self._artifacts: FileArtifacts | ObjectArtifacts | None = artifacts

    def prepare(self) -> "LocalStores":
        """Prepare the store, and make it if it does not exist.

        Raises:
            ForeignStore: this user did not make it on this machine, so nothing in it is used.
            StorageError: it cannot be written.
        """
        self.layout.prepare()
        self.metadata.require_own()
        return self

    @property
    def metadata(self) -> "SqliteMetadata":
        """The event log and its tables."""
        if self._metadata is None:
            from fairway.local import owner
            from fairway.stores.metadata import SqliteMetadata

            self._metadata = SqliteMetadata(self.layout, who=owner.name)
        return self._metadata

    @property
    def artifacts(self) -> "FileArtifacts | ObjectArtifacts":
        """Store of content by digest."""
        if self._artifacts is None:
            from fairway.stores import FileArtifacts

            self._artifacts = FileArtifacts(self.root)
        return self._artifacts

    @property
    def results(self) -> "FileResults":
        """Store of the records of attempts."""
        from fairway.stores import FileResults

        return FileResults(self.root)

    @property
    def logs(self) -> "FileLogs":
        """Store of the output of attempts."""
        from fairway.stores import FileLogs

        return FileLogs(self.root)

    def read(self, artifact: "Artifact") -> bytes:
        """Read all content of a single-file artifact."""
        content = self.artifacts.open(artifact)
        return content if isinstance(content, bytes) else content.read_bytes()

    def load(self, node: "Node") -> object:
        """Load the value of a node."""
        from fairway.runner.values import Values

        return Values(self.artifacts).from_node(node)

    def look(self, node: "Artifact") -> object:
        """Load the value of an artifact for showing it. Only plain data is read, whoever made it. Raises FairwayError."""
        from fairway.formats import look

        return look(node.format, self.artifacts.open(node), node.kind)

    def only_look(self) -> None:
        """Open the store for looking only: its files may be anybody's, and none is changed from here on."""
        from fairway.stores import FileArtifacts

        self._artifacts = FileArtifacts(self.root, looking=True)

    @property
    def leases(self) -> "FileLeases":
        """Leases on the runs of the store."""
        from fairway.local.leases import FileLeases

        return FileLeases(self.layout.root, self.layout.run)

    def waiting(self, run: str) -> tuple[str, str]:
        """Return the step of a run at work that waits for room, and the run that it waits for; empty texts without one."""
        from fairway.local.sharing import shared_folder, waits

        step, whom = waits(shared_folder(), run, str(self.root))
        return step, whom

    def setup(self, file: str, module: str, pickled: str = "") -> "HostSetup":
        """Return the setup for the host of a project."""
        from fairway.spec.host import HostSetup, ProjectCode, StorePlace

        return HostSetup(StorePlace(str(self.layout.root)), ProjectCode(file, module, pickled))

    def known_endpoint(self, name: str) -> None:
        """Refuse a name that no endpoint ever had. Raises NotFound."""
        if name not in {status.name for status in self.metadata.endpoints()}:
            raise NotFound(f"there is no endpoint {name!r}", hint="`fairway endpoints` lists them")

    def close(self) -> None:
        """Make everything durable and close the stores."""
        if self._metadata is not None:
            self._metadata.close()


def checks(root: Path) -> "list[Check]":
    """Check what this machine offers to a store, without reading the store itself."""
    from fairway.local import health

    return health.checks(root)


def endpoint_folder(root: Path, name: str) -> Path:
    """Return the folder in which an endpoint's workers leave their output."""
    from fairway.local.listening import folder

    return folder(root, name)


def records(
    stores: LocalStores,
    most: int = 2**62,
    leases: "Leases | None" = None,
    waiting: "Waiting | None" = None,
    youngest: float = 0.0,
) -> "Records":
    """Make the records of a store. They return at most `most` bytes at once.

    `leases` and `waiting` tell who works on a run and which step waits for room, if not the processes of this machine.
    Content that was used in the last `youngest` seconds is never removed.
    """
    from fairway.engine.records import RecordParts, Records
    from fairway.engine.schedules import Schedules
    from fairway.engine.upkeep import Upkeep
    from fairway.wiring import hooks

    held = leases or stores.leases
    return Records(
        RecordParts(
            place=str(stores.root),
            metadata=stores.metadata,
            artifacts=stores.artifacts,
            logs=stores.logs,
            leases=held,
            clock=SystemClock(),
            waiting=waiting or stores.waiting,
            schedules=Schedules(stores.metadata, SystemClock()),
            upkeep=Upkeep(stores.metadata, stores.artifacts, held, _Copies(stores), SystemClock(), youngest),
            most=most,
            # Those who give leases of their own are a control plane, where Kubernetes knows who may do what.
            tokens=None if leases is not None else partial(tokens, stores),
            outbox=hooks.outbox(stores) if leases is None else hooks.outbox_of_many(stores),
            webhooks=partial(hooks.webhooks, stores, shared=leases is not None),
        )
    )


class _Copies:
    """The copies of a store, and its health. The parts that make them are loaded when they are used."""

    def __init__(self, stores: LocalStores) -> None:
        self._stores = stores
        self._look: HealthLook | None = None

    def take(self) -> "Snapshot":
        """Keep the log as it is now, and list it with all that it refers to."""
        return self._made().take()

    def read(self, name: str, path: str, offset: int) -> bytes:
        """Return a piece of a part of a snapshot."""
        return self._made().read(name, path, offset)

    def tries(self) -> "list[Tried]":
        """Try the object storage of the store, and return what was found; nothing without any."""
        from fairway.stores.objects import ObjectArtifacts
        from fairway.stores.settling import try_again

        artifacts = self._stores.artifacts
        return try_again(artifacts) if isinstance(artifacts, ObjectArtifacts) else []

    def health(self) -> "Health":
        """Return the health of this machine, as far as it concerns the store."""
        if self._look is None:
            from fairway.local.health import HealthLook

            self._look = HealthLook(self._stores.root)
        return self._look.look()

    def _made(self) -> "StoreCopies":
        from fairway.stores.copies import StoreCopies

        return StoreCopies(self._stores.layout, self._stores.metadata, self._stores.artifacts)


def endpoint_engine(stores: LocalStores) -> "tuple[EndpointEngine, LocalDeployer]":
    """Make the engine and the deployer for a store's endpoints on this machine. Only one process may use them."""
    from fairway.engine.endpoints import EndpointEngine
    from fairway.local.deployer import LocalDeployer

    deployer = LocalDeployer(stores.root, stores.artifacts.open, settings.first_port() + 1)
    engine = EndpointEngine(stores.metadata, deployer, stores.artifacts, SystemClock())
    deployer.changed = engine.wake
    return engine, deployer


def token_of(root: Path) -> str:
    """Return the token of a store's platform: FAIRWAY_TOKEN, else the store's own."""
    from fairway.local import platforms

    return settings.token() or platforms.token(root, _token_seal(root))


def _token_seal(root: Path) -> Callable[[str], str]:
    """Return a function that seals a token, as only this user of the store can. Raises ForeignStore."""
    stores = LocalStores(root).prepare()
    seal = stores.metadata.admitted()
    stores.close()
    return lambda text: seal.over(b"token", text.encode())[:32]


def tokens(stores: LocalStores) -> "Tokens":
    """Return the tokens that the owner of a store gave to people."""
    from fairway.local import owner
    from fairway.local.tokens import Tokens

    stores.prepare()
    return Tokens(sealed(stores, "platform/tokens.json", b"tokens"), owner.name())


def sessions(stores: LocalStores) -> "SealedFile":
    """Return the file that keeps the sessions of browsers."""
    return sealed(stores, "platform/sessions.json", b"sessions")


def sealed(stores: LocalStores, place: str, kind: bytes) -> "SealedFile":
    """Return a file below the folder of a store that only its owner can read and change.

    Args:
        kind: a word for what is in it, so that no file can stand in for one of another kind.
    """
    from fairway.local.sealed_file import SealedFile

    return SealedFile(stores.root, place, lambda content: stores.metadata.admitted().over(kind, content))
