"""Arguments that a shell can complete. The completing code is loaded only for a shell, to keep commands quick."""

from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Kind = Literal[
    "project_file", "flag_value", "run", "run_or_step", "logged", "model", "alias", "endpoint", "deployable"
]


class Argument(click.Argument):
    """An argument that names something of the kind `completes`, a function of `cli.completing`."""

    def __init__(self, words: list[str], *, completes: Kind, **options: Any) -> None:
        super().__init__(words, **options)
        self._completes = completes

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return the words that complete the typed text."""
        from fairway.cli import completing

        complete: completing.Complete = getattr(completing, self._completes)
        return complete(ctx, incomplete)


class PipelineCommand(click.Command):
    """A command with a project file. It completes the flags of the file's pipeline beside its own."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return the completed options of the command, then those of the pipeline."""
        from fairway.cli import completing

        return [*super().shell_complete(ctx, incomplete), *completing.flags(ctx, incomplete)]
