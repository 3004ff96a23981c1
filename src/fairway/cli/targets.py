"""Commands on targets: the clusters that have names on this machine."""

import os

import click

from fairway.cli import views
from fairway.cli.story import report, show, show_json
from fairway.spec.errors import EXIT_DONE
from fairway.wiring import targets
from fairway.wiring.targets import Target

_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group("target")
def target_command() -> None:
    """Name a cluster to run on, or forget one.

    \b
    Example:
      fairway target add team --context prod --namespace ml
    """


@target_command.command("add")
@click.argument("name")
@click.option("--context", default="", help="Context of the kubeconfig.  [default: the current one]")
@click.option("-n", "--namespace", default="", help="Namespace of Fairway.  [default: the context's]")
@click.option("--kubeconfig", default="", help="File to read instead of those that kubectl reads.")
@_JSON
def add_command(name: str, context: str, namespace: str, kubeconfig: str, as_json: bool) -> int:
    """Let NAME stand for a namespace of a cluster. The context is kept, so that a later change of the current one does not count.

    Nothing is written to a kubeconfig.

    \b
    Example:
      fairway target add team --context prod --namespace ml
    """
    files = os.pathsep.join(os.path.abspath(path) for path in kubeconfig.split(os.pathsep) if path)
    target = targets.resolved(Target(name=name, context=context, namespace=namespace, kubeconfig=files))
    targets.add(target)
    if as_json:
        show_json(target)
        return EXIT_DONE
    context = f" --context {target.context}" if target.context else ""
    place = f"{context} --namespace {target.namespace}"
    report(
        f"{name} is namespace {target.namespace} of context {target.context or '(in a pod)'}",
        f"hint: `fairway run FILE --target {name}` runs there; `fairway install{place}` installs Fairway there",
    )
    return EXIT_DONE


@target_command.command("remove")
@click.argument("name")
@_JSON
def remove_command(name: str, as_json: bool) -> int:
    """Forget the target NAME. What is in its cluster stays.

    \b
    Example:
      fairway target remove team
    """
    targets.remove(name)
    if as_json:
        show_json({"removed": name})
    else:
        report(f"{name} is forgotten; what is in its cluster stays")
    return EXIT_DONE


@click.command("targets")
@_JSON
def targets_command(as_json: bool) -> int:
    """List the targets to run on. A star marks the one that commands use without `--target`.

    \b
    Example:
      fairway targets
    """
    known = targets.known()
    chosen, where = targets.default()
    chosen = chosen or targets.LOCAL
    if as_json:
        show_json({"targets": list(known.values()), "default": chosen, "set by": where})
        return EXIT_DONE
    rows = [
        (f"{'*' if name == chosen else ' '} {name}", target.context, target.namespace)
        for name, target in [
            (targets.LOCAL, Target(name=targets.LOCAL, context="this machine")),
            *known.items(),
        ]
    ]
    show(*views.table(("  target", "context", "namespace"), rows))
    if chosen not in known and chosen != targets.LOCAL:
        report(f"note: {where} names the target {chosen}, which is not known here")
    elif not known:
        report("hint: `fairway target add NAME --context CONTEXT --namespace NAMESPACE` adds one")
    return EXIT_DONE
