"""The versions of Kubernetes and of Fairway, and an install beside another one."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from fairway.cluster import installed, installing, preflight
from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import Conflict
from fairway.cluster.installed import numbers
from fairway.cluster.installing import _changed
from fairway.cluster.manifests import Settings, Source
from fairway.cluster.preflight import InstallError, Order
from fairway.spec.install import Install


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("v1.37.2", (1, 37, 2)),
        ("v1.33.4-gke.1036000", (1, 33, 4)),
        ("v1.29.0+k3s1", (1, 29, 0)),
        ("0.1.0.dev3+g0123abc", (0, 1, 0)),
        ("", ()),
        ("unknown", ()),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, found: tuple[int, ...]) -> None:
    assert numbers(version) == found


def test_a_newer_patch_of_the_same_minor_is_newer() -> None:
    assert numbers("0.10.0") > numbers("0.9.12")


def test_a_downgrade_is_refused_with_the_version_to_use() -> None:
    with pytest.raises(InstallError, match=r"0\.3\.0 is installed, which is newer") as refused:
        preflight.check_upgrade("0.3.0", "0.2.9")
    assert "fairway-ml==0.3.0" in refused.value.hint


@pytest.mark.parametrize(("found", "own"), [("0.2.0", "0.2.0"), ("0.2.0", "0.3.0"), ("0.9.0", "0.10.0")])
def test_an_upgrade_goes_forward_or_stays(found: str, own: str) -> None:
    preflight.check_upgrade(found, own)


@pytest.mark.parametrize(
    ("named", "architectures", "platform"),
    [
        ("", ("arm64", "arm64"), "linux/arm64"),
        ("", ("amd64",), "linux/amd64"),
        ("", ("amd64", "arm64"), "linux/amd64"),
        ("linux/amd64", ("arm64",), "linux/amd64"),
        ("linux/arm64", None, "linux/arm64"),
        ("", None, "linux/amd64"),
    ],
    ids=str,
)
def test_an_installation_is_for_the_platform_that_is_named_or_that_all_nodes_have(
    named: str, architectures: tuple[str, ...] | None, platform: str
) -> None:
    """Without the right to list nodes, nothing is known of them."""
    nodes = None if architectures is None else [{"kubernetes.io/arch": one} for one in architectures]
    order = Order(version="0.1.0", platform=named, source=Source(registry="ghcr.io/acme"))
    assert preflight._platform(order, nodes) == platform


def test_an_image_that_is_there_may_be_for_all_nodes() -> None:
    order = Order(
        version="0.1.0",
        image="registry.example/fairway@sha256:" + "a" * 64,
        source=Source(registry="ghcr.io/acme"),
    )
    assert preflight._platform(order, [{"kubernetes.io/arch": one} for one in ("amd64", "arm64")]) == ""
    assert preflight._platform(order, [{"kubernetes.io/arch": "amd64"}]) == ""
    assert preflight._platform(order, [{"kubernetes.io/arch": "arm64"}]) == "linux/arm64"


@pytest.mark.parametrize("registry", ["", "ghcr.io/other"])
def test_an_upgrade_is_for_the_same_platform_unless_another_one_is_named(registry: str) -> None:
    install = Install(uid="0" * 32, namespace="team", version="0.1.0", image="none", platform="linux/arm64")
    before = Settings(install=install, source=Source(registry="ghcr.io/acme"))
    kept = _changed(before, Order(version="0.2.0", source=Source(registry=registry)))
    assert kept.install.platform == "linux/arm64"
    assert kept.source.registry == (registry or "ghcr.io/acme")
    moved = _changed(before, Order(version="0.2.0", platform="linux/amd64", source=Source(registry=registry)))
    assert moved.install.platform == "linux/amd64"


def test_an_upgrade_of_an_installation_that_said_nothing_is_for_the_usual_platform_if_its_image_is_made_here() -> (
    None
):
    before = Settings(install=Install(uid="0" * 32, namespace="team", version="0.1.0", image="none"))
    made = msgspec.structs.replace(before, source=Source(registry="ghcr.io/acme"))
    there = Order(version="0.2.0", image="registry.example/fairway@sha256:" + "a" * 64)
    assert _changed(made, Order(version="0.2.0")).install.platform == "linux/amd64"
    assert _changed(made, there).install.platform == ""
    assert _changed(before, there).install.platform == ""


@pytest.mark.parametrize("step", ["check_names", "plan", "ask"])
@pytest.mark.parametrize("begun", [True, False])
def test_an_install_that_meets_objects_of_another_one_says_so(
    monkeypatch: pytest.MonkeyPatch, step: str, begun: bool
) -> None:
    """The other one begins between two looks: at what is there, and at what would be made."""
    looks = iter([None, object() if begun else None])

    async def find(*given: object) -> Any:
        return next(looks)

    async def passes(*given: object, **more: object) -> Any:
        return None, False

    async def meets(*given: object, **more: object) -> Any:
        raise Conflict("configmaps 'fairway-install' was not changed")

    monkeypatch.setattr(installed, "find", find)
    for name in ("check_place", "check_keeper", "check_names", "plan", "ask"):
        monkeypatch.setattr(preflight, name, meets if name == step else passes)

    class Cluster:
        access = Access(server="https://127.0.0.1", namespace="team")

    async def push(*given: object) -> str:
        raise AssertionError("nothing is pushed")

    install = installing.install(cast("Kubernetes", Cluster()), Order(version="1", image="i"), push, print)
    with pytest.raises(InstallError if begun else Conflict) as refused:
        asyncio.run(install)
    said = "somebody else installs Fairway in namespace 'team' at this moment"
    assert (refused.value.message == said) is begun
