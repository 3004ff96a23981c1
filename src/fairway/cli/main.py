"""The command `fairway`. It loads only the command that is used, and turns errors into a message and an exit code."""

import importlib
import os
import sys

import click

from fairway.cli.story import report, report_block
from fairway.spec.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, FairwayError, NotFound
from fairway.wiring import process

_COMPLETE = "_FAIRWAY_COMPLETE"
"""The variable that the script of a shell sets when it asks click for completions."""

COMMANDS = {
    "init": ("fairway.cli.projects", "Write a project to start from."),
    "run": ("fairway.cli.running", "Run a pipeline."),
    "plan": ("fairway.cli.running", "Say what a run would do and what is cached."),
    "resume": ("fairway.cli.running", "Resume an interrupted or failed run."),
    "retry": ("fairway.cli.debugging", "Run one step of a run again."),
    "debug": ("fairway.cli.debugging", "Run one step again in a debugger."),
    "profile": ("fairway.cli.debugging", "Show where the time of a step goes."),
    "reproduce": ("fairway.cli.reproducing", "Make a run again and compare the results."),
    "follow": ("fairway.cli.running", "Follow a run to its end."),
    "cancel": ("fairway.cli.running", "Stop a run."),
    "schedule": ("fairway.cli.scheduling", "Run a pipeline again and again."),
    "schedules": ("fairway.cli.scheduling", "List schedules."),
    "unschedule": ("fairway.cli.scheduling", "Remove a schedule."),
    "webhooks": ("fairway.cli.webhooks", "Say who is told of the end of runs."),
    "runs": ("fairway.cli.listing", "List runs."),
    "show": ("fairway.cli.history", "Show a run, step by step."),
    "get": ("fairway.cli.getting", "Bring a value of a run here, as a file or as text."),
    "why": ("fairway.cli.reasons", "Say why a run did not succeed."),
    "logs": ("fairway.cli.history", "Print what a run's steps printed."),
    "compare": ("fairway.cli.listing", "Compare runs: metrics, parameters, data, code."),
    "tag": ("fairway.cli.keeping", "Put words on a run."),
    "note": ("fairway.cli.keeping", "Write a text on a run."),
    "rm": ("fairway.cli.keeping", "Remove runs and versions that nothing needs."),
    "models": ("fairway.cli.registry", "List, show, compare and alias registered models."),
    "deploy": ("fairway.cli.serving", "Serve a model or a file's endpoints."),
    "rollback": ("fairway.cli.serving", "Return an endpoint to its previous revision."),
    "undeploy": ("fairway.cli.serving", "Remove an endpoint."),
    "endpoints": ("fairway.cli.endpoints", "List endpoints."),
    "ui": ("fairway.cli.ui", "Open the page of this project in the browser."),
    "tokens": ("fairway.cli.people", "List, give and take the tokens of people."),
    "audit": ("fairway.cli.people", "Say who changed what."),
    "up": ("fairway.cli.serving", "Start the platform process on this machine."),
    "down": ("fairway.cli.serving", "Stop the platform process and its endpoints."),
    "target": ("fairway.cli.targets", "Name a cluster to run on, or forget one."),
    "targets": ("fairway.cli.targets", "List the targets to run on."),
    "gc": ("fairway.cli.storage", "Remove stored content that nothing refers to."),
    "du": ("fairway.cli.usage", "Say what takes the room in the store."),
    "backup": ("fairway.cli.storage", "Copy the store to a folder, while it is in use."),
    "restore": ("fairway.cli.storage", "Make a store from a backup."),
    "trust": ("fairway.cli.trusting", "Make a store of somebody else yours."),
    "image": ("fairway.cli.images", "Make the image for a cluster and push it."),
    "install": ("fairway.cli.installing", "Install Fairway in a namespace of a cluster."),
    "upgrade": ("fairway.cli.installing", "Bring Fairway in a cluster to this version."),
    "uninstall": ("fairway.cli.installing", "Remove Fairway from a namespace."),
    "render": ("fairway.cli.installing", "Print the objects of an installation as YAML."),
    "doctor": ("fairway.cli.storage", "Check this machine and the store."),
    "completion": ("fairway.cli.projects", "Print the completion script of a shell."),
}


class Commands(click.Group):
    """The group of all commands. It imports the module of a command only when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all commands, in the order in which a project meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        found: click.Command = getattr(module, f"{cmd_name}_command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list for `--help` from the table, so that no command is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command as click does. The error for an unknown name has a guess."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            guess = f"; did you mean `fairway {close[0]}`?" if close else ""
            raise click.UsageError(f"there is no command {args[0]!r}{guess}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="fairway-ml", prog_name="fairway")
@click.pass_context
def cli(context: click.Context) -> None:
    """From data to a model that answers requests.

    Alone, it says what is in this project and which commands come next.

    \b
    Example:
      fairway init && fairway run cancer.py && fairway deploy cancer
    """
    if context.invoked_subcommand is None:
        from fairway.cli import overview

        overview.print_overview(context)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Return the exit code."""
    if _COMPLETE in os.environ:
        from fairway.cli import completing

        completing.install()
    try:
        words = sys.argv[1:] if arguments is None else arguments
        if words and words[0] in COMMANDS:
            process.refuse_at_import(f"`fairway {words[0]}`")
        outcome = cli.main(args=arguments, prog_name="fairway", standalone_mode=False)
    except FairwayError as error:
        _complain(error.message, _pointed(error), error.details)
        return error.exit_code
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "fairway"
        _complain(
            error.format_message()[:1].lower() + error.format_message()[1:].rstrip("."), f"`{where} --help`"
        )
        return EXIT_USAGE
    except click.ClickException as error:
        _complain(error.format_message(), "")
        return EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILED
    except OSError as error:
        met = process.explain(error)
        _complain(met.message, met.hint)
        return EXIT_FAILED
    return outcome if isinstance(outcome, int) else 0


def _pointed(error: FairwayError) -> str:
    """Return the hint of an error. If nothing was found because there is no store here, name the stores below."""
    if not isinstance(error, NotFound):
        return error.hint
    from fairway.cli import whereabouts

    return whereabouts.elsewhere() or error.hint


def _complain(message: str, hint: str, details: str = "") -> None:
    if details:
        report_block(f"\n{details}\n")
    report(f"error: {message}", *([f"hint: {hint}"] if hint else []))
