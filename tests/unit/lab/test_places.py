"""The addresses of the lab."""

import ipaddress
import subprocess

import pytest

from lab import places
from lab.places import BLOCKS, Addresses


def test_the_networks_of_no_two_blocks_overlap() -> None:
    networks = [
        network
        for block in range(BLOCKS)
        for network in (Addresses(block).link, Addresses(block).pods, Addresses(block).services)
    ]
    clashes = [
        (one, other)
        for place, one in enumerate(networks)
        for other in networks[place + 1 :]
        if one.overlaps(other)
    ]
    assert clashes == []


def test_pods_of_nodes_are_parts_of_the_network_of_pods() -> None:
    addresses = Addresses(0)
    parts = [ipaddress.IPv4Network(addresses.pods_of(number)) for number in (1, 2, 3)]
    assert parts == [ipaddress.IPv4Network(f"10.244.{number}.0/24") for number in (1, 2, 3)]


def routes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `ip route` print a text."""
    shown = subprocess.CompletedProcess([], 0, stdout=text)
    monkeypatch.setattr(places.subprocess, "run", lambda *words, **more: shown)


def test_the_first_block_is_taken_where_nothing_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    routes("default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0 scope link\n", monkeypatch)
    assert places.free_block() == Addresses(0)


@pytest.mark.parametrize(
    "route",
    [
        "10.250.0.0/24 dev k8sbr proto kernel",
        "10.244.1.0/24 via 10.9.0.1 dev x",
        "10.96.0.0/16 via 10.9.0.1 dev x",
        "local 10.250.0.254 dev k8sbr table local",
    ],
)
def test_a_block_that_another_lab_has_taken_is_left_to_it(
    route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes(f"default via 192.0.2.1 dev eth0\n{route}\n", monkeypatch)
    assert places.free_block() == Addresses(1)


def test_a_machine_without_a_free_block_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    routes("10.0.0.0/8 dev tunnel\n", monkeypatch)
    with pytest.raises(RuntimeError, match="every block"):
        places.free_block()
