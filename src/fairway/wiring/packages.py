"""The parts for packages of models: who signs them, who is trusted, and the store that takes them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.spec.package import NAMESPACE
from fairway.wiring.machine import LocalStores

if TYPE_CHECKING:
    from fairway.engine.packages import Package, Sign
    from fairway.spec.model import ModelVersion


def signing(key: Path | None) -> "Sign | None":
    """Return the function that signs with a person's SSH key; None without a key."""
    if key is None:
        return None
    from fairway.local import signing

    return partial(signing.sign, key=key, namespace=NAMESPACE)


def take(root: Path, folder: Path, digest: str, trust: Path | None) -> "tuple[ModelVersion, Package]":
    """Register the model of a package in a store. Raises FairwayError, and nothing is registered then.

    Args:
        digest: the digest that the package must have; empty for any.
        trust: the file of the signers of whom one must have signed it; None if nobody has to.
    """
    from fairway.engine import packages
    from fairway.local import signing

    signer = partial(signing.signer, allowed=trust, namespace=NAMESPACE) if trust is not None else None
    package = packages.read(folder, digest, signer)
    stores = LocalStores(root).prepare()
    try:
        return packages.take(package, folder, stores.artifacts, stores.metadata), package
    finally:
        stores.close()
