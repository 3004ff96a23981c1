"""Addresses that a webhook may have, and those that nothing is ever posted to."""

import ipaddress

import pytest

from fairway.spec import webhook_addresses as addresses
from fairway.spec.errors import UsageError


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://hooks.example/T0/B1/secret?key=x", "https://hooks.example"),
        ("http://10.1.2.3:8080/x", "http://10.1.2.3:8080"),
        ("https://[2001:db8::1]:9/x", "https://[2001:db8::1]:9"),
        ("https://hooks.example:443", "https://hooks.example"),
    ],
)
def test_only_scheme_and_host_of_an_address_are_shown(url: str, place: str) -> None:
    assert addresses.place(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.org/s3cret",
        "https:///s3cret",
        "https://example.org:99999/s3cret",
        "https://user:s3cret@example.org/",
        "https://example.org/s3cret#part",
        "https://exa mple.org/s3cret",
        "https://example.org\r\nx: s3cret",
        "https://example.org\\@elsewhere.example/s3cret",
        "https://[fe80::1%eth0]/s3cret",
        "https://[::1/s3cret",
        f"https://example.org/s3cret{'x' * 2048}",
        "",
    ],
)
def test_an_address_of_another_kind_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        addresses.parts(url)
    assert "s3cret" not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16",
        "192.0.0.192", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "0.0.0.0",
        "::", "224.0.0.1", "ff02::1", "255.255.255.255",
    ],
)  # fmt: skip
def test_metadata_services_and_link_local_addresses_are_refused_in_every_spelling(text: str) -> None:
    assert addresses.refusal(ipaddress.ip_address(text), shared=False)
    assert addresses.refusal(ipaddress.ip_address(text), shared=True)


@pytest.mark.parametrize("text", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_the_machine_of_a_platform_for_several_people_is_not_theirs(text: str) -> None:
    assert "the platform itself" in addresses.refusal(ipaddress.ip_address(text), shared=True)
    assert addresses.refusal(ipaddress.ip_address(text), shared=False) == ""


@pytest.mark.parametrize("text", ["10.0.0.7", "192.168.1.2", "93.184.215.14", "2001:db8::1", "fd12::1"])
def test_other_addresses_may_be_posted_to(text: str) -> None:
    assert addresses.refusal(ipaddress.ip_address(text), shared=True) == ""
