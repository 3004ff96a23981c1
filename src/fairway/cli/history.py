"""Commands that look at what happened: runs, their steps, their output, two side by side."""

import sys
import time

import click
import msgspec

from fairway.cli import looking, views
from fairway.cli.arguments import Argument
from fairway.cli.printing import print_logs
from fairway.cli.story import show, show_json, tell
from fairway.cli.whereabouts import elsewhere
from fairway.engine import bundles
from fairway.spec.errors import EXIT_DONE, NotFound
from fairway.spec.run import RunStatus, StepStatus
from fairway.spec.text import plain
from fairway.wiring import machine, runs

_POLL = 0.2


@click.command("runs")
@click.option(
    "--limit", type=click.IntRange(1, 10**6), default=20, show_default=True, help="How many, newest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def runs_command(limit: int, as_json: bool) -> int:
    """List runs, newest first.

    \b
    Example:
      fairway runs --limit 5
    """
    stores = looking.opened()
    found = [
        msgspec.structs.replace(run, alive=not run.phase.ended and machine.engine_of(stores, run.name) != 0)
        for run in stores.metadata.runs(limit)
    ]
    if as_json:
        show_json(found)
    elif not found:
        tell(f"no runs yet in {stores.root}", f"hint: {elsewhere() or '`fairway run FILE`'}")
    else:
        show(*views.runs(found))
    return EXIT_DONE


@click.command("show")
@click.argument("run", required=False, cls=Argument, completes="run_or_step")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--save", default="", help="Write the pictures and tables that were shown to this folder.")
@click.option("--source", is_flag=True, help="Print the project's source files as the run worked with them.")
def show_command(run: str | None, as_json: bool, save: str, source: bool) -> int:
    """Show RUN step by step, or one step of it by RUN/STEP; the newest run when none is named.

    \b
    Example:
      fairway show k7m2/train-2
    """
    stores = looking.opened()
    name, _, step_name = (run or "").partition("/")
    name = runs.find_run(stores, name)
    status = stores.metadata.run(name)
    alive = machine.engine_of(stores, name) != 0
    status = msgspec.structs.replace(status, alive=alive)
    if alive:
        status = runs.with_waiting(stores, status)
    if source:
        return _show_source(stores, status, as_json=as_json)
    if save:
        count, left = looking.save_shown(stores, status, save)
        tell(f"{count} {'file' if count == 1 else 'files'} written to {save}", *left)
    if step_name:
        step = _step(status, step_name)
        if as_json:
            show_json(step)
        else:
            show(*views.step(step))
        return EXIT_DONE
    if as_json:
        show_json(status)
    else:
        show(*views.run(status, alive=alive))
    return EXIT_DONE


def _show_source(stores: machine.LocalStores, status: RunStatus, *, as_json: bool) -> int:
    """Print the files of a run's code; of one that is not in the store, only that it is not."""
    name = status.spec.name
    if not status.code:
        raise NotFound(
            f"run {name} has no source files on record: it is of a notebook, or of an earlier version",
            hint=f"`fairway show {name}` says which file it was",
        )
    found = bundles.texts(status.code, stores.artifacts)
    if as_json:
        show_json(found)
        return EXIT_DONE
    show(*views.sources({path: "(not kept)" if text is None else text for path, text in found.items()}))
    return EXIT_DONE


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
    stores = looking.opened()
    name, _, step = (run or "").partition("/")
    if run and run in {status.name for status in stores.metadata.endpoints()}:
        print_logs(
            machine.endpoint_folder(stores.root, run),
            lambda where, text: _print_words(run, where, text, as_json=as_json),
            follow=follow,
        )
        return EXIT_DONE
    name = runs.find_run(stores, name)
    if step and step not in {status.spec.name for status in stores.metadata.run(name).steps} | {"pipeline"}:
        raise NotFound(f"run {name} has no step {step!r}", hint=f"`fairway show {name}` lists them")
    logs = stores.logs
    offsets: dict[tuple[str, int], int] = {}
    while True:
        over = not follow or machine.engine_of(stores, name) == 0
        for where in logs.attempts(name):
            if step and where[0] != step:
                continue
            lines, offsets[where] = logs.read(name, *where, offsets.get(where, 0))
            while lines:
                for at, text in lines:
                    _print_line(where, at, text, as_json=as_json, times=times, single=bool(step))
                lines, offsets[where] = logs.read(name, *where, offsets[where])
        sys.stdout.flush()
        if over:
            return EXIT_DONE
        time.sleep(_POLL)


@click.command("compare")
@click.argument("run", cls=Argument, completes="run")
@click.argument("other", cls=Argument, completes="run")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def compare_command(run: str, other: str, as_json: bool) -> int:
    """Compare two runs: parameters, metrics, code and environment; only what differs is listed.

    \b
    Example:
      fairway compare k7m2 p3x8
    """
    stores = looking.opened()
    first, second = (_facts(stores, runs.find_run(stores, name)) for name in (run, other))
    differing = {
        key: (first.get(key, ""), second.get(key, ""))
        for key in dict.fromkeys([*first, *second])
        if first.get(key, "") != second.get(key, "")
    }
    if as_json:
        show_json({"runs": [run, other], "differences": differing})
    elif not differing:
        show("no differences in parameters, metrics, code or environment")
    else:
        show(*views.table(("", run, other), [(key, *pair) for key, pair in differing.items()]))
    return EXIT_DONE


def _facts(stores: machine.LocalStores, name: str) -> dict[str, str]:
    status = stores.metadata.run(name)
    facts = {"pipeline": status.spec.pipeline, "phase": status.phase.value}
    facts["code"] = (status.code or status.spec.source)[:12]
    facts["environment"] = status.spec.environment[:12]
    facts |= {f"parameter {key}": value for key, value in status.spec.shown.items()}
    for point in status.metrics:
        facts[f"metric {point.name}"] = f"{point.value:.6g}"
    for step in status.steps:
        for point in step.metrics:
            facts[f"metric {step.spec.name}/{point.name}"] = f"{point.value:.6g}"
    for key, evaluation in looking.evaluations_of(stores, status).items():
        if isinstance(evaluation, str):
            facts[f"metric {key}"] = evaluation
            continue
        facts |= {f"metric {key}/{metric}": f"{value:.6g}" for metric, value in evaluation.metrics.items()}
    facts["took"] = f"{max(0.0, status.ended - status.started):.1f} s"
    return facts


def _step(status: RunStatus, name: str) -> StepStatus:
    for step in status.steps:
        if step.spec.name == name:
            return step
    raise NotFound(
        f"run {status.spec.name} has no step {name!r}", hint=f"`fairway show {status.spec.name}` lists them"
    )


def _print_line(
    where: tuple[str, int], at: float, text: str, *, as_json: bool, times: bool, single: bool
) -> None:
    if as_json:
        show_json({"step": where[0], "attempt": where[1], "time": at, "text": text}, indented=False)
        return
    stamp = time.strftime("%H:%M:%S ", time.localtime(at)) if times else ""
    show(f"{stamp}{plain(text)}" if single else f"{stamp}{where[0]} | {plain(text)}")


def _print_words(endpoint: str, where: tuple[str, int], text: str, *, as_json: bool) -> None:
    revision, worker = where
    if as_json:
        said = {"endpoint": endpoint, "revision": int(revision[1:]), "worker": worker, "text": text}
        show_json(said, indented=False)
    else:
        show(f"{revision} worker {worker} | {plain(text)}")
