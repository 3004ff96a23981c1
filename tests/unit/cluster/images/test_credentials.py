"""Logins where Docker and Podman keep them, with real credential helpers."""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fairway.cluster.images import credentials
from fairway.cluster.images.credentials import Login, find_login
from fairway.spec.errors import FairwayError, UsageError

from .conftest import soon

SECRET = "hunter2-not-to-be-seen"


def auth(user: str, secret: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}


def write(file: Path, config: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))


def helper(tmp_path: Path, name: str, body: str) -> dict[str, str]:
    """Installs a credential helper and returns the variables with which it is found."""
    program = tmp_path / "bin" / f"docker-credential-{name}"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nimport json, os, sys, time\nasked = sys.stdin.read()\n{body}\n")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def find(host: str, tmp_path: Path, environment: dict[str, str] | None = None, path: str = "team/x") -> Login:
    return soon(find_login(host, path, environment or {}, tmp_path))


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v1/", "ghcr.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("10.0.0.5:5000", "10.0.0.5:5000"),
        ("ghcr.io/team", "ghcr.io"),
    ],
)
def test_a_login_is_found_under_the_names_that_docker_uses(key: str, host: str, tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {key: auth("ada", SECRET)}})
    found = find(host, tmp_path)
    assert (found.user, found.secret, found.is_token) == ("ada", SECRET, False)


@pytest.mark.parametrize(
    "key", ["ghcr.io.evil.example", "hcr.io", "ghcr.io/tea", "ghcr.io:5000", "example.com/ghcr.io"]
)
def test_a_login_of_another_registry_is_not_used(key: str, tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {key: auth("ada", SECRET)}})
    assert not find("ghcr.io", tmp_path)


def test_the_login_for_the_longest_part_of_the_name_wins(tmp_path: Path) -> None:
    write(
        tmp_path / ".docker/config.json",
        {
            "auths": {
                "ghcr.io/team": auth("team", "1"),
                "ghcr.io": auth("all", "2"),
                "ghcr.io/other": auth("no", "3"),
            }
        },
    )
    assert find("ghcr.io", tmp_path).user == "team"
    assert find("ghcr.io", tmp_path, path="elsewhere/x").user == "all"


def test_a_folder_of_the_environment_is_read_instead_of_the_usual_one(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"ghcr.io": auth("usual", "1")}})
    write(tmp_path / "named/config.json", {"auths": {"ghcr.io": auth("named", "2")}})
    assert find("ghcr.io", tmp_path, {"DOCKER_CONFIG": str(tmp_path / "named")}).user == "named"


def test_a_login_of_podman_is_found_after_that_of_docker(tmp_path: Path) -> None:
    write(
        tmp_path / "run/containers/auth.json",
        {"auths": {"ghcr.io": auth("podman", "1"), "a.io": auth("a", "1")}},
    )
    write(tmp_path / ".docker/config.json", {"auths": {"ghcr.io": auth("docker", "2")}})
    environment = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert find("ghcr.io", tmp_path, environment).user == "docker"
    assert find("a.io", tmp_path, environment).user == "a"


def test_an_identity_token_is_told_from_a_password(tmp_path: Path) -> None:
    write(
        tmp_path / ".docker/config.json",
        {"auths": {"a.io": auth("x", "") | {"identitytoken": "it"}, "b.io": auth("<token>", "it")}},
    )
    for host in ("a.io", "b.io"):
        found = find(host, tmp_path)
        assert (found.secret, found.is_token) == ("it", True)


@pytest.mark.parametrize("config", [{"credsStore": "mine"}, {"credHelpers": {"ghcr.io": "mine"}}])
def test_a_credential_helper_is_asked_for_the_registry(config: dict[str, Any], tmp_path: Path) -> None:
    environment = helper(
        tmp_path,
        "mine",
        "assert sys.argv[1:] == ['get']\n"
        f"print(json.dumps({{'ServerURL': asked, 'Username': asked.strip(), 'Secret': {SECRET!r}}}))",
    )
    write(tmp_path / ".docker/config.json", config | {"auths": {"ghcr.io": {}}})
    found = find("ghcr.io", tmp_path, environment)
    assert (found.user, found.secret, found.found) == ("ghcr.io", SECRET, "docker-credential-mine")


def test_docker_hub_has_an_old_address_at_helpers(tmp_path: Path) -> None:
    environment = helper(tmp_path, "mine", "print(json.dumps({'Username': asked, 'Secret': 'x'}))")
    write(tmp_path / ".docker/config.json", {"credsStore": "mine"})
    assert find("docker.io", tmp_path, environment).user == "https://index.docker.io/v1/"


def test_a_helper_that_knows_no_login_leaves_the_file(tmp_path: Path) -> None:
    environment = helper(tmp_path, "mine", "print('credentials not found in native keychain'); sys.exit(1)")
    write(tmp_path / ".docker/config.json", {"credsStore": "mine", "auths": {"ghcr.io": auth("file", "1")}})
    assert find("ghcr.io", tmp_path, environment).user == "file"
    assert not find("other.io", tmp_path, environment)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('the session is over'); sys.exit(1)", "failed with exit 1: the session is over"),
        ("print('not json')", "did not answer with a login"),
        ("print('x' * 10_000_000)", "did not answer with a login|failed with exit"),
        ("time.sleep(60)", "did not answer within"),
    ],
)
def test_a_helper_that_fails_is_named(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_HELPER_SECONDS", 5.0)
    environment = helper(
        tmp_path, "mine", f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n{body}"
    )
    write(tmp_path / ".docker/config.json", {"credHelpers": {"ghcr.io": "mine"}})
    with pytest.raises(FairwayError, match=words) as raised:
        find("ghcr.io", tmp_path, environment)
    assert "docker-credential-mine" in raised.value.message
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_helper_that_is_not_installed_is_named(tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"credsStore": "desktop"})
    with pytest.raises(FairwayError, match="docker-credential-desktop") as raised:
        find("ghcr.io", tmp_path, {"PATH": str(tmp_path)})
    assert "install" in raised.value.hint


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "", "-x", "/bin/sh"])
def test_a_helper_with_a_name_that_is_none_is_not_started(name: str, tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"credHelpers": {"ghcr.io": name}})
    with pytest.raises(UsageError, match="not a name"):
        find("ghcr.io", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        f'{{"auths": {{"ghcr.io": "{SECRET}"}}}}',
        f'{{"auths": {{"ghcr.io": {{"auth": "{SECRET}"}}}}}}',
        f"{{{SECRET}",
        f'["{SECRET}"]',
    ],
)
def test_a_damaged_file_is_named_without_what_is_in_it(content: str, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(content)
    with pytest.raises(UsageError, match=r"config\.json") as raised:
        find("ghcr.io", tmp_path)
    assert SECRET not in str(raised.value) + raised.value.hint
    assert raised.value.hint


@pytest.mark.parametrize("content", ["", "{}", '{"auths": null, "credHelpers": null, "other": 1}'])
def test_a_file_without_logins_has_none(content: str, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(content)
    assert not find("ghcr.io", tmp_path)


def test_the_text_of_a_login_shows_no_secret() -> None:
    login = Login("ada", SECRET, False, "config.json")
    assert SECRET not in repr(login) + str(login) + f"{login}"


def test_a_helper_is_ended_when_the_caller_goes(tmp_path: Path) -> None:
    environment = helper(
        tmp_path, "mine", f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    write(tmp_path / ".docker/config.json", {"credsStore": "mine"})
    program = (
        "import asyncio, pathlib, sys\n"
        "from fairway.cluster.images.credentials import find_login\n"
        "async def main():\n"
        f"    home = pathlib.Path({str(tmp_path)!r})\n"
        f"    task = asyncio.create_task(find_login('a.io', '', {environment!r}, home))\n"
        "    while not (home / 'pid').exists() or not (home / 'pid').read_text():\n"
        "        await asyncio.sleep(0.01)\n"
        "    task.cancel()\n"
        "    await asyncio.gather(task, return_exceptions=True)\n"
        "asyncio.run(main())\n"
    )
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert time.monotonic() - begun < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
