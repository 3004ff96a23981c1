"""Asks the record of a store whether a run of this project made a model. Knows no format."""

from pathlib import Path

from fairway.plan.provenance import made_here
from fairway.spec.model import ModelVersion
from fairway.stores import Layout, SqliteMetadata


def made_by_a_run(version: ModelVersion, store: Path) -> bool:
    """Whether the log of the store says so."""
    if not version.lineage.run:
        return False
    metadata = SqliteMetadata(Layout(store))
    try:
        return made_here(version, metadata.events(run=version.lineage.run))
    finally:
        metadata.close()
