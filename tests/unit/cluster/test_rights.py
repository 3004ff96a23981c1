"""The rights that installing needs, and those that the control plane gets."""

import ast
from pathlib import Path

import fairway
from fairway.cluster import manifests, rights
from fairway.cluster.applying import kind_of
from fairway.cluster.client import kinds
from fairway.cluster.manifests import Settings
from fairway.cluster.rights import Right
from fairway.spec.install import Install

ROOT = Path(fairway.__file__).parent
CONTROL_PLANE = (
    "cluster/jobs.py",
    "cluster/hosts.py",
    "cluster/executor.py",
    "cluster/links.py",
    "cluster/endpoints/deployer.py",
    "cluster/endpoints/watching.py",
    "control/cluster.py",
    "wiring/namespace.py",
    "wiring/plane.py",
)
"""The modules that ask the API server from inside the cluster."""

OWN = ("own", "kube", "_kube")
"""The names of the control plane's client, besides `_api`."""

SETTINGS = Settings(
    install=Install(
        uid="0" * 32, namespace="team", version="0.1.0", image="registry.example/fairway@sha256:" + "a" * 64
    )
)


def test_every_kind_that_is_written_needs_its_verbs() -> None:
    for one in manifests.render(SETTINGS):
        kind = kind_of(one)
        for verb in ("create", "patch", "get", "list", "delete"):
            assert Right(kind.group, kind.plural, verb) in rights.NEEDED, f"{verb} {kind.plural}"


def test_only_who_holds_the_rights_of_the_control_plane_may_grant_them() -> None:
    held = {(right.group, right.resource, right.verb) for right in rights.NEEDED}
    assert {(right.group, right.resource, right.verb) for right in rights.granted()} <= held


def test_nothing_cluster_wide_is_needed() -> None:
    assert not any(right.resource in ("nodes", "namespaces", "clusterroles") for right in rights.NEEDED)
    assert not any(right.resource == "secrets" for right in rights.NEEDED)


def test_rights_are_named_with_their_verbs_together() -> None:
    lacking = [
        Right("rbac.authorization.k8s.io", "roles", "create"),
        Right("rbac.authorization.k8s.io", "roles", "patch"),
        Right("", "pods/log", "get"),
    ]
    assert rights.in_words(lacking) == "create and patch of roles.rbac.authorization.k8s.io; get of pods/log"


def used() -> set[tuple[str, str]]:
    """Return the verbs and resources that the code of the control plane asks for."""
    known = {name: kind for name, kind in vars(kinds).items() if isinstance(kind, kinds.Kind)}
    found: set[tuple[str, str]] = set()
    for path in CONTROL_PLANE:
        for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            client = ast.unparse(node.func.value)
            if not client.endswith("_api") and client.rpartition(".")[2] not in OWN:
                continue
            verb = node.func.attr
            if verb == "log":
                found.add(("get", "pods/log"))
            elif verb == "token":
                found.add(("create", "serviceaccounts/token"))
            elif node.args and (kind := known.get(ast.unparse(node.args[0]).rpartition(".")[2])):
                # A watch begins with a list, and an apply may create.
                also = {"watch": ("list", "watch"), "apply": ("create", "patch")}.get(verb, (verb,))
                found |= {(each, kind.plural) for each in also}
    return found


def test_the_control_plane_has_exactly_the_rights_that_its_code_uses() -> None:
    assert {(right.verb, right.resource) for right in rights.granted()} == used()
