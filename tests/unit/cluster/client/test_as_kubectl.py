"""A matrix of kubeconfigs: kubectl and Fairway read them alike, proven by what arrives at a server.

Both ask for a token of a service account, because kubectl sends that as a single request. The path of the request
tells the namespace, its headers and certificate tell the user.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from scripted import Answer, Asked, ScriptedServer

from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.config import load
from fairway.spec.errors import FairwayError

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

Serve = Callable[..., ScriptedServer]
PLUGIN = """#!/bin/sh
printf '%%s\\n' "$KUBERNETES_EXEC_INFO" >> "$(dirname "$0")/told"
cat <<END
{"apiVersion": "client.authentication.k8s.io/%s", "kind": "ExecCredential", "status": %s}
END
"""


@dataclass
class Case:
    """A folder with kubeconfigs, and how they are chosen."""

    folder: Path
    server: ScriptedServer
    authority: trustme.CA
    serve: Serve
    variables: dict[str, str] = field(default_factory=dict)
    context: str = ""
    namespace: str = ""

    def write(self, name: str, content: object) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def use(self, *names: str) -> None:
        self.variables["KUBECONFIG"] = os.pathsep.join(
            str(self.folder / name) if name else "" for name in names
        )

    def cluster(self, name: str = "c", **more: object) -> dict[str, Any]:
        self.write("ca.crt", self.server.authority_pem)
        base = {"server": self.server.url, "certificate-authority": str(self.folder / "ca.crt")}
        return {"name": name, "cluster": {**base, **more}}

    def certificate(self, name: str) -> tuple[bytes, bytes]:
        leaf = self.authority.issue_cert(f"{name}@x", common_name=name)
        return leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()

    def config(
        self, user: dict[str, Any], *, file: str = "config", cluster: dict[str, Any] | None = None
    ) -> None:
        """Write and choose the usual kubeconfig, with one context and this user."""
        self.write(
            file,
            {
                "current-context": "x",
                "clusters": [cluster or self.cluster()],
                "users": [{"name": "u", "user": user}],
                "contexts": [context("x", "c", "u", "team")],
            },
        )
        self.use(file)

    def proxy(self) -> str:
        """Start a proxy that leads every connection to the server, and return its URL."""

        async def connect(asked: Asked) -> None:
            assert (asked.method, asked.target) == ("CONNECT", "kube.example:6443")
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            await asked.say("HTTP/1.1 200 OK\r\n\r\n")

            async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                while part := await source.read(65536):
                    target.write(part)
                target.close()

            await asyncio.gather(pump(asked.reader, writer), pump(reader, asked.writer))

        return str(self.serve(connect, plain=True).url)

    def plugin(self, version: str, status: str, path: str = "bin/plugin") -> None:
        self.write(path, PLUGIN % (version, status))
        (self.folder / path).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.folder / "home"), **self.variables}

    def sums(self) -> dict[str, str]:
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "told"]
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if "cache" not in path.parts
        }


def context(name: str, cluster: str, user: str, namespace: str = "") -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, "context": {"cluster": cluster, "user": user, **place}}


def exec_user(version: str, **more: object) -> dict[str, Any]:
    return {
        "exec": {"apiVersion": f"client.authentication.k8s.io/{version}", "command": "./bin/plugin", **more}
    }


# The matrix ----------------------------------------------------------------------------------------------------------


def the_default_file(case: Case) -> None:
    case.config({"token": "t"}, file="home/.kube/config")
    del case.variables["KUBECONFIG"]


def names_across_files(case: Case) -> None:
    case.write("one", {"clusters": [case.cluster()]})
    case.write("two", {"users": [{"name": "u", "user": {"token": "two"}}]})
    case.write("three", {"contexts": [context("x", "c", "u", "three")], "current-context": "x"})
    case.use("one", "two", "three")


def the_first_file_wins(case: Case) -> None:
    for name in ("one", "two"):
        entries = {
            "clusters": [case.cluster()],
            "users": [{"name": "u", "user": {"token": name}}],
            "contexts": [context("x", "c", "u", name), context(name, "c", "u", f"only-{name}")],
        }
        case.write(name, {**entries, "current-context": name if name == "two" else ""})
    case.use("one", "two")


def an_entry_is_not_mixed_from_two_files(case: Case) -> None:
    case.write(
        "one", {"users": [{"name": "u", "user": {"token": "t"}}], "contexts": [context("x", "c", "u")]}
    )
    cert, key = (text.decode() for text in case.certificate("ann"))
    case.write("c.crt", cert)
    case.write("c.key", key)
    files = {"client-certificate": "c.crt", "client-key": "c.key"}
    case.write(
        "two",
        {
            "clusters": [case.cluster()],
            "users": [{"name": "u", "user": files}],
            "contexts": [context("x", "c", "u", "two")],
            "current-context": "x",
        },
    )
    case.use("one", "two")


def missing_and_empty_parts_of_a_list(case: Case) -> None:
    case.config({"token": "t"})
    case.write("empty", "")
    case.use("nothing", "", "empty", "config", "")


def paths_relative_to_their_file(case: Case) -> None:
    cert, key = case.certificate("ann")
    case.write("deep/ann.crt", cert)
    case.write("ann.key", key)
    case.write("deep/ca.crt", case.server.authority_pem)
    cluster = case.cluster(**{"certificate-authority": "ca.crt"})
    case.config(
        {"client-certificate": "ann.crt", "client-key": "../ann.key"}, file="deep/config", cluster=cluster
    )


def data_in_the_file(case: Case) -> None:
    from base64 import b64encode as encoded

    cert, key = (encoded(part).decode() for part in case.certificate("ann"))
    ca = encoded(case.server.authority_pem).decode()
    case.config(
        {"client-certificate-data": cert, "client-key-data": key},
        cluster={"name": "c", "cluster": {"server": case.server.url, "certificate-authority-data": ca}},
    )


def a_token_file(case: Case) -> None:
    case.write("token", "from-file\n")
    case.config({"tokenFile": "token"})


def a_token_file_beside_a_token(case: Case) -> None:
    case.write("token", "from-file")
    case.config({"tokenFile": "token", "token": "written"})


def a_certificate_beside_a_token(case: Case) -> None:
    cert, key = case.certificate("ann")
    case.write("ann.crt", cert)
    case.write("ann.key", key)
    case.config({"client-certificate": "ann.crt", "client-key": "ann.key", "token": "t"})


def a_plugin(case: Case) -> None:
    case.plugin("v1", '{"token": "from-plugin"}')
    case.config(exec_user("v1", interactiveMode="Never"))


def a_plugin_of_v1beta1_that_asks_for_the_cluster(case: Case) -> None:
    case.plugin("v1beta1", '{"token": "from-plugin", "expirationTimestamp": "2040-01-01T00:00:00Z"}')
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a", "n": 3}}
    case.config(
        exec_user("v1beta1", provideClusterInfo=True),
        cluster=case.cluster(extensions=[extension], **{"tls-server-name": "127.0.0.1"}),
    )


def a_plugin_with_arguments_and_variables(case: Case) -> None:
    case.write("bin/plugin", PLUGIN % ("v1", '{"token": "$1-$OWN-$OUTER"}'))
    (case.folder / "bin/plugin").chmod(0o755)
    case.variables["OUTER"] = "outer"
    case.config(
        exec_user("v1", interactiveMode="IfAvailable", args=["first"], env=[{"name": "OWN", "value": "own"}])
    )


def a_plugin_in_the_path(case: Case) -> None:
    case.plugin("v1", '{"token": "in-path"}', "tools/own-plugin")
    case.variables["PATH"] = f"{case.folder / 'tools'}:{os.environ['PATH']}"
    case.config(exec_user("v1", interactiveMode="Never", command="own-plugin"))


def a_plugin_that_gives_a_certificate(case: Case) -> None:
    cert, key = (json.dumps(part.decode()) for part in case.certificate("plugged"))
    case.plugin("v1", f'{{"clientCertificateData": {cert}, "clientKeyData": {key}}}'.replace("\\n", "\\\\n"))
    case.config(exec_user("v1", interactiveMode="Never"))


def another_name_of_the_server(case: Case) -> None:
    case.config({"token": "t"}, cluster=case.cluster(**{"tls-server-name": "kube.example"}))


def a_server_that_is_not_checked(case: Case) -> None:
    cluster = case.cluster(**{"insecure-skip-tls-verify": True})
    del cluster["cluster"]["certificate-authority"]
    case.config({"token": "t"}, cluster=cluster)


def a_server_below_a_path(case: Case) -> None:
    case.config({"token": "t"}, cluster=case.cluster(server=f"{case.server.url}/k8s/clusters/c-1/"))


def a_chosen_context(case: Case) -> None:
    case.config({"token": "t"})
    case.write("more", {"contexts": [context("y", "c", "u", "other")]})
    case.use("config", "more")
    case.context = "y"


def a_chosen_namespace(case: Case) -> None:
    case.config({"token": "t"})
    case.namespace = "mine"


def no_namespace(case: Case) -> None:
    case.config({"token": "t"})
    case.write("first", {"contexts": [context("x", "c", "u")]})
    case.use("first", "config")


def another_user(case: Case) -> None:
    extra = {"Scopes/x": ["a", "b"]}
    case.config({"token": "t", "as": "bob", "as-uid": "7", "as-groups": ["g", "h"], "as-user-extra": extra})


def a_password(case: Case) -> None:
    case.config({"username": "ann", "password": "pa:ss"})


def a_proxy(case: Case) -> None:
    case.config(
        {"token": "t"},
        cluster=case.cluster(server="https://kube.example:6443", **{"proxy-url": case.proxy()}),
    )


def a_proxy_of_the_environment(case: Case) -> None:
    case.config({"token": "t"}, cluster=case.cluster(server="https://kube.example:6443"))
    case.variables |= {"HTTPS_PROXY": case.proxy(), "NO_PROXY": "10.0.0.0/8,other.example"}


def forms_of_yaml(case: Case) -> None:
    case.cluster()
    case.write(
        "config",
        f"""# a comment
base: &base {{server: "{case.server.url}", certificate-authority: ca.crt}}
current-context: 2024-01-01
clusters: [{{name: c, cluster: {{<<: *base}}}}]
users:
- name: 'u'
  user:
    token: >-
      t
contexts:
- name: 2024-01-01
  context: {{cluster: c, user: u, namespace: 12:30:45, unknown: 1}}
preferences: {{}}
""",
    )
    case.use("config")


MATRIX = [
    the_default_file, names_across_files, the_first_file_wins, an_entry_is_not_mixed_from_two_files,
    missing_and_empty_parts_of_a_list, paths_relative_to_their_file, data_in_the_file, a_token_file,
    a_token_file_beside_a_token, a_certificate_beside_a_token, a_plugin,
    a_plugin_of_v1beta1_that_asks_for_the_cluster, a_plugin_with_arguments_and_variables, a_plugin_in_the_path,
    a_plugin_that_gives_a_certificate, another_name_of_the_server, a_server_that_is_not_checked,
    a_server_below_a_path, a_chosen_context, a_chosen_namespace, no_namespace, another_user, a_password,
    forms_of_yaml, a_proxy, a_proxy_of_the_environment,
]  # fmt: skip


@pytest.fixture
def case(tmp_path: Path, serve: Serve, authority: trustme.CA) -> Case:
    server = serve(lambda asked: Answer({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
                                         "status": {"token": "made"}}, 201),
                   names=("127.0.0.1", "kube.example"))  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    return Case(tmp_path, server, authority, serve)


def by_kubectl(case: Case) -> subprocess.CompletedProcess[str]:
    chosen = [f"--context={case.context}"] if case.context else []
    chosen += [f"--namespace={case.namespace}"] if case.namespace else []
    return subprocess.run(
        [KUBECTL or "", "create", "token", "default", "--request-timeout=10s", *chosen],
        env=case.environment, cwd=case.folder / "elsewhere", capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def by_us(case: Case) -> str:
    environment = case.environment
    access = load(
        context=case.context,
        namespace=case.namespace,
        environment=environment,
        home=Path(environment["HOME"]),
    )

    async def ask() -> str:
        async with Kubernetes(access) as kube:
            return await kube.token("default")

    return asyncio.run(ask())


def tokens_asked(case: Case) -> list[Asked]:
    """Return the requests that count. Some kubectls ask for the version of the server as well."""
    return [asked for asked in case.server.asked if asked.path.endswith("/token")]


def seen(asked: Asked) -> dict[str, object]:
    """Return what tells who asked for what."""
    named = {key.lower() for key, _ in asked.headers if key.lower().startswith("impersonate-")}
    return {
        "path": asked.path,
        "authorization": asked.header("authorization"),
        "certificate": asked.subject,
        "name of the server": asked.server_name,
        **{name: asked.values(name) for name in named},
    }


@pytest.mark.parametrize("make", MATRIX, ids=lambda make: make.__name__)
def test_the_same_request_arrives(case: Case, make: Callable[[Case], None]) -> None:
    make(case)
    sums = case.sums()
    done = by_kubectl(case)
    assert done.returncode == 0, done.stderr
    assert by_us(case) == "made"
    theirs, ours = tokens_asked(case)
    assert seen(ours) == seen(theirs)
    assert case.sums() == sums, "no file is written"
    told = case.folder / "bin" / "told"
    if told.exists():
        first, *_, second = map(json.loads, filter(None, told.read_text().splitlines()))
        second["spec"].setdefault("cluster", {}).setdefault("config", None)
        first["spec"].setdefault("cluster", {}).setdefault("config", None)
        assert second == first, "the plugin is told the same"


# What both refuse -----------------------------------------------------------------------------------------------------


def a_context_that_is_not_there(case: Case) -> str:
    case.config({"token": "t"})
    case.context = "y"
    return "there is no context 'y'"


def a_cluster_that_is_not_there(case: Case) -> str:
    case.config({"token": "t"})
    case.write("first", {"contexts": [context("x", "gone", "u")]})
    case.use("first", "config")
    return "names the cluster 'gone'"


def a_user_that_is_not_there(case: Case) -> str:
    case.config({"token": "t"})
    case.write("first", {"contexts": [context("x", "c", "gone")]})
    case.use("first", "config")
    return "names the user 'gone'"


def two_entries_of_one_name(case: Case) -> str:
    case.config({"token": "t"})
    case.write("twice", {"clusters": [case.cluster("d"), case.cluster("d")]})
    case.use("config", "twice")
    return "has two clusters of the name 'd'"


def a_file_that_is_no_yaml(case: Case) -> str:
    case.config({"token": "t"})
    case.write("bad", "a: 1\nusers: [\n")
    case.use("bad", "config")
    return "is no valid YAML in line 3"


def a_field_of_a_wrong_type(case: Case) -> str:
    case.config({"token": 123})
    return "is no valid kubeconfig: Expected `str`, got `int`"


def a_folder(case: Case) -> str:
    case.config({"token": "t"})
    case.use("config", "elsewhere")
    return "elsewhere cannot be read"


def no_server(case: Case) -> str:
    case.config({"token": "t"}, cluster={"name": "c", "cluster": {"tls-server-name": "a"}})
    return "the cluster 'c' in"


def an_authority_that_is_not_checked(case: Case) -> str:
    case.config({"token": "t"}, cluster=case.cluster(**{"insecure-skip-tls-verify": True}))
    return "exclude each other"


def a_missing_authority(case: Case) -> str:
    case.config({"token": "t"}, cluster=case.cluster(**{"certificate-authority": "gone.crt"}))
    return "gone.crt"


def data_that_are_no_base64(case: Case) -> str:
    case.config({"token": "t"}, cluster=case.cluster(**{"certificate-authority-data": "§$%"}))
    return "is no valid base64"


def another_authority(case: Case) -> str:
    case.write("other.crt", trustme.CA().cert_pem.bytes())
    case.config({"token": "t"}, cluster=case.cluster(**{"certificate-authority": "other.crt"}))
    return "its certificate is not trusted"


def a_wrong_name_of_the_server(case: Case) -> str:
    case.config({"token": "t"}, cluster=case.cluster(**{"tls-server-name": "elsewhere.example"}))
    return "its certificate has another name"


def a_token_and_a_password(case: Case) -> str:
    case.config({"token": "t", "username": "ann", "password": "p"})
    return "has a token and a password"


def a_certificate_without_its_key(case: Case) -> str:
    case.write("ann.crt", case.certificate("ann")[0])
    case.config({"client-certificate": "ann.crt"})
    return "only one of client-certificate and client-key"


def a_key_of_another_certificate(case: Case) -> str:
    case.write("ann.crt", case.certificate("ann")[0])
    case.write("bob.key", case.certificate("bob")[1])
    case.config({"client-certificate": "ann.crt", "client-key": "bob.key"})
    return "do not fit together"


def a_form_that_was_removed(case: Case) -> str:
    case.config({"auth-provider": {"name": "gcp"}})
    return "has an auth-provider"


def a_plugin_of_an_old_version(case: Case) -> str:
    case.plugin("v1alpha1", '{"token": "t"}')
    case.config(exec_user("v1alpha1"))
    return "client.authentication.k8s.io/v1alpha1"


def a_plugin_without_its_mode(case: Case) -> str:
    case.plugin("v1", '{"token": "t"}')
    case.config(exec_user("v1"))
    return "interactiveMode"


def a_plugin_that_is_not_installed(case: Case) -> str:
    case.config(
        exec_user("v1", interactiveMode="Never", command="no-such-plugin", installHint="get it at a shop")
    )
    return "is not installed"


def a_plugin_that_is_no_program(case: Case) -> str:
    case.write("bin/plugin", b"\0\1\2\3")
    (case.folder / "bin/plugin").chmod(0o755)
    case.config(exec_user("v1", interactiveMode="Never"))
    return "cannot be started: Exec format error"


def a_plugin_that_fails(case: Case) -> str:
    case.write("bin/plugin", "#!/bin/sh\necho sign in first >&2; exit 3\n")
    (case.folder / "bin/plugin").chmod(0o755)
    case.config(exec_user("v1", interactiveMode="Never"))
    return "failed with code 3: sign in first"


def a_plugin_that_needs_a_terminal(case: Case) -> str:
    case.plugin("v1", '{"token": "t"}')
    case.config(exec_user("v1", interactiveMode="Always"))
    return "needs a terminal"


def a_plugin_that_answers_in_another_version(case: Case) -> str:
    case.plugin("v1beta1", '{"token": "t"}')
    case.config(exec_user("v1", interactiveMode="Never"))
    return "and not ExecCredential of client.authentication.k8s.io/v1"


def a_plugin_that_gives_nothing(case: Case) -> str:
    case.plugin("v1", "{}")
    case.config(exec_user("v1", interactiveMode="Never"))
    return "neither a token nor a certificate"


REFUSED = [
    a_context_that_is_not_there, a_cluster_that_is_not_there, a_user_that_is_not_there, two_entries_of_one_name,
    a_file_that_is_no_yaml, a_field_of_a_wrong_type, a_folder, no_server, an_authority_that_is_not_checked,
    a_missing_authority, data_that_are_no_base64, another_authority, a_wrong_name_of_the_server,
    a_token_and_a_password, a_certificate_without_its_key, a_key_of_another_certificate, a_form_that_was_removed,
    a_plugin_of_an_old_version, a_plugin_without_its_mode, a_plugin_that_is_not_installed, a_plugin_that_fails,
    a_plugin_that_is_no_program,
    a_plugin_that_needs_a_terminal, a_plugin_that_answers_in_another_version, a_plugin_that_gives_nothing,
]  # fmt: skip


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_both_refuse(case: Case, make: Callable[[Case], str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = make(case)
    assert by_kubectl(case).returncode != 0
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(FairwayError) as caught:
            by_us(case)
    assert words in caught.value.message
    assert caught.value.hint
    assert not tokens_asked(case)
