"""A model as a package: a folder with everything that a server needs, listed by digest."""

import msgspec

FORMAT = "fairway-model-package-1"
LIST = "package.json"
SEAL = "package.sha256"
SIGNATURE = "package.json.sig"
NAMESPACE = "fairway-model"
"""The purpose for which a package is signed. A signature for anything else counts for nothing."""

VERSION = "model.json"
CONTENT = "content"


class Listed(msgspec.Struct, frozen=True):
    """A file of a package: its sha256 and its bytes."""

    digest: str
    size: int


class PackageList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files of a package by path. The digest of this list is the digest of the package."""

    format: str
    model: str
    version: int
    files: dict[str, Listed]
