"""Asks the record of a store whether a run of this project made a model. Knows no format.

The database is loaded when it is asked for, which a server of a compiled model never does.
"""

from pathlib import Path

from fairway import stores
from fairway.plan.provenance import made_here
from fairway.spec.model import ModelVersion


def made_by_a_run(version: ModelVersion, store: Path) -> bool:
    """Whether the store is this user's own and its log says so."""
    if not version.lineage.run:
        return False
    metadata = stores.SqliteMetadata(stores.Layout(store))
    try:
        return not metadata.why_foreign() and made_here(version, metadata.events(run=version.lineage.run))
    finally:
        metadata.close()
