"""Records of runs and models: questions about them are answered, and changes that need no engine are recorded.

It reads through the ports and blocks meanwhile. Must not know who asks, or which process carries a run out.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from fairway.engine import bringing, bundles, history
from fairway.engine.aside import Aside
from fairway.engine.deeds import deeds
from fairway.engine.names import find_run, is_known
from fairway.engine.outbox import NOBODY, Outbox
from fairway.engine.people import People, TokenStore
from fairway.engine.removing import Removing
from fairway.engine.schedules import Schedules
from fairway.engine.upkeep import Upkeep
from fairway.ports import ArtifactStore, Clock, Leases, LogStore, MetadataStore
from fairway.ports.webhooks import Webhooks
from fairway.spec.artifact import Artifact, sources_of
from fairway.spec.deeds import Deed, DeedQuery
from fairway.spec.endpoint import EndpointStatus
from fairway.spec.errors import NotFound, SerializationError, UsageError
from fairway.spec.event import AliasMoved, Event, RunEnded, RunNoted, RunStopAsked, RunTagged
from fairway.spec.history import Removal, RunQuery, RunRecord
from fairway.spec.log import LogLine, LogPage, LogPart, LogQuery, Outputs
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.names import check_note, check_registered, check_tag
from fairway.spec.run import Failure, Phase, Reason, RunStatus, RunSummary
from fairway.spec.update import NOTES, Cancelled

_MOST_LOG = 2**20
_TRIES = 10
_PIECE = 2**23
"""The bytes of content in one piece."""

Waiting = Callable[[str], tuple[str, str]]
"""Function that returns the step of a run that waits for room, and the run that it waits for; empty texts without one."""


class RecordParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts from which questions are answered.

    Attributes:
        place: name of the place of the stores, for people.
        upkeep: removes content, and hands out copies.
        schedules: the schedules on record.
        most: bytes of an artifact, or of a version's sources, that are returned at once.
        tokens: opens the place where tokens are kept; None where the target itself knows who may do what.
        outbox: takes messages about runs that end here.
        webhooks: makes the part for webhooks, with a caller of functions that block.
    """

    place: str
    metadata: MetadataStore
    artifacts: ArtifactStore
    logs: LogStore
    leases: Leases
    clock: Clock
    waiting: Waiting
    upkeep: Upkeep
    schedules: Schedules
    most: int = 2**62
    tokens: Callable[[], TokenStore] | None = None
    outbox: Outbox = NOBODY
    webhooks: Callable[[Aside], Webhooks] | None = None


class Records:
    """The records of one store."""

    def __init__(self, parts: RecordParts) -> None:
        self.place = parts.place
        self.upkeep = parts.upkeep
        self.schedules = parts.schedules
        self._metadata = parts.metadata
        self._artifacts = parts.artifacts
        self._logs = parts.logs
        self._leases = parts.leases
        self._clock = parts.clock
        self._waiting = parts.waiting
        self._most = parts.most
        self._tokens = parts.tokens
        self._outbox = parts.outbox
        self._make_webhooks = parts.webhooks
        self._removing = Removing(
            metadata=parts.metadata,
            artifacts=parts.artifacts,
            logs=parts.logs,
            leases=parts.leases,
            clock=parts.clock,
        )

    def find(self, prefix: str) -> str:
        """Return the run whose name starts with `prefix`; the newest for an empty one.

        Raises:
            NotFound: there is no such run.
            UsageError: several runs have such a name.
        """
        if prefix:
            return find_run(self._metadata, prefix)
        newest = self._metadata.runs(1)
        if not newest:
            raise NotFound(f"there is no run yet in {self.place}", hint="`fairway run FILE`")
        return newest[0].name

    def runs(self, limit: int) -> list[RunSummary]:
        """Return the newest runs. `alive` tells whether an engine is at work on them."""
        return [
            msgspec.structs.replace(run, alive=not run.phase.ended and bool(self._leases.holder(run.name)))
            for run in self._metadata.runs(limit)
        ]

    def past(self, query: RunQuery) -> list[RunRecord]:
        """Return the runs that a query asks for, newest first. Raises NotFound, UsageError."""
        return history.past(self._metadata, self._leases, query)

    def run(self, name: str) -> RunStatus:
        """Return one run with all its steps. A step that other runs leave no room for says so. Raises NotFound."""
        status = self._metadata.run(name)
        alive = not status.phase.ended and bool(self._leases.holder(name))
        status = msgspec.structs.replace(status, alive=alive)
        step, whom = self._waiting(name) if alive else ("", "")
        if not step:
            return status
        why = f"waits for {whom or 'other runs'}"
        steps = tuple(
            msgspec.structs.replace(one, why=why) if one.spec.name == step and not one.phase.ended else one
            for one in status.steps
        )
        return msgspec.structs.replace(status, steps=steps)

    def change(self, run: str) -> int:
        """Return the place in the log of the last event of a run; 0 without one."""
        return self._metadata.last_change(run)

    def outputs(self, run: str) -> Outputs:
        """Return the attempts of a run that have output. Raises NotFound."""
        self._known(run)
        # Ask first: if nobody is at work by now, the output that is read after that is all that there will be.
        alive = bool(self._leases.holder(run))
        printed = [(step, attempt) for step, attempt in self._logs.attempts(run) if step != NOTES]
        return Outputs(attempts=printed, alive=alive)

    def logs(self, run: str, step: str, attempt: int, offset: int) -> LogPage:
        """Return complete lines that an attempt printed, from an offset on. Raises NotFound."""
        self._known(run)
        lines, behind = self._logs.read(run, step, attempt, offset, _MOST_LOG)
        shown = [LogLine(step=step, attempt=attempt, time=time, text=text) for time, text in lines]
        return LogPage(lines=shown, offset=behind)

    def log(self, run: str, query: LogQuery) -> LogPart:
        """Return the part of an attempt's output that a query asks for. Raises NotFound."""
        self._known(run)
        return self._logs.part(run, query)

    def read(self, artifact: Artifact) -> bytes:
        """Return the content of an artifact that is one file.

        Raises:
            SerializationError: it is a folder, or too large.
            CorruptArtifact: it is damaged.
        """
        if artifact.files:
            raise SerializationError("a folder is not sent")
        content = self._artifacts.open(artifact)
        if isinstance(content, bytes):
            return content
        if content.stat().st_size > self._most:
            raise SerializationError(f"it is larger than {self._most} bytes, so it is not sent")
        return content.read_bytes()

    def piece(self, digest: str, offset: int) -> bytes:
        """Return a piece of the content with a digest, from an offset on; empty behind its end. Raises NotFound, StorageError."""
        with open(self._blob(digest), "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(_PIECE) or b""

    def bring(self, digest: str, target: Path, *, check: bool) -> None:
        """Write the content with a digest to a new file. Raises NotFound, StorageError, and no file is left then."""
        bringing.copy(self._blob(digest), digest, target, check=check)

    def models(self) -> list[ModelSummary]:
        """Return every model, by name."""
        return self._metadata.models()

    def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first. Raises NotFound."""
        return self._metadata.versions(model)

    def resolve(self, reference: str) -> ModelVersion:
        """Return the version that a reference means. Raises NotFound."""
        return self._metadata.resolve(reference)

    def aliases(self, model: str) -> dict[str, int]:
        """Return the version number of every "name@alias", of one model or of all."""
        return self._metadata.aliases(model)

    def alias(self, model: str, alias: str, version: int) -> ModelVersion:
        """Let an alias name a version; 0 removes it. Return the version that it names or named. Raises NotFound, UsageError."""
        self._metadata.require_own()
        if version:
            check_registered(alias)
            found = self._metadata.resolve(f"{model}:{version}")
        else:
            found = self._metadata.resolve(f"{model}@{alias}")
        self._metadata.append([Event(body=AliasMoved(model, alias, version), time=self._clock.now())])
        return found

    def sources(self, reference: str) -> dict[str, str]:
        """Return the source files that travel with a version, by name. Raises NotFound."""
        candidate = self._metadata.resolve(reference).candidate
        if not candidate.artifact.code:
            return {}
        if sum(file.size for file in candidate.sources) > self._most:
            raise SerializationError(f"the sources of {reference} are too many to be shown")
        folder = self._artifacts.open(sources_of(candidate.artifact))
        assert isinstance(folder, Path)
        return {
            file.path: (folder / file.path).read_text(encoding="utf-8", errors="replace")
            for file in candidate.sources
        }

    def code(self, run: str) -> dict[str, str | None]:
        """Return the source files of a run's last work, by path; None for a file that is not kept.

        Raises:
            NotFound: there is no such run, or none of its code is on record.
            SerializationError: they are too many to be shown.
        """
        status = self._metadata.run(run)
        if not status.code:
            raise NotFound(
                f"run {run} has no source files on record: it is of a notebook, or of an earlier version",
                hint=f"`fairway show {run}` says which file it was",
            )
        if sum(file.size for file in self._artifacts.files(status.code)) > self._most:
            raise SerializationError(f"the sources of run {run} are too many to be shown")
        return bundles.texts(status.code, self._artifacts)

    def tag(self, run: str, tag: str, *, present: bool) -> None:
        """Put a word on a run, or take it off. Raises NotFound, UsageError."""
        self._metadata.require_own()
        check_tag(tag)
        self._known(run)
        self._metadata.append([Event(body=RunTagged(tag, present), run=run, time=self._clock.now())])

    def note(self, run: str, text: str) -> None:
        """Write a text on a run. An empty text removes it. Raises NotFound, UsageError."""
        self._metadata.require_own()
        check_note(text)
        self._known(run)
        self._metadata.append([Event(body=RunNoted(text), run=run, time=self._clock.now())])

    def remove(self, names: list[str], *, really: bool) -> list[Removal]:
        """Remove runs and versions, all or none; without `really`, tell what would go. Raises NotFound, UsageError."""
        return self._removing.remove(names, really=really)

    def deployed(self) -> list[EndpointStatus]:
        """Return every endpoint on record, also those that were removed. Nothing is observed."""
        return self._metadata.endpoints()

    def cancel(self, run: str) -> Cancelled:
        """Ask the engine of a run to stop, or record that an interrupted run will not go on.

        Raises:
            UsageError: the run is over.
        """
        self._metadata.require_own()
        if not self._metadata.run(run).phase.ended:
            # The engine of the run may be another process, which cannot know who asks.
            self._metadata.append([Event(body=RunStopAsked(), run=run, time=self._clock.now())])
        for left in reversed(range(_TRIES)):
            if self._leases.ask_to_stop(run):
                return Cancelled(run, stopping=True)
            try:
                ended = self._end_interrupted(run)
            except UsageError:
                # An engine took the lease meanwhile, or is starting and cannot be asked yet. Try again.
                if not left:
                    raise
                continue
            if not ended:
                raise UsageError(f"run {run} is over already", hint=f"`fairway show {run}`")
            break
        return Cancelled(run, stopping=False)

    def people(self, aside: Aside) -> People:
        """Return the people of the platform, with a caller of functions that block."""
        return People(self._tokens, self._metadata, self._clock, aside)

    def webhooks(self, aside: Aside) -> Webhooks:
        """Return the part of the platform for webhooks, with a caller of functions that block. Raises UsageError."""
        if self._make_webhooks is None:
            raise UsageError("this platform tells nobody of the end of runs")
        return self._make_webhooks(aside)

    def deeds(self, query: DeedQuery) -> list[Deed]:
        """Return the deeds of people that a query asks for, newest first."""
        return deeds(self._metadata, query)

    def _end_interrupted(self, run: str) -> bool:
        """Record the end of a run that nobody works on. Return False if it has ended.

        Raises:
            UsageError: somebody works on it.
        """
        with self._leases.take(run):
            found = self._metadata.run(run)
            if found.phase.ended:
                return False
            failure = Failure(reason=Reason.CANCELLED, message="cancelled after it was interrupted")
            ended, now = RunEnded(Phase.CANCELLED, failure), self._clock.now()
            facts = self._outbox.facts(found.spec, found.started, ended)
            self._metadata.append([Event(body=body, run=run, time=now) for body in facts])
            self._outbox.recorded()
            return True

    def _blob(self, digest: str) -> Path:
        """Return the path of a blob, which may be damaged. Raises NotFound, StorageError."""
        # Whoever takes the content compares it with its digest. So it is read once and not twice.
        found = self._artifacts.open(Artifact(format="", digest=digest, size=-1), verified=True)
        assert isinstance(found, Path)
        return found

    def _known(self, run: str) -> None:
        if not is_known(self._metadata, run):
            raise NotFound(f"there is no run {run!r}", hint="`fairway runs` lists them")
