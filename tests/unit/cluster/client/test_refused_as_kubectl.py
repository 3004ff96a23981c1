"""Kubeconfigs that kubectl and Fairway both refuse, before anything is asked of a server."""

import os
from collections.abc import Callable

import pytest
import trustme
from kubeconfigs import KUBECTL, Case, by_kubectl, by_us, context, exec_user, tokens_asked

from fairway.spec.errors import FairwayError

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


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
