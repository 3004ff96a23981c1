"""A matrix of kubeconfigs: kubectl and Fairway read them alike, proven by what arrives at a server.

Both ask for a token of a service account, because kubectl sends that as a single request. The path of the request
tells the namespace, its headers and certificate tell the user.
"""

import json
import os
from collections.abc import Callable

import pytest
from kubeconfigs import KUBECTL, PLUGIN, Case, by_kubectl, by_us, context, exec_user, seen, tokens_asked

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


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
