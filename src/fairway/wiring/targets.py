"""The targets that a person has named, and the choice among them: this machine, or Fairway in a cluster.

Every command and `fw.run` choose here. Targets are kept in a file of Fairway's own. No file of kubectl is ever written.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fairway.local import project_settings
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import NotFound, StorageError, UsageError
from fairway.wiring import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairway.cluster.client.config import Access
    from fairway.remote import RemotePlatform
    from fairway.spec.retention import Retention

LOCAL = "local"
"""The name of this machine among the targets."""

_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A namespace of a cluster in which Fairway is installed.

    Attributes:
        context: the context of the kubeconfig. It is empty in a pod, which has no kubeconfig.
        namespace: the namespace in which Fairway is installed.
        kubeconfig: the kubeconfig, or several as in KUBECONFIG. It is empty for those that kubectl uses.
    """

    name: str
    context: str = ""
    namespace: str = ""
    kubeconfig: str = ""


class _Kept(msgspec.Struct, kw_only=True):
    """The content of the file of targets."""

    targets: dict[str, Target] = msgspec.field(default_factory=dict[str, Target])


def known() -> dict[str, Target]:
    """Return the targets that were added, by name. Raises StorageError."""
    place = _place()
    try:
        content = place.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror}") from None
    try:
        return msgspec.json.decode(content, type=_Kept).targets
    except UNREADABLE as error:
        raise StorageError(
            f"{place} is not readable as a list of targets: {error}",
            hint=f"move it away and add them again: `mv {place} {place}.old`",
        ) from None


def add(target: Target) -> None:
    """Keep a target. A target with the same name is replaced. Raises UsageError, StorageError."""
    if target.name == LOCAL or not _NAME.fullmatch(target.name):
        raise UsageError(
            f"{target.name[:80]!r} cannot be the name of a target",
            hint=f"a name has letters, digits, `.`, `_` and `-`, at most 63; `{LOCAL}` is this machine",
        )
    _write({**known(), target.name: target})


def remove(name: str) -> None:
    """Forget a target. What is in the cluster stays. Raises NotFound, StorageError."""
    targets = known()
    if name not in targets:
        raise _unknown(name, "", targets)
    del targets[name]
    _write(targets)


def chosen(word: str = "", folder: str = "") -> Target | None:
    """Return the target on which a command works; None for this machine.

    The word of the command line wins over FAIRWAY_TARGET, which wins over the project's own setting.

    Args:
        word: the name given with `--target`. It may be empty.
        folder: the folder from which the project is looked for. The default is the working directory.

    Raises:
        NotFound: there is no target of that name.
        UsageError: the project's setting is not a name.
    """
    name, where = default(folder) if not word else (word, "")
    if not name or name == LOCAL:
        return None
    targets = known()
    if name not in targets:
        raise _unknown(name, where, targets)
    return targets[name]


def default(folder: str = "") -> tuple[str, str]:
    """Return the name of the target without `--target`, and where it is set; empty texts for this machine.

    Raises:
        UsageError: the project's setting is not a name.
    """
    name = settings.target()
    if name:
        return name, "FAIRWAY_TARGET"
    project = project_settings.read(folder or os.getcwd())
    return (project.target, project.path) if project.target else ("", "")


def retention() -> "Retention":
    """Return how long the runs of the project around the working directory are kept. Raises UsageError."""
    return project_settings.read(os.getcwd()).keep


def resolved(target: Target) -> Target:
    """Return a target with the context and namespace that its kubeconfig gives. Raises FairwayError without such a context."""
    access = access_to(target)
    return msgspec.structs.replace(target, context=access.context, namespace=access.namespace)


def platform(target: Target, tell: "Callable[..., None]") -> "RemotePlatform":
    """Return the platform of a target. Raises FairwayError if the kubeconfig does not lead there.

    Args:
        tell: takes lines for the user, such as that the platform is not ready yet.
    """
    from fairway.cluster.reaching import ThroughCluster
    from fairway.remote import RemotePlatform

    return RemotePlatform(ThroughCluster(target.name, access_to(target), cache_folder() / "targets", tell))


def access_to(target: Target) -> "Access":
    """Return what is needed to connect to the cluster of a target. Raises FairwayError."""
    from fairway.wiring import clusters

    return clusters.access_to(target.context, target.namespace, target.kubeconfig)


def cache_folder() -> Path:
    """Return the folder of this user for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "fairway")


def _place() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "fairway", "targets.json")


def _write(targets: dict[str, Target]) -> None:
    """Write the file of targets as a whole, readable for this user alone. Raises StorageError."""
    place = _place()
    content = msgspec.json.format(msgspec.json.encode(_Kept(targets=dict(sorted(targets.items())))))
    fresh = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content + b"\n")
        fresh.replace(place)
    except OSError as error:
        raise StorageError(f"{place} cannot be written: {error.strerror}") from None


def _unknown(name: str, where: str, targets: dict[str, Target]) -> NotFound:
    names = ", ".join([LOCAL, *targets])
    named = f", which {where} names" if where else ""
    hint = f"`fairway target add {name}` makes it known"
    if where:
        hint += f"; `--target {LOCAL}` works on this machine"
    return NotFound(f"there is no target {name[:80]!r}{named}; known are {names}", hint=hint)
