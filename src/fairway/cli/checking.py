"""The check of a cluster for `fairway doctor`."""

import asyncio
import importlib.metadata

import msgspec

from fairway.cli import targeting
from fairway.cli.story import report, show, show_json
from fairway.cluster import canary, checking, installed
from fairway.cluster.checking import Check, State
from fairway.cluster.client.api import Kubernetes
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, FairwayError, NotAllowed
from fairway.spec.upkeep import Tried
from fairway.wiring import clusters, targets
from fairway.wiring.images import make_workshop
from fairway.wiring.targets import Target


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster to check.

    Attributes:
        registry: the registry to push a canary to. Empty for the one that the installation pushes to, if there is one.
        insecure: True for HTTP without TLS to the registry.
    """

    context: str = ""
    namespace: str = ""
    kubeconfig: str = ""
    registry: str = ""
    insecure: bool = False


def check_cluster(place: Place, *, as_json: bool) -> int:
    """Check a cluster, print what is found, and return the exit code."""
    kube = clusters.open_cluster(place.context, place.namespace, place.kubeconfig)
    checks = asyncio.run(_checks(kube, place))
    if as_json:
        show_json(checks)
    else:
        for one in checks:
            show(f"  {one.check:<10} {one.state:<8} {one.found}")
            if one.state != "ok" and one.hint:
                report(f"hint: {one.hint}")
    return EXIT_FAILED if any(one.state == "missing" for one in checks) else EXIT_DONE


async def _checks(kube: Kubernetes, place: Place) -> list[Check]:
    async with kube:
        found = await checking.check(kube, importlib.metadata.version("fairway-ml"))
        if len(found) == 1:
            return found
        return [*found, *await _store(kube, place), *await _registry(kube, place)]


async def _store(kube: Kubernetes, place: Place) -> list[Check]:
    """Return the checks of the object storage, which the control plane makes: it alone has the rights."""
    try:
        there = await installed.find(kube)
        if there is None or not there.settings.install.store:
            return []
        target = Target(
            name="doctor",
            context=place.context,
            namespace=kube.access.namespace,
            kubeconfig=place.kubeconfig,
        )
        async with targeting.closing(targets.platform(target, report)) as platform:
            tried = await platform.tries()
    except NotAllowed as error:
        return [Check("objects", "optional", f"not tried: {error.message}", error.hint)]
    except FairwayError as error:
        return [Check("objects", "missing", error.message, error.hint)]
    named = there.settings.install.store.partition("?")[0]
    return [Check("objects", _state(one), f"{named}: {one.found}", one.hint) for one in tried]


def _state(tried: Tried) -> State:
    # Artifacts are safe without it, because their name is their content.
    return "ok" if tried.ok else "optional" if tried.use == "create" else "missing"


async def _registry(kube: Kubernetes, place: Place) -> list[Check]:
    """Return the checks of the registry that is named, or that the installation pushes to."""
    registry, secrets, plain = place.registry, tuple[str, ...](), place.insecure
    try:
        there = await installed.find(kube)
        if there is not None:
            install, source = there.settings.install, there.settings.source
            secrets = install.pull_secrets
            plain = plain or (not registry and source.insecure)
            registry = registry or source.registry
        if not registry:
            hint = "`fairway doctor --registry REGISTRY` tries a push, and a pull from a node"
            return [Check("push", "optional", "no registry is known to be pushed to", hint)]
        tools = make_workshop(lambda _: None)
        order = canary.Order(
            registry=registry,
            plain=plain,
            pull_secrets=secrets,
            environment=tools.environment,
            home=tools.home,
        )
        return await canary.check(kube, order)
    except FairwayError as error:
        return [Check("push", "missing", error.message, error.hint)]
