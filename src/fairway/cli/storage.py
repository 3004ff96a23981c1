"""Commands that maintain the store and check the machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairway.cli import expiring, targeting, trusting
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_json
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, Interrupted, UsageError
from fairway.spec.quantities import format_memory
from fairway.spec.upkeep import Check, Cleaning
from fairway.stores import copying
from fairway.wiring import machine, settings, target, targets

if TYPE_CHECKING:
    from fairway.remote import RemotePlatform


@targeting.targeted
@click.command("gc")
@click.option("--delete", is_flag=True, help="Really remove; without it, only say what would go.")
@click.option(
    "--older-than",
    type=click.FloatRange(0, 1e6),
    default=24.0,
    show_default=True,
    help="Hours a blob must be old.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def gc_command(delete: bool, older_than: float, as_json: bool) -> int:
    """Find stored content that no run, model or endpoint refers to, and with --delete remove it.

    Runs go first that are older than `keep` in [tool.fairway] of pyproject.toml says. Those with a word on them stay, and
    those whose model is still there. What a run at work has stored stays. On a target, content that was used in the last two
    hours stays too.

    \b
    Example:
      fairway gc --delete
      fairway gc --target team
    """
    root = settings.store_root()
    platform = targeting.away() or (target.owned(root) if delete else target.looking(root, report))
    old = expiring.expired(platform, targets.retention())
    if delete:
        expiring.remove(platform, old)
    cleaned = ask(platform.clean(Cleaning(hours=older_than, delete=delete)))
    if as_json:
        counts = {"blobs": cleaned.blobs, "bytes": cleaned.size}
        show_json({**counts, "runs": old, "deleted": cleaned.deleted})
        return EXIT_DONE
    did = "removed" if delete else "would remove"
    if old:
        report(
            f"{did} {len(old)} runs that are kept no longer: {' '.join(old[:8])}{' …' if len(old) > 8 else ''}"
        )
    report(f"{did} {cleaned.blobs} blobs, {format_memory(cleaned.size)}")
    if (cleaned.blobs or old) and not delete:
        named = f" --target {targeting.typed()}" if targeting.typed() else ""
        report(f"hint: `fairway gc --delete{named}` removes them")
    return EXIT_DONE


@targeting.targeted
@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def backup_command(folder: Path, as_json: bool) -> int:
    """Copy the store to FOLDER, which must not exist yet; runs and endpoints may go on meanwhile.

    With --target it brings the store of that target here: the log, and all that it refers to.

    \b
    Example:
      fairway backup ../churn-backup
      fairway backup --target team ../team-backup
    """
    if folder.exists():
        raise UsageError(f"{folder} exists already", hint="name a new folder")
    platform = targeting.away()
    if platform is not None:
        size = _fetch(platform, folder)
        story = f"the store of {platform.place} is copied to {folder}, {format_memory(size)}"
        _print_outcome(as_json, {"backup": str(folder)}, story)
        return EXIT_DONE
    stores = machine.LocalStores(settings.store_root())
    stores.metadata.require_own()
    copying.backup(stores.layout, stores.metadata, folder)
    stores.close()
    _print_outcome(as_json, {"backup": str(folder)}, f"the store is copied to {folder}")
    return EXIT_DONE


def _fetch(platform: "RemotePlatform", folder: Path) -> int:
    """Bring the store of a target to a folder, and return its size. Raises FairwayError."""
    import asyncio

    from fairway.wiring import backups

    async def bring() -> int:
        async with targeting.closing(platform):
            return await backups.fetch(platform, folder, lambda here, whole: None)

    try:
        return asyncio.run(bring())
    except KeyboardInterrupt:
        raise Interrupted("stopped before the end, and nothing is left of it", hint="run it again") from None


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def restore_command(folder: Path, as_json: bool) -> int:
    """Make the store of this project from the backup in FOLDER; there must be no store yet.

    \b
    Example:
      fairway restore ../churn-backup
    """
    root = settings.store_root()
    if (root / "store.json").exists():
        raise UsageError(f"there is a store at {root}", hint=f"move it away first: `mv {root} {root}-old`")
    if not (folder / "store.json").exists():
        raise UsageError(f"{folder} is no backup of a store")
    stores = machine.LocalStores(root)
    copying.restore(folder, stores.layout)
    why = stores.metadata.why_foreign()
    stores.close()
    _print_outcome(as_json, {"restored": str(root), "foreign": why}, f"restored to {root}")
    if why:
        report(f"note: it {why}", "hint: `fairway trust` shows what is in it and makes it yours")
    return EXIT_DONE


def _print_outcome(as_json: bool, data: dict[str, str], story: str) -> None:
    if as_json:
        show_json(data)
    else:
        report(story)


@targeting.targeted
@click.command("doctor")
@click.option("--rebuild", is_flag=True, help="Rebuild the state tables from the event log.")
@click.option("--content", is_flag=True, help="Read every artifact and compare it with its digest.")
@click.option("--context", default="", help="Check the cluster of this context of the kubeconfig.")
@click.option("--namespace", "-n", default="", help="Check the cluster for this namespace.")
@click.option("--registry", default="", help="Try a push to this registry, and a pull from a node.")
@click.option("--insecure", is_flag=True, help="Speak HTTP without TLS to the registry.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor_command(rebuild: bool, content: bool, as_json: bool, **cluster: Any) -> int:
    """Check this machine and the store, or a cluster, and say what to do about what is wrong.

    With --target, --context or --namespace it checks that cluster, before and after Fairway is installed there.

    \b
    Example:
      fairway doctor
      fairway doctor --target team
    """
    place = _cluster(cluster)
    if place is not None:
        from fairway.cli import checking

        return checking.check_cluster(checking.Place(**place), as_json=as_json)
    root = settings.store_root()
    checks = [
        *machine.checks(root),
        _store(root, rebuild=rebuild),
        *_ownership(root),
        *([_content(root)] if content else ()),
    ]
    if as_json:
        show_json(checks)
    else:
        for check in checks:
            show(f"  {check.check:<8} {'ok' if check.ok else 'WRONG':<6} {check.found}")
            if not check.ok:
                report(f"hint: {check.hint}")
    return EXIT_DONE if all(check.ok for check in checks) else EXIT_FAILED


def _cluster(given: dict[str, Any]) -> dict[str, Any] | None:
    """Return the cluster to check, by the options or by the target. None for this machine."""
    if given["context"] or given["namespace"]:
        return given
    chosen = targeting.chosen()
    if chosen is None:
        return given if given["registry"] else None
    return {
        **given,
        "context": chosen.context,
        "namespace": chosen.namespace,
        "kubeconfig": chosen.kubeconfig,
    }


def _ownership(root: Path) -> list[Check]:
    if not (root / "store.json").exists():
        return []
    found = trusting.owner(root)
    return [found, trusting.modes(root, own=found.ok)]


def _store(root: Path, *, rebuild: bool) -> Check:
    if not (root / "store.json").exists():
        return Check("store", f"none yet at {root}")
    stores = machine.LocalStores(root)
    if rebuild:
        stores.metadata.rebuild()
    problems = stores.metadata.verify().problems
    stores.close()
    found = "; ".join(problems) or f"{root}: log and tables agree"
    return Check(
        "store", found, not problems, "`fairway doctor --rebuild`, or `fairway restore` a backup elsewhere"
    )


def _content(root: Path) -> Check:
    if not (root / "store.json").exists():
        return Check("content", f"none yet at {root}")
    stores = machine.LocalStores(root)
    count, wrong = 0, list[str]()
    for digest, damaged in stores.artifacts.damaged():
        count += 1
        if damaged:
            wrong.append(digest[:12])
    stores.close()
    if not wrong:
        return Check("content", f"{count} artifacts match their digests")
    named = ", ".join(wrong[:5]) + (" and others" if len(wrong) > 5 else "")
    return Check(
        "content",
        f"{len(wrong)} of {count} artifacts are damaged: {named}",
        False,
        "run the pipelines that made them again, or bring the store back with `fairway restore`",
    )
