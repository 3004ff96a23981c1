"""Names of images as people write them."""

import pytest

from fairway.cluster.images.names import Place, below, parse_image, parse_registry
from fairway.spec.errors import UsageError

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("acme/python:3.11", "docker.io/acme/python:3.11"),
        ("index.docker.io/acme/python", "docker.io/acme/python:latest"),
        ("ghcr.io/acme/team/python:3.11", "ghcr.io/acme/team/python:3.11"),
        ("localhost/python", "localhost/python:latest"),
        ("127.0.0.1:5000/python", "127.0.0.1:5000/python:latest"),
        ("registry:5000/python:3.11", "registry:5000/python:3.11"),
        ("[::1]:5000/python:3.11", "[::1]:5000/python:3.11"),
        (f"ghcr.io/acme/python@{DIGEST}", f"ghcr.io/acme/python@{DIGEST}"),
        (f"ghcr.io/acme/python:3.11@{DIGEST}", f"ghcr.io/acme/python:3.11@{DIGEST}"),
        ("http://10.0.0.5:5000/python:3.11", "10.0.0.5:5000/python:3.11"),
        ("https://127.0.0.1:5000/python:3.11", "127.0.0.1:5000/python:3.11"),
    ],
)
def test_a_name_means_what_docker_takes_it_for(text: str, meant: str) -> None:
    assert str(parse_image(text)) == meant


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("python", "https://registry-1.docker.io"),
        ("ghcr.io/acme/python", "https://ghcr.io"),
        ("127.0.0.1:5000/python", "http://127.0.0.1:5000"),
        ("localhost:5000/python", "http://localhost:5000"),
        ("[::1]:5000/python", "http://[::1]:5000"),
        ("https://localhost:5000/python", "https://localhost:5000"),
        ("10.0.0.5:5000/python", "https://10.0.0.5:5000"),
        ("http://10.0.0.5:5000/python", "http://10.0.0.5:5000"),
    ],
)
def test_only_this_machine_and_marked_registries_are_spoken_to_without_tls(text: str, url: str) -> None:
    assert parse_image(text).repository.place.url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Python",
        "ghcr.io/acme/",
        "ghcr.io/acme//python",
        "ghcr.io/acme/python:",
        "ghcr.io/acme/python:a b",
        "ghcr.io/acme/python@sha256:12",
        "ghcr.io/../python",
        "ghcr.io/acme/python\n",
        "ftp://ghcr.io/python",
        "user:secret@ghcr.io/python",
        "-x.io/python",
        "a" * 256,
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not the name of an image"):
        parse_image(text)


@pytest.mark.parametrize(
    ("text", "place", "repository"),
    [
        ("ghcr.io/acme", Place("ghcr.io"), "acme/fairway"),
        ("ghcr.io/acme/", Place("ghcr.io"), "acme/fairway"),
        ("127.0.0.1:5000", Place("127.0.0.1:5000", True), "fairway"),
        ("http://10.0.0.5:5000/a/b", Place("10.0.0.5:5000", True), "a/b/fairway"),
        ("docker.io/acme", Place("docker.io"), "acme/fairway"),
    ],
)
def test_a_registry_has_repositories_below_it(text: str, place: Place, repository: str) -> None:
    found = below(parse_registry(text), "fairway")
    assert (found.place, found.path) == (place, repository)


@pytest.mark.parametrize("text", ["", "acme", "acme/team", "ghcr.io/Acme", "ghcr.io/a b"])
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_registry(text)
