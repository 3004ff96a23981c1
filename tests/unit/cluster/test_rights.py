"""The rights that installing needs."""

from fairway.cluster import manifests, rights
from fairway.cluster.applying import kind_of
from fairway.cluster.manifests import Settings
from fairway.cluster.rights import Right
from fairway.spec.install import Install

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
