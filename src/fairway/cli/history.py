"""Commands that show runs, their steps and their output."""

import sys
import time
from pathlib import Path

import click

from fairway.cli import looking, targeting, views
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.printing import print_logs
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.ports.platform import Platform
from fairway.spec.errors import EXIT_DONE, NotFound, UsageError
from fairway.spec.log import LogLine
from fairway.spec.run import RunStatus
from fairway.spec.text import plain
from fairway.wiring import machine, settings

_POLL = 0.2


@targeted
@click.command("show")
@click.argument("run", required=False, cls=Argument, completes="run_or_step")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--save", default="", help="Write the pictures and tables that were shown to this folder.")
@click.option("--source", is_flag=True, help="Print the project's source files as the run worked with them.")
@click.option(
    "--output",
    "-o",
    metavar="FOLDER",
    default="",
    help="Write the source files to this folder, with `--source`.",
)
def show_command(run: str | None, as_json: bool, save: str, source: bool, output: str) -> int:
    """Show RUN step by step, or one step of it by RUN/STEP; the newest run when none is named.

    \b
    Example:
      fairway show k7m2/train-2
    """
    if output and not source:
        raise UsageError(
            "-o names the folder for the source files", hint="`fairway show RUN --source -o FOLDER`"
        )
    platform = looking.opened()
    name, _, step_name = (run or "").partition("/")
    status = ask(platform.run(ask(platform.find(name))))
    name = status.spec.name
    if output:
        return _write_source(platform, status, Path(output))
    if source:
        return _show_source(platform, status, as_json=as_json)
    if save:
        count, left = looking.save_shown(platform, status, save)
        report(f"{count} {'file' if count == 1 else 'files'} written to {save}", *left)
    if step_name:
        step = looking.step_of(status, step_name)
        if as_json:
            show_json(step)
        else:
            show(*views.step(step))
        return EXIT_DONE
    if as_json:
        show_json(status)
    else:
        show(*views.run(status, alive=status.alive))
        if status.result is not None and not views.is_nothing(status.result):
            from fairway.cli import results  # imported here, because only a run with a result needs it

            show("", *ask(results.of_run(platform, name, status.result)))
    return EXIT_DONE


def _show_source(platform: Platform, status: RunStatus, *, as_json: bool) -> int:
    """Print the files of a run's code. For a file that is not in the store, print only that it is not kept."""
    found = ask(platform.code(status.spec.name))
    if as_json:
        show_json(found)
        return EXIT_DONE
    show(*views.sources({path: "(not kept)" if text is None else text for path, text in found.items()}))
    return EXIT_DONE


def _write_source(platform: Platform, status: RunStatus, folder: Path) -> int:
    """Write the files of a run's code, and the difference from its commit, to a folder."""
    import asyncio  # imported here, because most commands that look wait for nobody

    from fairway.engine import source

    async def work() -> tuple[source.Brought, bool]:
        brought = await source.bring(platform, status, folder)
        return brought, await source.bring_difference(platform, status, folder)

    brought, difference = asyncio.run(work())
    count = len(brought.paths)
    report(f"{count} {'file' if count == 1 else 'files'} written to {folder}")
    report(*(f"note: {path} is not kept, because it held a secret" for path in brought.lacking))
    git = status.spec.git
    if difference and git is not None:
        report(f"{folder / source.DIFFERENCE} is how the project differed from commit {git.commit[:12]}")
    elif git is not None and git.note:
        report(f"note: the difference from commit {git.commit[:12]} is not kept: {git.note}")
    return EXIT_DONE


@targeted
@click.command("logs")
@click.argument("run", required=False, cls=Argument, completes="logged")
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the run is over.")
@click.option("--times", is_flag=True, help="Print when each line was printed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def logs_command(run: str | None, follow: bool, times: bool, as_json: bool) -> int:
    """Print what the steps of RUN printed, or one of them by RUN/STEP; the newest run when none is named.

    An endpoint's name gives what its servers print.

    \b
    Example:
      fairway logs k7m2/train-2 --follow
    """
    platform = looking.opened()
    name, _, step = (run or "").partition("/")
    if looking.is_endpoint(platform, run or "") and targeting.is_away():
        return _print_servers(run or "", follow=follow, times=times, as_json=as_json)
    if run and looking.is_endpoint(platform, run):
        print_logs(
            machine.endpoint_folder(settings.store_root(), run),
            lambda where, text: _print_words(run, where, text, as_json=as_json),
            follow=follow,
        )
        return EXIT_DONE
    name = ask(platform.find(name))
    if step and step not in {one.spec.name for one in ask(platform.run(name)).steps} | {"pipeline"}:
        raise NotFound(f"run {name} has no step {step!r}", hint=f"`fairway show {name}` lists them")
    offsets: dict[tuple[str, int], int] = {}
    while True:
        outputs = ask(platform.outputs(name))
        for where in outputs.attempts:
            if step and where[0] != step:
                continue
            while True:
                page = ask(platform.logs(name, *where, offsets.get(where, 0)))
                offsets[where] = page.offset
                for line in page.lines:
                    _print_line(line, as_json=as_json, times=times, single=bool(step))
                if not page.lines:
                    break
        sys.stdout.flush()
        if not follow or not outputs.alive:
            return EXIT_DONE
        time.sleep(_POLL)


def _print_servers(name: str, *, follow: bool, times: bool, as_json: bool) -> int:
    """Print what the servers of an endpoint of a target print. Raises FairwayError."""
    import asyncio

    from fairway.wiring import servers

    chosen = targeting.chosen()
    assert chosen is not None

    async def work() -> None:
        async for line in servers.printed(chosen, name, follow=follow):
            if as_json:
                show_json(line, indented=False)
            else:
                stamp = f"{views.clock(line.time)} " if times else ""
                place = f"r{line.revision} {line.pod}{' before its restart' if line.previous else ''}"
                show(f"{stamp}{place} | {plain(line.text)}")

    asyncio.run(work())
    return EXIT_DONE


def _print_line(line: LogLine, *, as_json: bool, times: bool, single: bool) -> None:
    if as_json:
        show_json(line, indented=False)
        return
    stamp = time.strftime("%H:%M:%S ", time.localtime(line.time)) if times else ""
    show(f"{stamp}{plain(line.text)}" if single else f"{stamp}{line.step} | {plain(line.text)}")


def _print_words(endpoint: str, where: tuple[str, int], text: str, *, as_json: bool) -> None:
    revision, worker = where
    if as_json:
        said = {"endpoint": endpoint, "revision": int(revision[1:]), "worker": worker, "text": text}
        show_json(said, indented=False)
    else:
        show(f"{revision} worker {worker} | {plain(text)}")
