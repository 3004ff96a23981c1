"""The removal of runs and of versions of models: what would go, what is needed and stays, and the record of it.

The content itself goes with the next sweep of the store. Must not know who asks.
"""

from collections.abc import Iterable, Sequence

import msgspec

from fairway.engine.names import find_run
from fairway.ports import ArtifactStore, Clock, Leases, LogStore, MetadataStore
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Offer
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.event import Event, RunRemoved, VersionRemoved
from fairway.spec.history import Removal
from fairway.spec.model import Reference

_offers = msgspec.json.Decoder(list[Offer])


class Removing(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that a removal needs."""

    metadata: MetadataStore
    artifacts: ArtifactStore
    logs: LogStore
    leases: Leases
    clock: Clock

    def remove(self, names: Sequence[str], *, really: bool) -> list[Removal]:
        """Remove runs and versions such as "churn:3", all or none of them, or tell what would go.

        Raises:
            NotFound: there is no such run or version.
            UsageError: one of them is needed.
        """
        if really:
            self.metadata.require_own()
        versions = {self._version(name) for name in names if ":" in name or "@" in name}
        runs = [find_run(self.metadata, name) for name in names if ":" not in name and "@" not in name]
        whys = [
            why
            for why in (
                *map(self._needed_version, versions),
                *(self._needed_run(run, versions) for run in runs),
            )
            if why
        ]
        if whys:
            raise UsageError(whys[0][0], hint=whys[0][1])
        owners = [*runs, *(f"model {name}:{number}" for name, number in versions)]
        found = [
            Removal(
                name=owner.removeprefix("model "),
                size=sum(map(self.artifacts.size, self.metadata.owned(owner, owners))),
            )
            for owner in owners
        ]
        if really:
            now = self.clock.now()
            events = [Event(body=VersionRemoved(name, number), time=now) for name, number in sorted(versions)]
            self.metadata.append([*events, *(Event(body=RunRemoved(), run=run, time=now) for run in runs)])
            for run in runs:
                self.logs.forget(run)
        return found

    def _version(self, reference: str) -> tuple[str, int]:
        if Reference.parse(reference).mark != ":":
            raise UsageError(
                f"{reference} is removed by its number", hint="`fairway models show` lists the versions"
            )
        found = self.metadata.resolve(reference)
        return found.name, found.version

    def _needed_run(self, run: str, going: Iterable[tuple[str, int]]) -> tuple[str, str] | None:
        """Return why a run must stay, with the hint; None if it may go."""
        status = self.metadata.run(run)
        if not status.phase.ended:
            return f"run {run} is not over", f"`fairway cancel {run}` first"
        gone = {f"{name}:{number}" for name, number in going}
        for model in status.models:
            if model not in gone and self._exists(model):
                return (
                    f"run {run} made {model}, which is still there",
                    f"remove both: `fairway rm {run} {model}`",
                )
        return None

    def _exists(self, model: str) -> bool:
        try:
            self.metadata.resolve(model)
        except NotFound:
            return False
        return True

    def _needed_version(self, version: tuple[str, int]) -> tuple[str, str] | None:
        """Return why a version must stay, with the hint; None if it may go."""
        name, number = version
        for alias, named in self.metadata.aliases(name).items():
            if named == number:
                word = alias.partition("@")[2]
                return (
                    f"{alias} is {name}:{number}",
                    f"`fairway models alias {name} {word} 0` removes the alias",
                )
        for endpoint in self.metadata.endpoints():
            revision = endpoint.revision if endpoint.wanted else None
            if revision is None:
                continue
            served = [revision.model] if revision.model is not None else []
            served += [offer.version for offer in self._offered(revision.models)]
            if any((one.name, one.version) == version for one in served):
                return (
                    f"endpoint {endpoint.name} serves {name}:{number}",
                    f"`fairway deploy` another version, or `fairway undeploy {endpoint.name}`",
                )
        return None

    def _offered(self, models: Artifact | None) -> list[Offer]:
        if models is None:
            return []
        content = self.artifacts.open(models)
        return _offers.decode(content if isinstance(content, bytes) else content.read_bytes())
