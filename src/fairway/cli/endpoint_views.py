"""Endpoints as lines of text for the command line: in a list, after a deployment, and with the reason of their state."""

from collections.abc import Sequence

from fairway.cli import views
from fairway.cli.whereabouts import from_here
from fairway.plan.revisions import last_times
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.serving import Counts, Deployment, Traffic

_LONGEST = 80


def table(found: Sequence[EndpointStatus]) -> list[str]:
    """Return the table of endpoints."""
    rows = [
        (
            status.name,
            status.url,
            revision(status),
            ", ".join(served(status)),
            replicas(status),
            status.phase.lower(),
            status.reason.strip().partition("\n")[0][:_LONGEST],
        )
        for status in found
    ]
    return views.table(("endpoint", "url", "revision", "serves", "replicas", "phase", ""), rows)


def past(deployments: list[Deployment]) -> list[str]:
    """Return the table of an endpoint's revisions: what each one served, from when until when, and who did it."""
    rows = [
        (
            str(one.deployment.revision),
            one.deployment.serves,
            views.when(one.deployment.time),
            views.when(one.until) if one.until else "now",
            one.deployment.who,
            one.deployment.reason,
        )
        for one in last_times(deployments)
    ]
    return views.table(("revision", "serves", "from", "until", "by", ""), rows)


def busy(traffic: Traffic) -> str:
    """Return the requests of the last hour in one line."""
    if not traffic.until:
        return "requests are not counted yet"
    whole = Counts()
    for one in traffic.hour:
        whole.add(one.counts)
    told = f"last hour: {whole.requests:,} requests, {whole.errors:,} errors, {whole.refused:,} refused"
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        seconds = whole.quantile(share)
        told += f", {name} {seconds * 1000:.3g} ms" if seconds is not None else ""
    return told


def revision(status: EndpointStatus) -> str:
    """Return the number of the revision that serves, and behind an arrow the wanted one if that is another."""
    if status.serving in (0, status.wanted):
        return str(status.wanted)
    return f"{status.serving} → {status.wanted}"


def replicas(status: EndpointStatus) -> str:
    """Return how many replicas are ready of how many there should be, and how many of them start or crash."""
    others = [
        f"{count} {word}"
        for count, word in ((status.starting, "starting"), (status.crashing, "crashing"))
        if count
    ]
    return ", ".join([f"{status.ready}/{status.workers}", *others])


def served(status: EndpointStatus) -> Sequence[str]:
    """Return what an endpoint serves, and its runtime if the servers reported it."""
    wanted = status.revision
    if wanted is None:
        return ()
    if wanted.model is None:
        return (f"function {wanted.function}",)
    named = f"{wanted.model.name} " if wanted.model.name != wanted.endpoint else ""
    version = f"{named}version {wanted.model.version}"
    return (version, status.runtime) if status.runtime else (version,)


def deployed(answer: Deployed, request: DeployRequest | None) -> list[str]:
    """Return the lines about a deployment, but for the URL that answers.

    Args:
        answer: the answer of the platform.
        request: what was asked for; None for a rollback.
    """
    status, wanted = answer.status, answer.status.revision
    count = f"{status.workers} replica{'s' if status.workers != 1 else ''}"
    if wanted is not None and wanted.replicas.high > status.workers:
        count += f" of up to {wanted.replicas.high}"
    lines = [f"{status.name}  revision {status.wanted}  {', '.join([*served(status), count])}"]
    if status.samples not in ("", "none"):
        lines.append(f"  samples reproduced {status.samples}")
    if answer.key:
        lines.append(f"  its key, shown this once: {answer.key}")
        lines.append(f"  send it as the header `Authorization: Bearer {answer.key}`")
    elif request is not None and wanted is not None and wanted.key_digest:
        lines.append("  private, with the key it had")
    return lines


def is_as_wanted(status: EndpointStatus) -> bool:
    """Tell whether the wanted revision answers with as many replicas as there should be."""
    return status.serving == status.wanted and status.ready >= status.workers > 0 and not status.reason


def well(status: EndpointStatus) -> str:
    """Return the line for an endpoint that is as wanted."""
    return f"endpoint {status.name} is as wanted: revision {status.serving} answers, {replicas(status)} replicas are ready"


def reasons(status: EndpointStatus) -> list[str]:
    """Return why an endpoint is not as wanted, and the next commands to try."""
    lines = [
        f"{status.name}  revision {revision(status)}  {', '.join(served(status))}  {status.phase.lower()}",
        f"  replicas  {replicas(status)}",
    ]
    first, *rest = status.reason.strip().split("\n") if status.reason.strip() else ["not known"]
    lines.append(f"  reason    {first}")
    lines += [f"            {line}".rstrip() for line in rest]
    commands = [f"fairway logs {status.name}"]
    if status.serving != status.wanted or not status.ready:
        commands.append(f"fairway rollback {status.name}")
    quoted = [f"`{from_here(command, None)}`" for command in commands]
    meanings = ("shows what its servers print", "returns to the revision before")
    hint = ", ".join(f"{command} {meaning}" for command, meaning in zip(quoted, meanings, strict=False))
    return [*lines, "", f"hint: {hint}"]
