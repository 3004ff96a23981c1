"""The names by which a worker behind a Service may be called."""

from pathlib import Path

import pytest

from fairway.server import pod
from fairway.server.answers import Refusal
from fairway.server.pod import RoutedGate, cluster_domains

HOSTS = ("churn", "churn.team", "churn.team.svc")
KEY_DIGEST = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
"""SHA-256 of "key"."""


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoutedGate:
    """The check of an open endpoint in a cluster with a domain of its own."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 10.96.0.10\nsearch team.svc.corp.example svc.corp.example corp.example\n")
    monkeypatch.setattr(pod, "_RESOLVER", resolver)
    return RoutedGate(HOSTS, "")


@pytest.mark.parametrize(
    "host",
    [
        "churn", "churn:80", "churn.team.svc", "CHURN.team.svc:80", "churn.team.svc.corp.example", "10.244.1.7:8080",
        "[fd00::7]:8080", "[fd00::7]", "127.0.0.1:4711", "localhost:4711",
    ],
)  # fmt: skip
def test_names_of_the_service_addresses_and_the_end_of_a_tunnel_are_accepted(
    gate: RoutedGate, host: str
) -> None:
    gate.check([(b"host", host.encode())], "open")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "churn.team.svc.evil.example",
        "10.244.1.7.evil.example",
        "",
        "churn:x",
        ":80",
    ],
)
def test_names_that_a_page_in_a_browser_may_have_are_refused(gate: RoutedGate, host: str) -> None:
    with pytest.raises(Refusal):
        gate.check([(b"host", host.encode())], "open")


def test_a_key_lets_every_name_in_and_nobody_without_it() -> None:
    gate = RoutedGate(HOSTS, KEY_DIGEST)
    named = (b"host", b"models.example.com")
    gate.check([named, (b"authorization", b"Bearer key")], "open")
    gate.check([named], "public")
    for headers in ([named], [named, (b"authorization", b"Bearer other")]):
        with pytest.raises(Refusal):
            gate.check(headers, "open")


def test_requests_from_pages_are_refused_also_with_a_key() -> None:
    gate = RoutedGate(HOSTS, KEY_DIGEST)
    headers = [(b"host", b"churn"), (b"origin", b"http://evil.example"), (b"authorization", b"Bearer key")]
    with pytest.raises(Refusal):
        gate.check(headers, "open")


def test_the_domain_of_the_cluster_is_read_from_the_resolver() -> None:
    assert cluster_domains("search a.svc.x.y svc.x.y x.y\n") == ["x.y"]
    assert cluster_domains("nameserver 1.2.3.4\n") == []
