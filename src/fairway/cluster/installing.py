"""The verbs of an installation: install, upgrade and uninstall.

Everything that can be refused is asked before anything is written. A new installation that does not become ready is taken
back, and an upgrade that does not is reversed.
"""

import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from fairway.cluster import applying, installed, manifests, preflight, readying, removing
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import AlreadyThere
from fairway.cluster.manifests import Settings, Source
from fairway.cluster.pods import INSTALL_LABEL, MANAGED_BY
from fairway.cluster.preflight import InstallError, Order, with_cache, with_image, with_owner
from fairway.spec.errors import FairwayError, NotFound, UsageError

Note = Callable[[str], None]
Push = Callable[[Source, str], Awaitable[str]]
"""A function that pushes the image of this version and returns its name by digest."""

_PRUNED = (
    kinds.SERVICE,
    kinds.NETWORK_POLICY,
    kinds.ROLE_BINDING,
    kinds.ROLE,
    kinds.SERVICE_ACCOUNT,
    kinds.CONFIG_MAP,
)
_OWN = f"app.kubernetes.io/name=fairway,{MANAGED_BY}=fairway,{INSTALL_LABEL}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a verb.

    Attributes:
        settings: the installation that is there now, or that a dry run was about.
        changed: False if nothing had to be done.
        seconds: the seconds until it was ready.
    """

    settings: Settings
    changed: bool = True
    seconds: float = 0.0


async def install(
    kube: Kubernetes, order: Order, push: Push, note: Note, *, dry_run: bool = False
) -> Outcome:
    """Install Fairway in the namespace, and wait until it is ready.

    An installation of the same version that is ready is left alone. One that is not ready is completed.

    Raises:
        FairwayError: there is another version, a right is missing, the cluster refuses an object, or the control plane
            did not become ready. Nothing of a new installation stays.
    """
    began = time.monotonic()
    await preflight.check_place(kube)
    await preflight.check_keeper(kube, "install")
    existing = await installed.find(kube)
    if existing is not None:
        return await _completed(kube, existing, order, note, dry_run=dry_run)
    if not (order.image or order.source.registry or dry_run):
        raise _no_image("install")
    try:
        await preflight.check_names(kube)
        settings, has_data = await preflight.plan(kube, order)
        # The volume of an earlier installation may be Helm's, or have been applied with kubectl.
        await preflight.ask(kube, settings, note, force=has_data)
    except FairwayError as error:
        # What is in the way may be the objects of an install that has begun since the first look.
        raise (_at_once(kube) if await _has_begun(kube) else error) from None
    if dry_run:
        return Outcome(settings=settings, changed=False)
    settings = with_image(settings, order.image or await push(settings.source, settings.install.platform))
    try:
        settings = await _create(kube, settings, note)
        await readying.wait(kube, order.seconds, note)
    except AlreadyThere:
        raise _at_once(kube) from None
    except FairwayError as error:
        note("takes back what it made")
        raise await _taken_back(kube, error, note, keep_data=has_data) from None
    return Outcome(settings=settings, seconds=time.monotonic() - began)


async def upgrade(
    kube: Kubernetes, order: Order, push: Push, note: Note, *, dry_run: bool = False
) -> Outcome:
    """Bring the installation to the version of this command. Its identity, its volume and its data stay.

    Raises:
        FairwayError: there is none, it is newer, the cluster refuses an object, or the new control plane did not become
            ready. The one before is put back then.
    """
    began = time.monotonic()
    await preflight.check_place(kube)
    await preflight.check_keeper(kube, "upgrade")
    existing = await installed.find(kube)
    if existing is None:
        raise NotFound(
            f"Fairway is not installed in namespace {kube.access.namespace!r}",
            hint=f"`fairway install --namespace {kube.access.namespace}`",
        )
    before = existing.settings
    preflight.check_upgrade(before.install.version, order.version)
    newer = before.install.version != order.version
    if newer and not (order.image or order.source.registry or before.source.registry or dry_run):
        raise _no_image("upgrade")
    wanted = with_owner(_changed(before, order), existing.owner)
    await preflight.ask(kube, wanted, note, force=True)
    if dry_run:
        return Outcome(settings=wanted, changed=False)
    wanted = with_image(wanted, await _next_image(before, wanted, order, push))
    if wanted == before and await readying.is_ready(kube):
        return Outcome(settings=before, changed=False)
    try:
        await applying.apply_all(kube, manifests.render(wanted), force=True)
        await readying.wait(kube, order.seconds, note)
    except FairwayError as error:
        note(f"puts version {before.install.version} back")
        raise await _put_back(kube, before, error, order, note) from None
    await _prune(kube, wanted)
    return Outcome(settings=wanted, seconds=time.monotonic() - began)


async def uninstall(
    kube: Kubernetes,
    note: Note,
    *,
    keep_data: bool = False,
    keep_endpoints: bool = False,
    stop_runs: bool = False,
) -> list[removing.Left]:
    """Remove the installation, and return what is still there. The control plane need not live.

    Args:
        keep_data: leave the volume of the store.
        keep_endpoints: leave the endpoints, which answer on.
        stop_runs: end runs that are at work.

    Raises:
        FairwayError: there is none, or runs are at work and `stop_runs` is False.
    """
    namespace = kube.access.namespace
    await preflight.check_keeper(kube, "uninstall")
    if not await removing.is_there(kube, data_counts=not keep_data, endpoints_count=not keep_endpoints):
        raise NotFound(
            f"Fairway is not installed in namespace {namespace!r}",
            hint=f"`{kube.access.kubectl} get configmap -A -l {MANAGED_BY}=fairway` looks elsewhere",
        )
    live = await removing.count_live(kube)
    if live and not stop_runs:
        raise InstallError(
            f"{live} {'pods' if live > 1 else 'pod'} of runs are at work in namespace {namespace!r}",
            hint="wait for them, or stop them: `fairway uninstall --yes`",
        )
    return await removing.remove(kube, keep_data=keep_data, keep_endpoints=keep_endpoints, note=note)


async def _has_begun(kube: Kubernetes) -> bool:
    """Tell whether there is an installation by now. An API server that does not say so does not count."""
    with suppress(FairwayError):
        return await installed.find(kube) is not None
    return False


def _at_once(kube: Kubernetes) -> FairwayError:
    return InstallError(
        f"somebody else installs Fairway in namespace {kube.access.namespace!r} at this moment",
        hint="wait, and run the command again",
    )


def _no_image(verb: str) -> FairwayError:
    return UsageError(
        "there is no image of this version: name a registry that you can push to and the nodes can pull from",
        hint=f"`fairway {verb} --registry ghcr.io/acme`, or `--image` with an image by digest",
    )


async def _next_image(before: Settings, wanted: Settings, order: Order, push: Push) -> str:
    """Return the image to upgrade to. Where nothing is said and nothing is newer, it is the one that is there."""
    if order.image:
        return order.image
    if wanted.source.registry:
        return await push(wanted.source, wanted.install.platform)
    return before.install.image


async def _completed(
    kube: Kubernetes, existing: installed.Installed, order: Order, note: Note, *, dry_run: bool
) -> Outcome:
    """Return the installation that is there, after it is ready."""
    began = time.monotonic()
    settings = with_owner(existing.settings, existing.owner)
    preflight.check_version(settings.install.version, order.version, kube)
    if dry_run or await readying.is_ready(kube):
        return Outcome(settings=settings, changed=False)
    note("completes the installation that is there")
    await applying.apply_all(kube, manifests.render(settings), force=True)
    await readying.wait(kube, order.seconds, note)
    return Outcome(settings=settings, seconds=time.monotonic() - began)


async def _create(kube: Kubernetes, settings: Settings, note: Note) -> Settings:
    """Write all objects, and return the settings with their owner. Raises AlreadyThere if another install was first."""
    config, *_ = manifests.render(settings)
    # Created and not applied: of two commands at the same moment, one loses here.
    made = await kube.create(kinds.CONFIG_MAP, config, type=removing.Member)
    settings = with_owner(settings, made.metadata.uid)
    objects = manifests.render(settings)
    note(f"makes {len(objects)} objects")
    # A create and an apply count as two managers of a field, also if the same program does both.
    await applying.apply_all(kube, objects, force=True)
    return settings


def _changed(before: Settings, order: Order) -> Settings:
    """Return settings for the version that is wanted. The volume can only grow, and its class cannot change."""
    source = order.source if order.source.registry else before.source
    install = msgspec.structs.replace(
        before.install,
        version=order.version,
        pull_secrets=order.pull_secrets or before.install.pull_secrets,
        registry=order.source.typed or before.install.registry,
        cloud=order.cloud or before.install.cloud,
        platform=order.platform or before.install.platform or preflight.usual_platform(order.image, source),
    )
    if order.size and order.size < before.size:
        raise InstallError(
            "the store's volume cannot become smaller", hint="leave `--size` out, or name a larger one"
        )
    changed = msgspec.structs.replace(
        before,
        install=order.pods.applied(install),
        size=max(before.size, order.size),
        source=source,
        store_identity=order.store_identity or before.store_identity,
        store_secret=order.store_secret or before.store_secret,
    )
    return with_cache(changed)


async def _taken_back(kube: Kubernetes, error: FairwayError, note: Note, *, keep_data: bool) -> FairwayError:
    """Remove a new installation, and return the error with what is left of it."""
    try:
        # Endpoints that are there were left by an earlier installation.
        left = await removing.remove(kube, keep_data=keep_data, keep_endpoints=True, note=note)
    except FairwayError as second:
        return InstallError(
            f"{error.message}; what was made could not be taken back: {second.message}",
            hint="`fairway uninstall` removes it",
            details=error.details,
        )
    hint = _lasting(error, "install")
    if not left:
        return type(error)(error.message, hint=hint, details=error.details)
    named = ", ".join(f"{one.kind} {one.name}" for one in left)
    return InstallError(
        f"{error.message} ({named} could not be taken back yet)",
        hint=hint,
        details=error.details,
    )


async def _put_back(
    kube: Kubernetes, before: Settings, error: FairwayError, order: Order, note: Note
) -> FairwayError:
    """Write the objects of the version before, and return the error with how that ended."""
    try:
        await applying.apply_all(kube, manifests.render(before), force=True)
        await readying.wait(kube, order.seconds, note)
    except FairwayError as second:
        ending = f"version {before.install.version} did not come back either: {second.message}"
    else:
        ending = f"version {before.install.version} is back and ready"
    return InstallError(f"{error.message}; {ending}", hint=_lasting(error, "upgrade"), details=error.details)


def _lasting(error: FairwayError, verb: str) -> str:
    """Return the hint of an error. One that shows an object which is gone by now is replaced."""
    shows_what_is_gone = re.search(r"`kubectl [^`]*(describe (pod|pvc|deployment) |logs )", error.hint)
    return f"mend that, then run `fairway {verb}` again" if shows_what_is_gone else error.hint


async def _prune(kube: Kubernetes, settings: Settings) -> None:
    """Delete objects of earlier versions that this version does not have."""
    names = {(one.kind, one.metadata.name) for one in manifests.render(settings)}
    for kind in _PRUNED:
        for member in (await kube.list(kind, labels=_OWN, type=removing.Member)).items:
            if (kind.name, member.metadata.name) not in names:
                await kube.delete(kind, member.metadata.name, uid=member.metadata.uid)
