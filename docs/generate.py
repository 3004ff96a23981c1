"""The generator of pages in docs/reference: `python docs/generate.py` writes them, `--check` tells whether they are fresh.

The commands come from the command line itself, and the words of a project file from their signatures and docstrings. The
settings are written here, because each needs a sentence. A test compares them with what the code reads.
"""

import importlib
import inspect
import sys
from pathlib import Path

import click

import fairway
from fairway.cli.main import COMMANDS, cli

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Made by `python docs/generate.py`; do not edit. -->\n\n"

SETTINGS = {
    "FAIRWAY_FIRST_PORT": "Port of the platform, instead of 7700. Endpoints take free ports above it. "
    "Give each user of a shared machine, and each of several jobs at once, a different one.",
    "FAIRWAY_HOME": 'Directory of the store, instead of the project\'s own (see Concepts, "store").',
    "FAIRWAY_TOKEN": "Token for the platform's API, instead of the one kept in the store.",
    "FAIRWAY_TARGET": "Name of the target on which commands work, as `fairway targets` lists them, instead of the project's own. "
    "`local` is this machine.",
    "FAIRWAY_HOST": "Set by Fairway for a host and its descendants, to find orphans and to stop endless chains. Do not set it.",
    "FAIRWAY_LEASE": "Set by Fairway for a step, so that runs which the step starts stay within its share. Do not set it.",
}

EXITS = {
    0: "done",
    1: "the run, or the command, failed",
    2: "wrong usage: a flag, a declaration, or a project that cannot be read",
    3: "a gate refused a model",
    4: "not found: a run, model, version, alias, endpoint or file",
    5: "not allowed",
    130: "interrupted or cancelled",
}

PLACES = {
    ".fairway/fairway.db": "the event log and the tables made from it (SQLite)",
    ".fairway/blobs/": "content by its sha256",
    ".fairway/runs/RUN/": "records and output of a run's attempts",
    ".fairway/endpoints/": "sockets and logs of the model servers",
    ".fairway/platform/": "the platform process: its token, the hashes of other tokens and of sessions (mode 0600), its address, "
    "its log",
    "~/.config/fairway/targets.json": "the targets that were added (mode 0600); below `XDG_CONFIG_HOME` where that is set",
    "~/.cache/fairway/": "virtual environments of tasks with `environment=`, and parts of images; below `XDG_CACHE_HOME` if set",
}


def commands() -> str:
    """Return the page of commands, with usage, arguments and options."""
    parts = [f"# Commands\n\n{MADE}"]
    for name in COMMANDS:
        context = click.Context(cli, info_name="fairway")
        command = cli.get_command(context, name)
        if command is not None:
            parts.append(_command(command, f"fairway {name}", 2))
    return "\n".join(parts)


def _command(command: click.Command, path: str, level: int) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    told, _, example = inspect.cleandoc(command.help or "").replace("\b", "").partition("Example:")
    parts = [f"{'#' * level} {path}\n", f"```\n{path} {usage}\n```\n", f"{told.strip()}\n"]
    if example:
        parts.append(f"```\n{inspect.cleandoc(example)}\n```\n")
    rows = [_option(one, context) for one in command.params if isinstance(one, click.Option)]
    if rows:
        parts.append("| Option | |\n|---|---|\n" + "\n".join(rows) + "\n")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                parts.append(_command(inner, f"{path} {name}", level + 1))
    return "\n".join(parts)


def _option(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    names, text = record if record is not None else (", ".join(option.opts), "")
    return f"| `{names.replace('|', ', ')}` | {text.replace('|', ', ')} |"


def project_file() -> str:
    """Return the page of public names, with signatures and docstrings."""
    parts = [f"# The project file\n\n{MADE}`import fairway as fw` gives these names.\n"]
    for name in sorted(fairway.__all__, key=str.lower):
        value = getattr(fairway, name)
        home = importlib.import_module(value.__module__) if hasattr(value, "__module__") else None
        plain = getattr(home, name, value) if home is not None else value
        parts.append(f"## fw.{name}\n\n```\n{_signature(name, plain)}\n```\n\n{_doc(plain)}\n")
        if inspect.isclass(plain):
            parts += _members(plain)
    return "\n".join(parts)


def _signature(name: str, value: object) -> str:
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return f"fw.{name}"
    text = f"fw.{name}{signature}"
    if len(text) <= 100:
        return text
    lines: list[str] = []
    named = False
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not named:
            named = True
            lines.append("    *,")
        lines.append(f"    {one},")
        if one.kind is one.POSITIONAL_ONLY:
            lines.append("    /,")
    returned = signature.return_annotation
    end = "" if returned is inspect.Signature.empty else f" -> {inspect.formatannotation(returned)}"
    return "\n".join([f"fw.{name}(", *lines, f"){end}"])


def _doc(value: object) -> str:
    lines: list[str] = []
    for line in (inspect.getdoc(value) or "").splitlines():
        bare = line.strip()
        if bare in ("Args:", "Attributes:", "Returns:", "Raises:"):
            lines += ["", f"{bare[:-1]}", ""]
        elif line.startswith("    ") and bare:
            name, colon, rest = bare.partition(": ")
            new = colon and not line.startswith("     ") and " " not in name
            lines.append(f"- `{name}`: {rest}" if new else f"  {bare}")
        else:
            lines.append(line)
    return "\n".join(lines).strip() + "\n"


def _members(kind: type) -> list[str]:
    told: list[str] = []
    for name, member in sorted(vars(kind).items()):
        if name.startswith("_") or not (callable(member) or isinstance(member, property)):
            continue
        first = (inspect.getdoc(member) or "").split("\n\n")[0].replace("\n", " ")
        if first:
            told.append(f"- `.{name}{'' if isinstance(member, property) else '(…)'}` {first}")
    return ["\n".join(told) + "\n"] if told else []


def settings() -> str:
    """Return the page of environment variables, places and exit codes."""
    parts = [
        f"# Settings\n\n{MADE}A run needs only its project file. Besides that, there are these settings.\n"
    ]
    for title, rows in (
        ("Environment", {f"`{name}`": text for name, text in SETTINGS.items()}),
        ("Places", {f"`{name}`": text for name, text in PLACES.items()}),
        ("Exit codes", {str(code): text for code, text in EXITS.items()}),
    ):
        table = "\n".join(f"| {name} | {text} |" for name, text in rows.items())
        parts.append(f"## {title}\n\n| | |\n|---|---|\n{table}\n")
    parts.append(
        "## Ports\n\nThe platform takes port 7700, or the next free one below it. An endpoint takes the first free port from "
        "7701 up, or the one in `--port`, and keeps it. Both listen only on 127.0.0.1.\n"
    )
    return "\n".join(parts)


PAGES = {"commands.md": commands, "project-file.md": project_file, "settings.md": settings}


def main(words: list[str]) -> int:
    """Write the pages. With `--check`, list the stale ones and return 1 if there are any."""
    stale: list[str] = []
    REFERENCE.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make().rstrip() + "\n"
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in words:
                path.write_text(text, "utf-8")
    if stale:
        sys.stdout.write(f"{'stale' if '--check' in words else 'written'}: {', '.join(stale)}\n")
    return 1 if stale and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
