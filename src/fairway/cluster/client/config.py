"""The reading of kubeconfigs by the rules of kubectl. No file is ever written.

The rules: KUBECONFIG may name several files; the first file that has a name, or a current context, wins; missing files
are skipped; relative paths in a file are relative to it. Must not know how a connection is made.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from fairway.cluster.client.access import Access, Credentials, Plugin, Trust
from fairway.cluster.client.errors import ClusterConfigError
from fairway.cluster.client.kubeconfig import Cluster, Context, Exec, Merged, User, merged_files
from fairway.cluster.client.proxies import proxy_for

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONTEXTS = "`kubectl config get-contexts` lists the contexts that there are"
_PLUGIN_CONFIG = "client.authentication.k8s.io/exec"
_PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_MODES = ("Never", "IfAvailable", "Always")

T = TypeVar("T")


def load(*, context: str = "", namespace: str = "", environment: Mapping[str, str], home: Path) -> Access:
    """Return the access that kubectl would use with the same context, namespace and environment.

    In a pod, its service account is used if there is neither a context, nor KUBECONFIG, nor `~/.kube/config`.

    Raises:
        ClusterConfigError: no usable cluster is named.
    """
    named = [Path(each).absolute() for each in environment.get("KUBECONFIG", "").split(os.pathsep) if each]
    paths = named or [home / ".kube" / "config"]
    found = [path for path in dict.fromkeys(paths) if path.exists()]
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    if not found and not named and not context and host:
        access = in_cluster(host=host, port=environment.get("KUBERNETES_SERVICE_PORT", "443"))
        return msgspec.structs.replace(access, namespace=namespace) if namespace else access
    if not found:
        raise ClusterConfigError(
            f"there is no kubeconfig at {', '.join(map(str, paths))}, so no cluster is known",
            hint="get one from your cluster, such as by `minikube start`, or set KUBECONFIG to its path",
        )
    merged = merged_files(found)
    name = context or merged.current
    return _access(merged, name, namespace, environment)


def in_cluster(*, host: str, port: str, root: Path = _ACCOUNT) -> Access:
    """Return the access of a pod's own service account.

    Args:
        host: the value of KUBERNETES_SERVICE_HOST.
        port: the value of KUBERNETES_SERVICE_PORT.
        root: the folder at which the account is mounted.

    Raises:
        ClusterConfigError: no account is mounted, or there is no host.
    """
    missing = [name for name in ("token", "ca.crt") if not (root / name).is_file()]
    if missing or not host:
        raise ClusterConfigError(
            f"this process has no service account of a cluster: {root / missing[0] if missing else 'its host'} is missing",
            hint="set `serviceAccountName` and `automountServiceAccountToken: true` on the pod, or give it a kubeconfig",
        )
    namespace = root / "namespace"
    return Access(
        server=f"https://{_bracketed(host)}:{port or '443'}",
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
        trust=Trust(authority=(root / "ca.crt").read_bytes()),
        credentials=Credentials(token_file=str(root / "token")),
        inside=True,
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _access(merged: Merged, name: str, namespace: str, environment: Mapping[str, str]) -> Access:
    context = _context(merged, name)
    cluster, cluster_path = _part(merged, "cluster", context.cluster, name, merged.clusters)
    user, user_path = _part(merged, "user", context.user, name, merged.users)
    server = _server(cluster, context.cluster, cluster_path)
    trust = Trust(
        authority=_authority(cluster, context.cluster, cluster_path),
        server_name=cluster.tls_server_name,
        insecure=cluster.insecure_skip_tls_verify,
        proxy=cluster.proxy_url or proxy_for(server, environment),
    )
    return Access(
        server=server,
        namespace=namespace or context.namespace or "default",
        context=name,
        cluster=context.cluster,
        user=context.user,
        trust=trust,
        credentials=_credentials(user, context.user, user_path, _info(cluster, server, trust), environment),
    )


def _context(merged: Merged, name: str) -> Context:
    if not name:
        raise ClusterConfigError(
            f"{merged.place} names no current context, so no cluster is meant",
            hint="choose one: `kubectl config use-context NAME`, or give `--context NAME`",
        )
    if name not in merged.contexts:
        there = ", ".join(sorted(merged.contexts)) or "none"
        raise ClusterConfigError(
            f"there is no context {name!r} in {merged.place}; there are: {there}", hint=_CONTEXTS
        )
    return merged.contexts[name][0]


def _part(
    merged: Merged, kind: str, name: str, context: str, parts: dict[str, tuple[T, Path]]
) -> tuple[T, Path]:
    if name in parts:
        return parts[name]
    if kind == "user" and not name:
        return User(), merged.paths[0]  # type: ignore[return-value]
    says = f"names the {kind} {name!r}, which is not in {merged.place}" if name else f"names no {kind}"
    raise ClusterConfigError(
        f"the context {context!r} {says}",
        hint=f"`kubectl config set-context {context} --{kind}=NAME` mends it; {_CONTEXTS}",
    )


def _server(cluster: Cluster, name: str, path: Path) -> str:
    server = cluster.server.rstrip("/")
    if not server:
        _refuse(
            f"the cluster {name!r} in {path} has no server",
            f"`kubectl config set-cluster {name} --server=https://HOST:6443`",
        )
    if "://" not in server:
        safe = cluster.certificate_authority or cluster.certificate_authority_data
        server = f"{'https' if safe or cluster.insecure_skip_tls_verify else 'http'}://{server}"
    if not server.startswith(("http://", "https://")):
        _refuse(
            f"the server of the cluster {name!r} in {path} is no URL of HTTP: {server}",
            f"`kubectl config set-cluster {name} --server=https://HOST:6443`",
        )
    return server


def _authority(cluster: Cluster, name: str, path: Path) -> bytes:
    given = cluster.certificate_authority_data or cluster.certificate_authority
    if given and cluster.insecure_skip_tls_verify:
        _refuse(
            f"the cluster {name!r} in {path} has a certificate authority and insecure-skip-tls-verify, which exclude each other",
            f"`kubectl config set-cluster {name} --insecure-skip-tls-verify=false`",
        )
    return _material(
        cluster.certificate_authority_data,
        cluster.certificate_authority,
        f"certificate-authority of the cluster {name!r}",
        path,
    )


def _material(data: str, file: str, what: str, path: Path) -> bytes:
    """Return a certificate or key from the data in a kubeconfig, or from a file. The data win."""
    if data:
        try:
            return base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            _refuse(f"the {what}, as data in {path}, is no valid base64", f"get the kubeconfig again: {path}")
    if not file:
        return b""
    place = _beside(path, file)
    try:
        return place.read_bytes()
    except OSError as error:
        _refuse(
            f"the {what} cannot be read from {place}, named in {path}: {error.strerror}", f"`ls -l {place}`"
        )


def _beside(path: Path, file: str) -> Path:
    return path.parent / file


def _credentials(
    user: User, name: str, path: Path, info: dict[str, Any], environment: Mapping[str, str]
) -> Credentials:
    if user.auth_provider is not None and user.exec is None:
        _refuse(
            f"the user {name!r} in {path} has an auth-provider, a form that Kubernetes has removed",
            "get the kubeconfig again with a current tool of your cluster, which writes an `exec` plugin",
        )
    if user.token and (user.username or user.password):
        _refuse(
            f"the user {name!r} in {path} has a token and a password, of which one must go", f"edit {path}"
        )
    certificate = _material(
        user.client_certificate_data,
        user.client_certificate,
        f"client-certificate of the user {name!r}",
        path,
    )
    key = _material(user.client_key_data, user.client_key, f"client-key of the user {name!r}", path)
    if bool(certificate) != bool(key):
        _refuse(
            f"the user {name!r} in {path} has only one of client-certificate and client-key",
            f"`kubectl config set-credentials {name} --client-certificate=FILE --client-key=FILE`",
        )
    return Credentials(
        token=user.token,
        token_file=str(_beside(path, user.token_file)) if user.token_file else "",
        certificate=certificate,
        key=key,
        username=user.username,
        password=user.password,
        plugin=_plugin(user.exec, name, path, info, environment) if user.exec else None,
        impersonation=_impersonation(user),
    )


def _impersonation(user: User) -> tuple[tuple[str, str], ...]:
    from urllib.parse import quote

    headers = [("Impersonate-User", user.act_as), ("Impersonate-Uid", user.as_uid)]
    headers += [("Impersonate-Group", group) for group in user.as_groups or []]
    for key, values in (user.as_user_extra or {}).items():
        headers += [(f"Impersonate-Extra-{quote(key.lower(), safe='')}", value) for value in values]
    return tuple((name, value) for name, value in headers if value)


def _plugin(
    told: Exec, user: str, path: Path, info: dict[str, Any], environment: Mapping[str, str]
) -> Plugin:
    where = f"the plugin of the user {user!r} in {path}"
    if not told.command:
        _refuse(f"{where} has no command", f"edit {path}")
    if told.api_version not in _PLUGIN_VERSIONS:
        _refuse(
            f"{where} speaks {told.api_version or 'no version'}, which no current client knows",
            f"update the plugin and get the kubeconfig again; {' and '.join(_PLUGIN_VERSIONS)} are known",
        )
    # Version v1 has no default on purpose.
    mode = told.interactive_mode or ("" if told.api_version == _PLUGIN_VERSIONS[0] else "IfAvailable")
    if mode not in _MODES:
        _refuse(
            f"{where} has the interactiveMode {mode!r}, which must be one of {', '.join(_MODES)}",
            f"edit {path}",
        )
    command = told.command
    if "/" in command:
        command = str(_beside(path, command))
    return Plugin(
        version=told.api_version,
        command=command,
        arguments=tuple(told.args or ()),
        environment={**environment, **{variable.name: variable.value for variable in told.env or []}},
        mode=mode,
        hint=told.install_hint.strip(),
        cluster=info if told.provide_cluster_info else None,
    )


def _info(cluster: Cluster, server: str, trust: Trust) -> dict[str, Any]:
    """Return what a plugin gets to know about the cluster."""
    info: dict[str, Any] = {
        "server": server,
        "tls-server-name": trust.server_name,
        "insecure-skip-tls-verify": trust.insecure,
        "certificate-authority-data": base64.b64encode(trust.authority).decode(),
        "proxy-url": cluster.proxy_url,
        "disable-compression": cluster.disable_compression,
    }
    config = next((each.extension for each in cluster.extensions or [] if each.name == _PLUGIN_CONFIG), None)
    return {key: value for key, value in {**info, "config": config}.items() if value or key == "config"}


def _refuse(message: str, hint: str) -> NoReturn:
    raise ClusterConfigError(message, hint=hint)
