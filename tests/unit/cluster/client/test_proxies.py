"""The environment's proxy is chosen by the rules of Go, which kubectl follows."""

import pytest

from fairway.cluster.client.proxies import proxy_for

PROXY = {"HTTPS_PROXY": "proxy.corp:3128", "HTTP_PROXY": "http://plain:1"}


@pytest.mark.parametrize(
    ("server", "excluded", "proxied"),
    [
        ("https://10.0.0.1:6443", "", True),
        ("https://10.0.0.1:6443", "10.0.0.0/8", False),
        ("https://11.0.0.1:6443", "10.0.0.0/8", True),
        ("https://10.0.0.1:6443", "10.0.0.1", False),
        ("https://10.0.0.1:6443", "10.0.0.1:6443", False),
        ("https://10.0.0.1:6443", "10.0.0.1:443", True),
        ("https://kube.corp", "corp", False),
        ("https://kube.corp", ".corp", False),
        ("https://corp", ".corp", True),
        ("https://kube.corp", "*.corp", False),
        ("https://mycorp", "corp", True),
        ("https://KUBE.corp", "kube.CORP", False),
        ("https://kube.corp", "a, kube.corp ,b", False),
        ("https://kube.corp:6443", "kube.corp:6443", False),
        ("https://kube.corp:6443", "kube.corp:443", True),
        ("https://kube.corp", "*", False),
        ("https://[fd00::1]:6443", "fd00::/8", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://localhost:6443", "", False),
    ],
)
def test_a_server_is_reached_by_the_proxy_unless_it_is_excluded(
    server: str, excluded: str, proxied: bool
) -> None:
    assert proxy_for(server, {**PROXY, "NO_PROXY": excluded}) == ("http://proxy.corp:3128" if proxied else "")


def test_the_proxy_follows_the_scheme_and_small_letters_count() -> None:
    assert proxy_for("http://kube.corp", PROXY) == "http://plain:1"
    assert proxy_for("https://kube.corp", {"https_proxy": "https://p:1"}) == "https://p:1"
    assert proxy_for("https://kube.corp", {"https_proxy": "http://p:1", "no_proxy": "corp"}) == ""
    assert proxy_for("https://kube.corp", {}) == ""
