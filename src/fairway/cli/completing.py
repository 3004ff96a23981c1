"""Completion in a shell of files, pipelines and their flags, runs, steps, models and endpoints.

Completion never runs code of a project: it reads project files as text, and makes no store. A question that cannot be
answered completes nothing, because an error message would end up in the middle of the line that a person is typing.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from fairway.cli import outline, targeting
from fairway.cli.asking import ask
from fairway.ports.platform import Platform
from fairway.spec.errors import FairwayError
from fairway.wiring import process, settings, target

_MOST_RUNS = 50

Items = list[CompletionItem[str]]
Complete = Callable[[click.Context, str], Items]

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' answer kind text
    answer=$(env COMP_WORDS="${COMP_LINE:0:$COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    while IFS=, read -r kind text; do
        case $kind in
            plain) COMPREPLY+=("$text") ;;
            file) compopt -o filenames; COMPREPLY+=($(compgen -f -- "$text")) ;;
            dir) compopt -o filenames; COMPREPLY+=($(compgen -d -- "$text")) ;;
        esac
    done <<< "$answer"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """The completion for Bash. It offers files and names together, and words with a `:` or `@` in them.

    Bash cuts such words into several. So the line itself is read, and an answer leaves out the part before the cut.
    """

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words, and the word that is being typed."""
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        breaks = set(os.environ.get("COMP_WORDBREAKS", ""))
        self._cut = max((place + 1 for place, letter in enumerate(incomplete) if letter in breaks), default=0)
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a line with the kind of a word, and the word."""
        return f"{item.type},{item.value[self._cut :] if item.type == 'plain' else item.value}"


def install() -> None:
    """Make click use `Bash` for the shell of that name."""
    add_completion_class(Bash)


def _quiet(complete: Callable[[click.Context, str], Iterable[CompletionItem[str]]]) -> Complete:
    """Return a function that completes nothing if `complete` fails, and keeps only words that begin as typed."""

    def answer(ctx: click.Context, incomplete: str) -> Items:
        try:
            return [
                item
                for item in complete(ctx, incomplete)
                if item.value.isprintable() and (item.type != "plain" or item.value.startswith(incomplete))
            ]
        except Exception:  # a traceback would be printed into the line being typed
            return []

    return answer


def _platform() -> Platform | None:
    """Return the platform of the store of this folder, if there is one. A target is not asked, because that may take long."""
    if targeting.is_away():
        return None
    root = settings.store_root()
    return target.here(root) if (root / "store.json").exists() else None


def _file(word: str) -> Path:
    """Return the project file that a word means: a path, or the name of a module."""
    try:
        return Path(process.find_project(word)[0])
    except FairwayError:
        return Path(word)


@_quiet
def project_file(ctx: click.Context, incomplete: str) -> Items:
    """Complete a file, and behind `FILE:` the pipelines in it."""
    path, colon, _ = incomplete.partition(":")
    found: Items = [] if colon else [CompletionItem(incomplete, type="file")]
    names = outline.read(_file(path)).pipelines
    if colon or len(names) > 1:
        found += [CompletionItem(f"{path}:{name}", help="pipeline") for name in names]
    return found


@_quiet
def run(ctx: click.Context, incomplete: str) -> Items:
    """Complete names of runs, the newest first."""
    platform = _platform()
    runs = ask(platform.runs(_MOST_RUNS)) if platform is not None else []
    return [CompletionItem(run.name, help=f"{run.pipeline} {run.phase.value}") for run in runs]


@_quiet
def run_or_step(ctx: click.Context, incomplete: str) -> Items:
    """Complete names of runs, and behind `RUN/` the steps of the run."""
    name, slash, _ = incomplete.partition("/")
    if not slash:
        return run(ctx, incomplete)
    platform = _platform()
    steps = ask(platform.run(name)).steps if platform is not None else ()
    return [CompletionItem(f"{name}/{step.spec.name}", help=step.phase.value) for step in steps]


@_quiet
def endpoint(ctx: click.Context, incomplete: str) -> Items:
    """Complete names of endpoints."""
    platform = _platform()
    known = ask(platform.deployed()) if platform is not None else []
    return [CompletionItem(status.name) for status in known]


@_quiet
def logged(ctx: click.Context, incomplete: str) -> Items:
    """Complete names of everything that has a log: runs, their steps, endpoints."""
    return [*run_or_step(ctx, incomplete), *endpoint(ctx, incomplete)]


@_quiet
def model(ctx: click.Context, incomplete: str) -> Items:
    """Complete names of models, behind `NAME:` the versions and behind `NAME@` the aliases."""
    platform = _platform()
    if platform is None:
        return []
    if "@" in incomplete:
        return [CompletionItem(reference) for reference in ask(platform.aliases())]
    name, colon, _ = incomplete.partition(":")
    if colon:
        return [CompletionItem(f"{name}:{one.version}") for one in ask(platform.versions(name))]
    return [CompletionItem(one.name, help=one.newest.candidate.framework) for one in ask(platform.models())]


@_quiet
def alias(ctx: click.Context, incomplete: str) -> Items:
    """Complete aliases that exist, and the usual alias."""
    platform = _platform()
    known = ask(platform.aliases()) if platform is not None else {}
    return [CompletionItem(name) for name in sorted({"champion", *(key.partition("@")[2] for key in known)})]


@_quiet
def deployable(ctx: click.Context, incomplete: str) -> Items:
    """Complete a model, or a file with endpoints."""
    return [*model(ctx, incomplete), CompletionItem(incomplete, type="file")]


def _flags_of(ctx: click.Context) -> tuple[outline.Flag, ...]:
    """Return the flags of the pipeline that the words so far name. Return none when the pipeline is not clear."""
    path, _, wanted = str(ctx.params.get("file") or "").partition(":")
    pipelines = outline.read(_file(path)).pipelines
    if wanted:
        return pipelines.get(wanted, ())
    return next(iter(pipelines.values())) if len(pipelines) == 1 else ()


@_quiet
def flag_value(ctx: click.Context, incomplete: str) -> Items:
    """Complete the value of a flag of the pipeline: one of its choices, or a file."""
    before = [word for word in ctx.params.get("words") or () if word.startswith("--")][-1:]
    for flag in _flags_of(ctx):
        if before == [f"--{flag.name.replace('_', '-')}"]:
            if flag.is_bool:
                return []
            if flag.choices:
                return [CompletionItem(choice) for choice in flag.choices]
    return [CompletionItem(incomplete, type="file")]


@_quiet
def flags(ctx: click.Context, incomplete: str) -> Items:
    """Complete the flags of the pipeline in the file that the words name."""
    found: Items = []
    for flag in _flags_of(ctx):
        name = flag.name.replace("_", "-")
        found += [CompletionItem(f"--{name}"), *([CompletionItem(f"--no-{name}")] if flag.is_bool else [])]
    return found
