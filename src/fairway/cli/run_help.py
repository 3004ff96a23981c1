"""The help of a run: the flags of its pipeline, and those of every run."""

from pathlib import Path

import click

from fairway.cli import flags
from fairway.cli.story import show_block
from fairway.spec.project import PipelineSpec, ProjectSpec


def show_flags(pipeline: PipelineSpec, project: ProjectSpec) -> None:
    """Print the flags of a pipeline, and those of every run."""
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
        shared = [
            ("--explain", "why each step ran"), ("--quiet", ""), ("--detach", "hand it to the platform process"),
            ("--here", "in this process, for a debugger"), ("--json", ""), ("--target NAME", "where it runs"),
        ]  # fmt: skip
        if not flags.has_config(pipeline):
            shared.insert(0, ("--config FILE", "parameters from JSON or TOML"))
        formatter.write_dl(shared)
    show_block(formatter.getvalue().rstrip())
