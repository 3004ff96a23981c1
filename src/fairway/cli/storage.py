"""Commands that look after the store and the machine."""

import platform
import shutil
import sqlite3
import sys
from pathlib import Path

import click

from fairway import wiring
from fairway.cli import views
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, FairwayError, UsageError
from fairway.spec.quantities import format_memory


@click.command("gc")
@click.option("--delete", is_flag=True, help="Really remove; without it, only say what would go.")
@click.option("--older-than", default=24.0, show_default=True, help="Hours a blob must be old.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def gc_command(delete: bool, older_than: float, as_json: bool) -> int:
    """Find stored content that no run, model or endpoint refers to, and with --delete remove it.

    \b
    Example:
      fairway gc --delete
    """
    stores = wiring.LocalStores(wiring.store_root())
    swept = stores.artifacts.sweep(stores.metadata.digests(), older_than=older_than * 3600.0, dry=not delete)
    if as_json:
        click.echo(views.as_json({"blobs": swept.blobs, "bytes": swept.size, "deleted": delete}))
        return EXIT_DONE
    did = "removed" if delete else "would remove"
    click.echo(f"{did} {swept.blobs} blobs, {format_memory(swept.size)}", err=True)
    if swept.blobs and not delete:
        click.echo("hint: `fairway gc --delete` removes them", err=True)
    return EXIT_DONE


@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def backup_command(folder: Path, as_json: bool) -> int:
    """Copy the store to FOLDER, which must not exist yet; runs and endpoints may go on meanwhile.

    \b
    Example:
      fairway backup ../churn-backup
    """
    root = wiring.store_root()
    if folder.exists():
        raise UsageError(f"{folder} exists already", hint="name a new folder")
    stores = wiring.LocalStores(root)
    folder.mkdir(parents=True)
    stores.metadata.backup(folder / "fairway.db")
    for part in ("blobs", "runs", "store.json", ".gitignore"):
        source = root / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("tmp", "tree", "lock"))
        elif source.exists():
            shutil.copy2(source, folder / part)
    stores.close()
    click.echo(
        views.as_json({"backup": str(folder)}) if as_json else f"the store is copied to {folder}",
        err=not as_json,
    )
    return EXIT_DONE


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def restore_command(folder: Path, as_json: bool) -> int:
    """Make the store of this project from the backup in FOLDER; there must be no store yet.

    \b
    Example:
      fairway restore ../churn-backup
    """
    root = wiring.store_root()
    if (root / "store.json").exists():
        raise UsageError(f"there is a store at {root}", hint=f"move it away first: `mv {root} {root}-old`")
    if not (folder / "store.json").exists():
        raise UsageError(f"{folder} is no backup of a store")
    shutil.copytree(folder, root, dirs_exist_ok=True)
    stores = wiring.LocalStores(root).prepare()
    problems = stores.metadata.verify().problems
    stores.close()
    if problems:
        raise FairwayError(f"the backup is damaged: {problems[0]}", hint="use another backup")
    click.echo(views.as_json({"restored": str(root)}) if as_json else f"restored to {root}", err=not as_json)
    return EXIT_DONE


@click.command("doctor")
@click.option("--rebuild", is_flag=True, help="Make the state tables anew from the event log.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor_command(rebuild: bool, as_json: bool) -> int:
    """Check this machine and the store, and say what to do about what is wrong.

    \b
    Example:
      fairway doctor
    """
    root = wiring.store_root()
    checks: list[tuple[str, bool, str]] = [
        ("python", sys.version_info >= (3, 11), platform.python_version()),
        ("sqlite", True, sqlite3.sqlite_version),
        ("uv", True, shutil.which("uv") or "not installed; environments are built with pip"),
        _space(root),
    ]
    if (root / "store.json").exists():
        stores = wiring.LocalStores(root)
        if rebuild:
            stores.metadata.rebuild()
        problems = stores.metadata.verify().problems
        checks.append(("store", not problems, "; ".join(problems) or f"{root}: log and tables agree"))
        stores.close()
    else:
        checks.append(("store", True, "none here yet"))
    good = all(fine for _, fine, _ in checks)
    if as_json:
        click.echo(
            views.as_json([{"check": name, "ok": fine, "found": found} for name, fine, found in checks])
        )
    else:
        for name, fine, found in checks:
            click.echo(f"  {name:<8} {'ok' if fine else 'WRONG':<6} {found}")
        if not good:
            click.echo("hint: `fairway doctor --rebuild`, or `fairway restore` a backup", err=True)
    return EXIT_DONE if good else EXIT_FAILED


def _space(root: Path) -> tuple[str, bool, str]:
    folder = root if root.exists() else root.parent
    free = shutil.disk_usage(folder).free
    return "disk", free > 2**30, f"{format_memory(free)} free at {folder}"
