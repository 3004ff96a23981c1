"""The certificates that the programs in a pod trust, where the ones of the image are not enough. Pure functions."""

from fairway.cluster.podspec import ConfigMapSource, KeyPath, Mount, Volume
from fairway.spec.install import Install

_FOLDER = "/etc/fairway-trust"
_FILE = "ca.crt"
_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that name the file: the first for OpenSSL and Rust, the second for `requests`, which has a list of its own."""


def variables(install: Install) -> dict[str, str]:
    """Return the variables that name the file."""
    return dict.fromkeys(_VARIABLES, f"{_FOLDER}/{_FILE}") if install.trust else {}


def mounts(install: Install) -> tuple[Mount, ...]:
    """Return the place of the file in a container."""
    return (Mount(name="trust", mount_path=_FOLDER, read_only=True),) if install.trust else ()


def volumes(install: Install) -> tuple[Volume, ...]:
    """Return the volume with the file."""
    if not install.trust:
        return ()
    source = ConfigMapSource(name=install.trust, items=(KeyPath(key=_FILE, path=_FILE),))
    return (Volume(name="trust", config_map=source),)
