"""Commands that install Fairway in a namespace of a cluster, change it and remove it."""

import asyncio
import hashlib
import importlib.metadata
import re
import shlex
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import click
import msgspec

from fairway.cli import rendering, targeting
from fairway.cli.arguments import Argument
from fairway.cli.pod_flags import POD_FLAGS, pod_options
from fairway.cli.story import agreed, report, show, show_block, show_json
from fairway.cluster import installing, manifests, placing, removing, yaml
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.installing import Outcome
from fairway.cluster.manifests import Settings, Source
from fairway.cluster.pod_options import PodOptions
from fairway.cluster.preflight import UNKNOWN_IMAGE, Order, with_cache
from fairway.spec import objects
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, Interrupted, UsageError
from fairway.spec.install import PLATFORMS, Install
from fairway.spec.quantities import format_duration, parse_duration, parse_memory
from fairway.wiring import clusters

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class _Bring(Protocol):
    """A verb that brings an installation to a namespace."""

    def __call__(
        self, kube: Kubernetes, order: Order, push: installing.Push, note: installing.Note, *, dry_run: bool
    ) -> Coroutine[Any, Any, Outcome]: ...


_DISTRIBUTION = "fairway-ml"
_BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_PLACE = (
    click.option("--context", default="", help="Context of the kubeconfig; the current one by default."),
    click.option("--namespace", "-n", default="", help="Namespace; the context's by default."),
)
_IMAGE = (
    click.option("--image", default="", metavar="REFERENCE", help="Image by digest, instead of a new one."),
    click.option("--registry", default="", help="Registry to push images to, such as ghcr.io/acme."),
    click.option("--base", default="", help="Image with Python to build on, when an image is pushed."),
    click.option(
        "--python", default="", metavar="VERSION", help="Python of the base, if it does not say it."
    ),
    click.option(
        "--platform",
        type=click.Choice(PLATFORMS),
        default=None,
        help="Platform of the nodes; what they say, or linux/amd64, by default.",
    ),
    click.option("--insecure", is_flag=True, help="Speak HTTP without TLS to the registry."),
)
_STORE = (
    click.option(
        "--store", default="", metavar="URL", help="Object storage for artifacts, such as s3://BUCKET/PREFIX."
    ),
    click.option("--size", default="", help="Size of the store's volume, 10Gi by default."),
    click.option("--storage-class", default="", metavar="NAME", help="Class of the volume."),
    click.option(
        "--restore-from", default="", metavar="COPY", help="Begin with a log in --store: its name, or newest."
    ),
    click.option("--ephemeral", is_flag=True, help="Keep the store in the pod; it is lost with it."),
)
_STORE_ACCESS = (
    click.option(
        "--store-identity", default="", metavar="NAME", help="Identity in the cloud that may use --store."
    ),
    click.option("--store-secret", default="", metavar="NAME", help="Secret with the variables for --store."),
)
_PULL = (
    click.option(
        "--pull-secret",
        "pull_secrets",
        multiple=True,
        metavar="NAME",
        help="Secret with which nodes pull the image; repeat it for several.",
    ),
)
_CLOUD = (
    click.option(
        "--cloud",
        default="",
        type=click.Choice(("", *placing.CLOUDS)),
        show_choices=False,
        metavar="NAME",
        help="Whose labels nodes have: eks, gke, aks or plain; asked of the cluster by default.",
    ),
)
_WAIT = (
    click.option("--wait", default="5m", show_default=True, metavar="TIME", help="Longest wait until ready."),
    click.option("--dry-run", is_flag=True, help="Ask the cluster about everything and change nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print as JSON."),
)


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The flags of the commands here. Each command has some of them."""

    context: str = ""
    namespace: str = ""
    image: str = ""
    registry: str = ""
    base: str = ""
    python: str = ""
    platform: str | None = None
    insecure: bool = False
    store: str = ""
    store_identity: str = ""
    store_secret: str = ""
    restore_from: str = ""
    size: str = ""
    storage_class: str = ""
    ephemeral: bool = False
    pull_secrets: tuple[str, ...] = ()
    cloud: str = ""
    wait: str = "5m"
    dry_run: bool = False
    as_json: bool = False

    def order(self, pods: PodOptions) -> Order:
        """Return the installation that the flags describe, with pods as others describe them. Raises UsageError."""
        if self.store:
            objects.parse(self.store)
        elif self.restore_from:
            raise UsageError(
                "copies of a log are in object storage, and no store is named",
                hint="name the place of the earlier installation: `--store s3://BUCKET/PREFIX`",
            )
        if self.image and not _BY_DIGEST.fullmatch(self.image):
            raise UsageError(
                f"the image {self.image!r} is not named by its digest, so that nodes could run different ones",
                hint="write it as `REGISTRY/fairway@sha256:…`; `fairway image push REGISTRY` prints it",
            )
        return Order(
            version=_version(),
            image=self.image,
            source=Source(
                registry=self.registry,
                base=self.base,
                python=self.python,
                insecure=self.insecure,
            ),
            size=_size(self.size),
            storage_class=self.storage_class,
            ephemeral=self.ephemeral,
            pull_secrets=self.pull_secrets,
            cloud=self.cloud,
            platform=self.platform or "",
            seconds=parse_duration(self.wait),
            store=self.store,
            store_identity=self.store_identity,
            store_secret=self.store_secret,
            restore=self.restore_from,
            pods=pods,
        )


def _options(*groups: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Return a decorator that gives a command groups of options, in their order."""

    def decorate(command: F) -> F:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate


@targeting.targeted
@click.command("install")
@_options(_PLACE, _IMAGE, _STORE, _STORE_ACCESS, _PULL, _CLOUD, POD_FLAGS, _WAIT)
def install_command(**given: Any) -> int:
    """Install Fairway in a namespace of a cluster, with your kubeconfig and no right beyond the namespace.

    The image is pushed to --registry first, without Docker, or named with --image. Everything is asked before anything
    is written, and an installation that does not become ready is taken back.

    \b
    Example:
      fairway install --namespace ml-team --registry ghcr.io/acme
    """
    again = "run `fairway install` again to complete it, or `fairway uninstall`"
    return _brought(given, installing.install, "installed", again)


@targeting.targeted
@click.command("upgrade")
@_options(_PLACE, _IMAGE, (_STORE[1],), _STORE_ACCESS, _PULL, _CLOUD, POD_FLAGS, _WAIT)
def upgrade_command(**given: Any) -> int:
    """Bring Fairway in a namespace to the version of this command. Its data stays.

    If the new control plane does not become ready, the one before is put back.

    \b
    Example:
      fairway upgrade --namespace ml-team --registry ghcr.io/acme
    """
    return _brought(given, installing.upgrade, "upgraded", "run `fairway upgrade` again to complete it")


@targeting.targeted
@click.command("uninstall")
@_options(_PLACE)
@click.option("--keep-data", is_flag=True, help="Leave the volume with runs, models and artifacts.")
@click.option("--keep-endpoints", is_flag=True, help="Leave the endpoints, which answer on.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask, and stop runs that are at work.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def uninstall_command(
    context: str, namespace: str, keep_data: bool, keep_endpoints: bool, yes: bool, as_json: bool
) -> int:
    """Remove Fairway from a namespace, also when its control plane is dead.

    Nothing stays but, with --keep-data, the volume of the store. A later install takes that over. With --keep-endpoints the
    endpoints go on as they are, and nobody looks after them but Kubernetes. A later uninstall removes them.

    \b
    Example:
      fairway uninstall --namespace ml-team --keep-data
    """
    kube = _cluster(context, namespace)
    if not yes and not keep_data:
        _confirm(kube)
    left = _carried_out(
        kube,
        lambda: installing.uninstall(
            kube, _note, keep_data=keep_data, keep_endpoints=keep_endpoints, stop_runs=yes
        ),
        "run `fairway uninstall` again to remove the rest",
    )
    if as_json:
        kept = {"data": keep_data, "endpoints": keep_endpoints}
        show_json({"namespace": kube.access.namespace, "left": left, **kept})
    elif left:
        _report_left(kube, left)
    else:
        stays = f"; the volume {manifests.STORE_CLAIM} stays" if keep_data else ""
        stays += "; endpoints answer on" if keep_endpoints else ""
        report(f"Fairway is removed from namespace {kube.access.namespace}{stays}")
    return EXIT_FAILED if left else EXIT_DONE


@targeting.targeted
@click.command("render")
@click.argument("endpoint", default="", cls=Argument, completes="endpoint")
@click.option(
    "--namespace", "-n", default="", help="Namespace of the objects.  [default: fairway, or the endpoint's]"
)
@_options((_IMAGE[0],), _STORE, _STORE_ACCESS, _PULL, _CLOUD, POD_FLAGS)
def render_command(endpoint: str, **given: Any) -> int:
    """Print the objects of an installation as YAML, for review or for `kubectl apply -f -`. Asks no cluster.

    With ENDPOINT, print those of an endpoint of the target. They serve the same model in any namespace, without Fairway.

    \b
    Example:
      fairway render --namespace ml-team --image ghcr.io/acme/fairway@sha256:… > fairway.yaml
    """
    if endpoint:
        return rendering.print_endpoint(endpoint, given)
    if targeting.typed():
        raise UsageError(
            "an installation is rendered without a cluster",
            hint="leave `--target` out, or name an endpoint: `fairway render ENDPOINT --target NAME`",
        )
    given["namespace"] = given["namespace"] or "fairway"
    pods = pod_options(given)
    flags = Flags(**given)
    order = flags.order(pods)
    if not flags.image:
        raise UsageError(
            "there is no image to render: name one by digest",
            hint="`fairway image push REGISTRY` pushes one and prints its name for `--image`",
        )
    install = Install(
        uid=namespace_uid(flags.namespace),
        namespace=flags.namespace,
        version=order.version,
        image=flags.image,
        pull_secrets=order.pull_secrets,
        cloud=order.cloud,
        store=order.store,
        restore=order.restore,
    )
    settings = Settings(
        install=order.pods.applied(install),
        storage_class=order.storage_class,
        ephemeral=order.ephemeral,
        store_identity=order.store_identity,
        store_secret=order.store_secret,
    )
    if order.size:
        settings = msgspec.structs.replace(settings, size=order.size)
    settings = with_cache(settings)
    show_block(yaml.write(manifests.render(settings)).rstrip("\n"))
    return EXIT_DONE


def namespace_uid(namespace: str) -> str:
    """Return the identity of an installation whose objects are rendered and not made here.

    It is always the same for a namespace, so that a second `kubectl apply` changes nothing. The Helm chart has the same one.
    """
    return hashlib.sha256(f"fairway/{namespace}".encode()).hexdigest()[:32]


def _brought(given: dict[str, Any], verb: _Bring, did: str, again: str) -> int:
    """Bring an installation to a namespace, and print the outcome.

    Args:
        given: the flags by name.
        did: the verb in the past, for people.
        again: the command that goes on after Ctrl-C.
    """
    pods = pod_options(given)
    flags = Flags(**given)
    order = flags.order(pods)
    kube = _cluster(flags.context, flags.namespace)
    outcome = _carried_out(kube, lambda: verb(kube, order, _push, _note, dry_run=flags.dry_run), again)
    return _print_outcome(outcome, flags, kube, did)


def _carried_out(kube: Kubernetes, verb: Callable[[], Coroutine[Any, Any, T]], again: str) -> T:
    """Return the outcome of a verb. Ctrl-C ends it with the command that goes on."""

    async def carry_out() -> T:
        async with kube:
            return await verb()

    try:
        return asyncio.run(carry_out())
    except KeyboardInterrupt:
        raise Interrupted("stopped before the end", hint=again) from None


async def _push(source: Source, platform: str) -> str:
    """Send the image of this version for a platform to its registry, and return its name by digest. Raises FairwayError."""
    from fairway.cli.images import Counter
    from fairway.cluster.images import assembling
    from fairway.wiring.images import make_workshop

    counter = Counter()
    order = assembling.Order(
        registry=source.registry,
        base=source.base or assembling.DEFAULT_BASE,
        python=source.python,
        platforms=(platform or assembling.DEFAULT_PLATFORM,),
        plain=source.insecure,
    )
    made = await assembling.push_fairway(order, make_workshop(counter.note, counter.count))
    counter.clear()
    return made.image


def _cluster(context: str, namespace: str) -> Kubernetes:
    """Return the cluster that the options name, or that of the target. Raises FairwayError."""
    target = None if context else targeting.chosen()
    if target is None:
        return clusters.open_cluster(context, namespace)
    return clusters.open_cluster(target.context, namespace or target.namespace, target.kubeconfig)


def _print_outcome(outcome: Outcome, flags: Flags, kube: Kubernetes, verb: str) -> int:
    install = outcome.settings.install
    if flags.as_json:
        show_json(
            {
                "namespace": install.namespace,
                "version": install.version,
                "image": "" if install.image == UNKNOWN_IMAGE else install.image,
                "uid": install.uid,
                "changed": outcome.changed,
                "seconds": round(outcome.seconds, 1),
            }
        )
        return EXIT_DONE
    if flags.dry_run:
        objects = manifests.render(outcome.settings)
        show(*(f"{one.kind} {one.metadata.name}" for one in objects))
        report(f"the cluster accepts all {len(objects)} objects; nothing was changed")
        return EXIT_DONE
    if outcome.changed:
        took = format_duration(outcome.seconds)
        report(f"Fairway {install.version} is {verb} in namespace {install.namespace} and ready ({took})")
    else:
        report(f"Fairway {install.version} is in namespace {install.namespace} already, and ready")
    name = targeting.typed()
    if name:
        report(f"hint: `fairway run FILE --target {name}`")
    else:
        context = f" --context {shlex.quote(kube.access.context)}" if kube.access.context else ""
        report(
            f"hint: `fairway target add team{context} --namespace {install.namespace}`, then `--target team`"
        )
    return EXIT_DONE


def _report_left(kube: Kubernetes, left: list[removing.Left]) -> None:
    for one in left:
        report(f"  {one.kind} {one.name}{', which is being deleted' if one.leaving else ''}")
    report(
        f"error: {len(left)} of Fairway's objects are still in namespace {kube.access.namespace}",
        f"hint: `{kube.access.kubectl} -n {kube.access.namespace} describe {left[0].kind} {left[0].name}` shows what holds it",
    )


def _confirm(kube: Kubernetes) -> None:
    """Ask before data is deleted. Raises UsageError where nobody can be asked."""
    what = f"remove Fairway from namespace {kube.access.namespace!r} at {kube.access.server}, with all runs and models"
    if not sys.stdin.isatty():
        raise UsageError(
            f"this would {what}",
            hint="`--yes` does it without a question; `--keep-data` leaves runs and models",
        )
    agreed(f"This will {what}. Go on?")


def _note(line: str) -> None:
    report(f"  {line}")


def _version() -> str:
    return importlib.metadata.version(_DISTRIBUTION)


def _size(text: str) -> int:
    size = parse_memory(text) if text else 0
    if text and not size:
        raise UsageError(f"a store of size {text!r} holds nothing", hint="leave `--size` out for 10Gi")
    return size
