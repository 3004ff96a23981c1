"""Commands that start, plan, take up and stop runs."""

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairway.cli import flags
from fairway.cli.arguments import Argument, PipelineCommand
from fairway.cli.story import show, show_block, show_json, tell, tell_block
from fairway.cli.whereabouts import from_here
from fairway.local import projects
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED, UsageError
from fairway.spec.run import RunRequest
from fairway.wiring import headstart, machine, runs, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairway.cli.progress import Progress
    from fairway.engine.listening import Listener
    from fairway.spec.event import RunEnded
    from fairway.spec.project import PipelineSpec, ProjectSpec
    from fairway.spec.run import RunSpec

_WORDS = {"ignore_unknown_options": True, "allow_interspersed_args": True}


_CONFIG = "JSON or TOML file with parameters; flags win over it. A pipeline with a parameter of that name has it for itself."


class Following(runs.Follower):
    """Follows a run for a person: reads the flags, prints the headline, then the progress."""

    def __init__(self, words: list[str], *, explain: bool, quiet: bool, silent: bool, helping: bool) -> None:
        self._words = words
        self._explain = explain
        self._quiet = quiet
        self._silent = silent
        self._helping = helping
        self.progress: Progress | None = None

    def arguments(self, project: "ProjectSpec", request: RunRequest) -> RunRequest:
        """Read the words behind the file by the pipeline's parameters."""
        if request.resume:
            return request
        from fairway.engine.names import choose_pipeline

        name = choose_pipeline(project, request.pipeline)
        pipeline = next(item for item in project.pipelines if item.name == name)
        if self._helping:
            _print_flags(pipeline, project)
            raise click.exceptions.Exit(EXIT_DONE)
        request.pipeline = name
        request.texts = flags.read(pipeline, self._words)
        if request.config and flags.has_config(pipeline):
            request.texts["config"] = [request.config]
            request.config = ""
        return request

    def begin(self, spec: "RunSpec", project: "ProjectSpec") -> "Listener":
        """Print the headline."""
        from fairway.cli.progress import Progress
        from fairway.engine.listening import Listener

        if self._silent:
            return Listener()
        self.progress = Progress(sys.stderr, explain=self._explain, quiet=self._quiet)
        self.progress.headline(f"{spec.pipeline}  run {spec.name}  on this machine")
        return self.progress

    def note(self, text: str) -> None:
        """Something happened outside any step."""
        if self.progress is not None:
            self.progress.note(text)
        elif not self._silent:
            tell(f"  {text}")


@click.command("run", cls=PipelineCommand, context_settings=_WORDS, add_help_option=False)
@click.argument("file", required=False, cls=Argument, completes="project_file")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, cls=Argument, completes="flag_value")
@click.option("--config", default="", help=_CONFIG)
@click.option("--explain", is_flag=True, help="Say for each step why it ran or did not.")
@click.option("--quiet", is_flag=True, help="Do not print what the steps print.")
@click.option("--json", "as_json", is_flag=True, help="Print the finished run as JSON.")
@click.option("-h", "--help", "helping", is_flag=True, help="Show the flags of the pipeline in FILE.")
@click.pass_context
def run_command(
    ctx: click.Context,
    file: str | None,
    words: tuple[str, ...],
    config: str,
    explain: bool,
    quiet: bool,
    as_json: bool,
    helping: bool,
) -> int:
    """Run the pipeline in FILE, or one of several by FILE:PIPELINE, with its parameters as flags.

    FILE is a path or the name of a module, such as shop.flow.

    \b
    Example:
      fairway run churn.py --depths 2 4
    """
    if file is None:
        if helping:
            show_block(ctx.get_help())
            return EXIT_DONE
        raise UsageError("which file?", hint="`fairway run FILE`, or `fairway init` for one to start from")
    if file.startswith("-"):
        raise UsageError(
            "which file?", hint="flags come behind it: `fairway run FILE " + " ".join([file, *words]) + "`"
        )
    begun = time.monotonic()
    request = _asked(file, config)
    stores = machine.LocalStores(settings.store_root(request.file, request.module))
    follower = Following(list(words), explain=explain, quiet=quiet, silent=as_json, helping=helping)
    return _carry_out(request, stores, follower, begun, as_json=as_json)


@click.command("resume")
@click.argument("run", required=False, cls=Argument, completes="run")
@click.option(
    "--file", type=click.Path(path_type=Path), help="The project file, where it lies outside the project."
)
@click.option("--explain", is_flag=True, help="Say for each step why it ran or did not.")
@click.option("--quiet", is_flag=True, help="Do not print what the steps print.")
@click.option("--json", "as_json", is_flag=True, help="Print the finished run as JSON.")
def resume_command(run: str | None, file: Path | None, explain: bool, quiet: bool, as_json: bool) -> int:
    """Resume RUN, or the newest one, where it stopped; steps that are done do not run again.

    \b
    Example:
      fairway resume k7m2
    """
    begun = time.monotonic()
    stores = machine.LocalStores(settings.store_root())
    stores.metadata.require_own()
    status = stores.metadata.run(runs.find_run(stores, run or ""))
    if status.phase == "Succeeded":
        stores.close()
        if as_json:
            show_json(status)
        else:
            tell(f"run {status.spec.name} has succeeded; nothing is left to do")
        return EXIT_DONE
    request = RunRequest(
        file=str(file.absolute()) if file else _own_file(status.spec.name, status.spec.project, stores.root),
        module=status.spec.module or Path(status.spec.project).stem,
        pipeline=status.spec.pipeline,
        resume=status.spec.name,
    )
    follower = Following([], explain=explain, quiet=quiet, silent=as_json, helping=False)
    return _carry_out(request, stores, follower, begun, as_json=as_json)


def _own_file(run: str, project: str, root: Path) -> str:
    """The project file, also after its folder was moved together with the store.

    Raises:
        UsageError: it lies outside the project that the store belongs to, so a person has to name it.
    """
    parts = Path(project).parts
    moved = [root.parent.joinpath(*parts[start:]) for start in range(1, len(parts))]
    found = Path(project) if Path(project).exists() else next(filter(Path.is_file, moved), Path(project))
    inside = found.is_absolute() and found.resolve().is_relative_to(root.parent.resolve())
    if not inside and not settings.is_named():
        raise UsageError(
            f"run {run} is of {project}, which lies outside the project {root.parent}",
            hint=f"if it is yours: `fairway resume {run} --file {project}`",
        )
    return str(found)


def _asked(word: str, config: str) -> RunRequest:
    """What FILE:PIPELINE asks for. Raises NotFound, UsageError."""
    name, _, pipeline = word.partition(":")
    file, module = projects.find(name)
    return RunRequest(file=file, module=module, pipeline=pipeline, config=config)


@click.command("cancel")
@click.argument("run", cls=Argument, completes="run")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def cancel_command(run: str, as_json: bool) -> int:
    """Stop RUN: its steps get ten seconds to end by themselves.

    \b
    Example:
      fairway cancel k7m2
    """
    stores = machine.LocalStores(settings.store_root())
    name = runs.find_run(stores, run)
    if runs.cancel_run(stores, name):
        said = f"run {name} is being cancelled"
    else:
        said = f"run {name} was interrupted before; it is cancelled now"
    stores.close()
    if as_json:
        show_json({"run": name, "cancelled": True})
    else:
        tell(said)
    return EXIT_DONE


@click.command("plan", cls=PipelineCommand, context_settings=_WORDS)
@click.argument("file", cls=Argument, completes="project_file")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, cls=Argument, completes="flag_value")
@click.option("--config", default="", help=_CONFIG)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan_command(file: str, words: tuple[str, ...], config: str, as_json: bool) -> int:
    """Say which steps a run of FILE would start and which are cached, as far as that can be known without running.

    \b
    Example:
      fairway plan churn.py --depths 2 4
    """
    request = _asked(file, config)
    stores = machine.LocalStores(settings.store_root(request.file, request.module)).prepare()
    follower = Following(list(words), explain=False, quiet=True, silent=True, helping=False)
    launched = headstart.launch_host(runs.setup_of(request, stores))
    steps = asyncio.run(runs.foresee(request, stores, launched, follower))
    stores.close()
    if as_json:
        show_json([{"step": step, "will": will, "why": why} for step, will, why in steps])
        return EXIT_DONE
    for step, will, why in steps:
        show(f"  {step:<28} {will:<8} {why}".rstrip())
    return EXIT_DONE


def _carry_out(
    request: RunRequest,
    stores: machine.LocalStores,
    follower: Following,
    begun: float,
    *,
    as_json: bool,
) -> int:
    stores.prepare()
    launched = headstart.launch_host(runs.setup_of(request, stores))
    try:
        name, ended = asyncio.run(runs.execute(request, stores, launched, follower))
        if follower.progress is not None:
            follower.progress.finish()
        if as_json:
            show_json(stores.metadata.run(name))
        else:
            _say_end(name, ended, time.monotonic() - begun, stores)
    finally:
        stores.close()
    return _exit_code(ended)


def _say_end(name: str, ended: "RunEnded", seconds: float, stores: machine.LocalStores) -> None:
    from fairway.spec.quantities import format_duration
    from fairway.spec.run import Phase

    spent = format_duration(seconds)
    if ended.phase is Phase.SUCCEEDED:
        tell(f"Done in {spent}.{_next(stores.metadata.registered_by(name), stores)}")
        return
    if ended.phase is Phase.CANCELLED:
        tell(f"Cancelled after {spent}. To go on: {from_here(f'fairway resume {name}', stores.root)}")
        return
    failure = ended.failure
    if failure is not None:
        if failure.details:
            tell_block(f"\n{failure.details}\n")
        where = (
            f"{failure.cause}: " if failure.cause and not failure.message.startswith(failure.cause) else ""
        )
        tell(f"error: {where}{failure.message}")
        resume = from_here(f"fairway resume {name}", stores.root)
        tell(f"hint: {failure.hint or f'fix it, then `{resume}`'}")
    tell(f"Failed after {spent}. Its record: {from_here(f'fairway show {name}', stores.root)}")


def _next(models: "Sequence[str]", stores: machine.LocalStores) -> str:
    """How to serve the last model of a run that can be served, or why none can."""
    for model in reversed(models):
        if stores.metadata.resolve(model).can_be_served:
            return f" To serve it: {from_here(f'fairway deploy {model}', stores.root)}"
    if not models:
        return ""
    return f" {models[-1]} has no sample, so it cannot be served yet: give `fw.register` rows of its input as `sample=`"


def _exit_code(ended: "RunEnded") -> int:
    from fairway.spec.run import Phase, Reason

    if ended.phase is Phase.SUCCEEDED:
        return EXIT_DONE
    if ended.phase is Phase.CANCELLED:
        return EXIT_INTERRUPTED
    return EXIT_REFUSED if ended.failure is not None and ended.failure.reason is Reason.GATE else EXIT_FAILED


def _print_flags(pipeline: "PipelineSpec", project: "ProjectSpec") -> None:
    formatter = click.HelpFormatter()
    formatter.write_usage("fairway run", f"{Path(project.path).name}:{pipeline.name} [FLAGS]")
    if pipeline.doc:
        formatter.write_paragraph()
        formatter.write_text(pipeline.doc)
    described = flags.describe(pipeline)
    if described:
        with formatter.section("Flags"):
            formatter.write_dl(described)
    with formatter.section("Of every run"):
        shared = [("--explain", "why each step ran"), ("--quiet", ""), ("--json", "")]
        if not flags.has_config(pipeline):
            shared.insert(0, ("--config FILE", "parameters from JSON or TOML"))
        formatter.write_dl(shared)
    show_block(formatter.getvalue().rstrip())
