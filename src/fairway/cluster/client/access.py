"""The values that a connection to a Kubernetes API server needs, resolved: no file has to be merged any more.

Nothing here prints a secret: a value that may hold one has a short `repr`.
"""

from typing import Any

import msgspec

_SHORT = "{}(…)"


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The way to the API server, and what proves that it is the right one.

    Attributes:
        authority: certificates in PEM that sign the server's one. Empty means those of this machine.
        server_name: the name that the server's certificate must have. Empty means the host of the URL.
        insecure: True if the server's certificate is not checked.
        proxy: the URL of the proxy. Empty means a direct connection.
    """

    authority: bytes = b""
    server_name: str = ""
    insecure: bool = False
    proxy: str = ""

    def __repr__(self) -> str:
        return _SHORT.format("Trust")


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """A program that prints credentials, in the `exec` form of a kubeconfig.

    Attributes:
        version: the apiVersion that it speaks.
        command: the program. A name without a slash is looked up in PATH.
        environment: its whole environment.
        mode: "Never", "IfAvailable" or "Always": if it gets the terminal.
        hint: the words of the kubeconfig on how to install it.
        cluster: what KUBERNETES_EXEC_INFO says of the cluster. None if the plugin did not ask for it.
    """

    version: str
    command: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    mode: str = "IfAvailable"
    hint: str = ""
    cluster: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return _SHORT.format("Plugin")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a kubeconfig says of a user.

    Attributes:
        token_file: a file with a token that may change. What it holds wins over `token`.
        certificate: a client certificate in PEM, with its key in `key`.
        impersonation: headers that ask the server to act as somebody else. A name may appear several times.
    """

    token: str = ""
    token_file: str = ""
    certificate: bytes = b""
    key: bytes = b""
    username: str = ""
    password: str = ""
    plugin: Plugin | None = None
    impersonation: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return _SHORT.format("Credentials")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The way to a cluster, and whom it is taken by.

    Attributes:
        server: the URL of the API server. It may have a path.
        namespace: the namespace that is meant if none is named.
        context: the name of the context. Empty inside a cluster.
        cluster: the name that the kubeconfig gives to the cluster.
        user: the name that the kubeconfig gives to the user.
        inside: True for a process in a pod of the cluster: no setting of the environment changes its way.
    """

    server: str
    namespace: str = "default"
    context: str = ""
    cluster: str = ""
    user: str = ""
    trust: Trust = Trust()
    credentials: Credentials = Credentials()
    inside: bool = False

    @property
    def kubectl(self) -> str:
        """The start of a `kubectl` command that reaches the same cluster."""
        return f"kubectl --context {self.context}" if self.context else "kubectl"
