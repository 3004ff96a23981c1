"""Revisions: made from what a deployment asks for, with all the facts that only the log knows.

A model server opens no log. So the engine resolves references and decides here whether content may run code. The server
gets both inside the revision. Must not know how a revision is served.
"""

import hashlib
import secrets

import msgspec

from fairway.plan.provenance import made_here
from fairway.ports import ArtifactStore, Clock
from fairway.ports.serving import EndpointRecords
from fairway.spec.artifact import INLINE_LIMIT, Artifact
from fairway.spec.endpoint import DeployRequest, Offer, RevisionSpec
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.layers import decode_list, parse_reference
from fairway.spec.model import ModelVersion
from fairway.spec.names import is_served

_MAX_LIMIT = 2**40


class Revisions:
    """The revisions of a store's endpoints."""

    def __init__(self, metadata: EndpointRecords, artifacts: ArtifactStore, clock: Clock) -> None:
        self._metadata = metadata
        self._artifacts = artifacts
        self._clock = clock
        self._made_here: set[tuple[str, int]] = set()

    def planned(self, request: DeployRequest) -> RevisionSpec:
        """Return the revision that a request asks for, without a number yet. Raises NotFound, UsageError."""
        _check(request)
        revision = RevisionSpec(
            endpoint=request.name,
            number=0,
            replicas=request.replicas,
            limits=request.limits,
            image=request.image,
            layers=self._layers(request.image),
            created=self._clock.now(),
        )
        if request.model:
            return msgspec.structs.replace(revision, model=self._servable(request.model))
        if not request.function or request.source is None:
            raise UsageError("a deployment names a model or a function of a project")
        aliases = self._metadata.aliases()
        aliases |= {model.name: model.newest.version for model in self._metadata.models()}
        return msgspec.structs.replace(
            revision, function=request.function, source=request.source, module=request.module, aliases=aliases
        )

    def decided(self, revision: RevisionSpec) -> RevisionSpec:
        """Return the revision with the permissions of its content and the models that its function may ask for.

        The log is read each time. What the revision says of itself counts for nothing: an earlier version of Fairway wrote
        nothing there, and a forged revision would claim too much. Raises StorageError.
        """
        if revision.model is not None:
            return msgspec.structs.replace(revision, trusted=self._trusts(revision.model))
        return msgspec.structs.replace(revision, models=self._offered(revision))

    def earlier(self, current: RevisionSpec, number: int) -> RevisionSpec:
        """Return an earlier revision that served; 0 means the newest before `current`. Raises NotFound, UsageError."""
        name = current.endpoint
        served = {one.revision for one in self._metadata.deployments(name)}
        revisions = {
            found.number: found for found in self._metadata.revisions(name) if found.number in served
        }
        if not number:
            number = max((one for one in revisions if one < current.number), default=0)
            if not number:
                raise NotFound(f"{name} has no revision before {current.number} that served")
        if number == current.number:
            raise UsageError(f"revision {number} of {name} serves already")
        if number not in revisions:
            known = ", ".join(str(one) for one in revisions)
            raise NotFound(f"{name} has no revision {number} that served", hint=f"it has {known}")
        return revisions[number]

    def _servable(self, reference: str) -> ModelVersion:
        version = self._metadata.resolve(reference)
        if not version.can_be_served:
            raise UsageError(
                f"{version} was registered without a sample, so it is not known what it takes",
                hint="give `fw.register` rows of its input as `sample=`, and run the pipeline again",
            )
        for part in (version.candidate.compiled, version.candidate.artifact):
            if part is not None and not self._artifacts.holds(part):
                raise NotFound(f"the content of {version} is not in the store", hint="`fairway doctor`")
        return version

    def _layers(self, image: str) -> tuple[str, ...]:
        """Return the digests of the packages that servers fetch from the store: none if an image has them. Raises NotFound."""
        wanted = parse_reference(image)
        if wanted is None:
            return ()
        size = self._artifacts.size(wanted.digest)
        content = self._artifacts.open(Artifact(format="layer", digest=wanted.digest, size=size))
        listed = decode_list(content if isinstance(content, bytes) else content.read_bytes())
        needed = (wanted.digest, *dict.fromkeys(part for layer in listed.layers for part in layer.parts))
        if not all(map(self._artifacts.exists, needed)):
            raise NotFound(
                "the store lacks packages of the endpoint",
                hint="deploy it from the project's folder, so that they are sent",
            )
        return needed

    def _trusts(self, version: ModelVersion) -> bool:
        """Tell whether a run of this project made the model.

        Only a positive answer is remembered: the log is never shortened, but a run that goes on may still add to it.
        """
        key = (version.name, version.version)
        run = version.lineage.run
        if key not in self._made_here and run and made_here(version, self._metadata.events(run=run)):
            self._made_here.add(key)
        return key in self._made_here

    def _offered(self, revision: RevisionSpec) -> Artifact | None:
        """Store the versions that a function may ask for: all that existed of each model when it was deployed."""
        newest = {name: number for name, number in revision.aliases.items() if "@" not in name}
        offers = [
            Offer(version=version, trusted=self._trusts(version))
            for name, number in sorted(newest.items())
            for version in self._metadata.versions(name)
            if version.version <= number
        ]
        if not offers:
            return None
        data = msgspec.json.encode(offers)
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= INLINE_LIMIT:
            return Artifact(format="json", digest=digest, size=len(data), inline=data)
        if not self._artifacts.exists(digest):
            self._artifacts.put_bytes(data)
        return Artifact(format="json", digest=digest, size=len(data))


def key_of(request: DeployRequest, current: RevisionSpec | None) -> tuple[str, str]:
    """Make a new key and its digest. A private endpoint stays private and keeps its key."""
    if current is not None and current.key_digest:
        return "", current.key_digest
    if not request.private:
        return "", ""
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


def _check(request: DeployRequest) -> None:
    """Refuse a name that no endpoint can have, and numbers with which no server can be started. Raises UsageError."""
    if not is_served(request.name):
        raise UsageError(
            f"{request.name!r} cannot be an endpoint's name",
            hint="letters a to z, digits, `-`, `_` and `.`, at most 63",
        )
    request.replicas.check()
    for name, limit in msgspec.structs.asdict(request.limits).items():
        if not 0 <= limit <= _MAX_LIMIT:
            raise UsageError(f"a limit of {limit} for {name} cannot be kept", hint=f"from 0 to {_MAX_LIMIT}")
