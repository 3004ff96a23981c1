"""The versions of Kubernetes and of Fairway."""

import pytest

from fairway.cluster import preflight
from fairway.cluster.installed import numbers
from fairway.cluster.preflight import InstallError


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
