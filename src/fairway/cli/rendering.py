"""The printing of the objects of an endpoint, for people who leave or who apply manifests themselves."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fairway.cli import looking, targeting
from fairway.cli.story import report, show_block
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.errors import EXIT_DONE, UsageError


def print_endpoint(name: str, given: Mapping[str, Any]) -> int:
    """Print the objects of an endpoint of the target as YAML.

    Args:
        name: the name of the endpoint.
        given: the options of the command. Those of an installation have no meaning here, apart from the namespace.

    Raises:
        UsageError: the target is this machine, or there is another option.
        FairwayError: there is no such endpoint, or the target cannot be reached.
    """
    from fairway.wiring import servers

    others = [option for option, value in given.items() if value and option != "namespace"]
    if others:
        raise UsageError(
            f"--{others[0].replace('_', '-')} is for an installation, and {name} is an endpoint",
            hint="leave it out",
        )
    chosen = targeting.chosen()
    if chosen is None:
        raise UsageError(
            f"the endpoint {name[:80]} is on this machine, where it has no objects",
            hint=f"name a cluster: `fairway render {name} --target NAME`",
        )
    status = looking.named(name, looking.endpoints())
    revision = status.revision
    if revision is None:
        raise UsageError(f"{name} serves nothing yet", hint=f"`fairway why {name}` says why")
    text = asyncio.run(servers.rendered(chosen, revision, given["namespace"]))
    for note in _notes(revision, given["namespace"]):
        report(f"note: {note}")
    show_block(text.rstrip("\n"))
    return EXIT_DONE


def _notes(revision: RevisionSpec, namespace: str) -> list[str]:
    """Return what the objects need that is not among them."""
    notes: list[str] = []
    if not revision.image or revision.layers:
        notes.append(
            "the image has no content: the servers fetch it from the control plane, and need its namespace"
        )
    elif revision.models is not None:
        notes.append(
            "the function asks for models: its servers fetch them from the control plane, and need its namespace"
        )
    if namespace and revision.key_digest:
        notes.append("the endpoint keeps its key")
    return notes
