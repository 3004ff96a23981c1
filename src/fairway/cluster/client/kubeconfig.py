"""Kubeconfigs as they are written, and several of them merged by the rules of kubectl.

The first file that has a name wins, for each name by itself, and never for a part of an entry. No message here quotes a
line of a file, which may hold a secret.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fairway.cluster.client.errors import ClusterConfigError

T = TypeVar("T")

_INTEGER = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0o?[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+)$")
_FRACTION = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


class Variable(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class Exec(msgspec.Struct, frozen=True, rename="camel"):
    command: str = ""
    api_version: str = ""
    args: list[str] | None = None
    env: list[Variable] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class Extension(msgspec.Struct, frozen=True):
    name: str
    extension: Any = None


class Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    proxy_url: str = ""
    disable_compression: bool = False
    extensions: list[Extension] | None = None


class User(msgspec.Struct, frozen=True, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    exec: Exec | None = None
    auth_provider: Any = None
    act_as: str = msgspec.field(default="", name="as")
    as_uid: str = ""
    as_groups: list[str] | None = None
    as_user_extra: dict[str, list[str]] | None = None


class Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: Cluster | None = None


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: User | None = None


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: Context | None = None


class _File(msgspec.Struct, frozen=True):
    """A kubeconfig as it is written."""

    current_context: str = msgspec.field(default="", name="current-context")
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


class Merged(msgspec.Struct):
    """All kubeconfigs as one. Beside each cluster and user stands the file that it is from."""

    paths: list[Path]
    current: str = ""
    clusters: dict[str, tuple[Cluster, Path]] = {}
    users: dict[str, tuple[User, Path]] = {}
    contexts: dict[str, tuple[Context, Path]] = {}

    @property
    def place(self) -> str:
        return ", ".join(map(str, self.paths))


def merged_files(paths: list[Path]) -> Merged:
    merged = Merged(paths)
    for path in paths:
        file = _read(path)
        # The first file that says something wins, for each name by itself and never for parts of an entry.
        merged.current = merged.current or file.current_context
        for name, cluster in _named(path, "cluster", [(c.name, c.cluster) for c in file.clusters or []]):
            merged.clusters.setdefault(name, (cluster or Cluster(), path))
        for name, user in _named(path, "user", [(u.name, u.user) for u in file.users or []]):
            merged.users.setdefault(name, (user or User(), path))
        for name, context in _named(path, "context", [(c.name, c.context) for c in file.contexts or []]):
            merged.contexts.setdefault(name, (context or Context(), path))
    return merged


def _named(path: Path, kind: str, entries: list[tuple[str, T]]) -> Iterable[tuple[str, T]]:
    seen: set[str] = set()
    for name, _ in entries:
        if name in seen:
            raise ClusterConfigError(
                f"{path} has two {kind}s of the name {name!r}", hint=f"rename or remove one of them in {path}"
            )
        seen.add(name)
    return entries


def _read(path: Path) -> _File:
    # Only commands about a cluster read YAML.
    import yaml

    hint = f"`kubectl --kubeconfig {path} config view` shows how kubectl reads it"
    try:
        content = yaml.load(path.read_bytes(), _loader())
        return msgspec.convert(content or {}, _File)
    except OSError as error:
        raise ClusterConfigError(f"{path} cannot be read: {error.strerror}", hint=f"`ls -l {path}`") from None
    except yaml.MarkedYAMLError as error:
        # The whole text of the error quotes the line, which may hold a token.
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ClusterConfigError(f"{path} is no valid YAML{line}: {error.problem}", hint=hint) from None
    except (yaml.YAMLError, RecursionError):
        raise ClusterConfigError(f"{path} is no valid YAML", hint=hint) from None
    except msgspec.ValidationError as error:
        raise ClusterConfigError(f"{path} is no valid kubeconfig: {error}", hint=hint) from None


def _loader() -> Any:
    """Return a YAML loader that reads what Go's does: a date or "12:30" is a text."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    other = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    kept: dict[str, list[tuple[str, Any]]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in other]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    loader: Any = type("Loader", (base,), {"yaml_implicit_resolvers": kept})
    loader.add_implicit_resolver(other[1], _INTEGER, list("-+0123456789"))
    loader.add_implicit_resolver(other[2], _FRACTION, list("-+0123456789."))
    return loader
