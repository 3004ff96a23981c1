"""An installation whose artifacts are in object storage: installed, run on, cleaned, copied, and refused where it cannot work."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "buckets"))

import servers
from plane_here import address_here, push_image

from lab.kubectl import Kubectl, make_user

PROJECT = """
import fairway as fw

@fw.task
def numbers(count: int) -> list[int]:
    return list(range(count))

@fw.pipeline
def main(count: int = 200_000):
    return numbers(count)
"""


@pytest.fixture(scope="module")
def gateway(
    kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[servers.Gateway]:
    """A server of object storage on this machine that pods reach."""
    if why := servers.obtainable():
        pytest.skip(why)
    folder, host = tmp_path_factory.mktemp("gateway") / "objects", address_here(kubectl.kubeconfig)
    with servers.Gateway(folder, free_port(), host=host) as found:
        yield found


def keep_keys(kubectl: Kubectl, namespace: str, secret: str = servers.SECRET) -> None:
    """Put the keys of the store into a Secret, as an administrator does."""
    pairs = {"AWS_ACCESS_KEY_ID": servers.ACCESS, "AWS_SECRET_ACCESS_KEY": secret}
    literals = [f"--from-literal={name}={value}" for name, value in pairs.items()]
    kubectl.inside(namespace)("create", "secret", "generic", "bucket-keys", *literals)


class Team:
    """A namespace with an installation, and the folder of a person who works there."""

    def __init__(self, namespace: str, store: str, image: str, kubeconfig: Path, folder: Path) -> None:
        self.namespace = namespace
        self.store = store
        self.folder = folder / "shop"
        self._image = image
        self.folder.mkdir()
        (self.folder / "flow.py").write_text(PROJECT)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("FAIRWAY_", "XDG_"))}
        self._environment = kept | {"HOME": str(folder), "KUBECONFIG": str(kubeconfig), "CI": "1"}

    def fairway(self, *words: str, expect: int = 0) -> str:
        """Run a command and return all that it said."""
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def install(self, *more: str, expect: int = 0) -> str:
        """Install Fairway with its artifacts in the store."""
        words = ("--namespace", self.namespace, "--image", self._image, "--store", self.store)
        return self.fairway("install", *words, "--store-secret", "bucket-keys", *more, expect=expect)


def team_of(kubectl: Kubectl, namespace: str, image: str, folder: Path, store: str) -> Team:
    return Team(namespace, store, image, make_user(kubectl, folder, "admin", namespace), folder)


@pytest.fixture(scope="module")
def image(registry: str) -> str:
    return push_image(registry)


@pytest.fixture(scope="module")
def team(
    kubectl: Kubectl,
    gateway: servers.Gateway,
    image: str,
    make_namespace: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Team:
    namespace = make_namespace()
    keep_keys(kubectl, namespace)
    store = f"s3://{servers.BUCKET}/team?endpoint={gateway.url}"
    made = team_of(kubectl, namespace, image, tmp_path_factory.mktemp("laptop"), store)
    made.install()
    made.fairway("target", "add", "team", "--namespace", namespace)
    return made


def blobs(gateway: servers.Gateway, prefix: str = "team") -> list[Path]:
    return [path for path in gateway.path(f"{prefix}/blobs").rglob("*") if path.is_file()]


def control_plane(kubectl: Kubectl, namespace: str) -> str:
    found = kubectl.inside(namespace).json("get", "pods", "-l", "app.kubernetes.io/name=fairway")["items"]
    return str(found[0]["metadata"]["name"])


def test_a_run_keeps_its_artifacts_in_the_bucket_and_outlives_the_control_plane(
    team: Team, kubectl: Kubectl, gateway: servers.Gateway
) -> None:
    team.fairway("run", "flow.py", "--target", "team")
    assert max(path.stat().st_size for path in blobs(gateway)) > 200_000
    inside = kubectl.inside(team.namespace)
    inside("delete", "pod", control_plane(kubectl, team.namespace))
    assert any(gateway.path("team/backup").glob("*.db.gz"))
    inside("rollout", "status", "deployment/fairway", "--timeout=120s")
    assert "numbers" in team.fairway("show", "--target", "team")
    team.fairway("run", "flow.py", "--target", "team", "--count", "7")


def test_a_target_is_cleaned_and_copied_by_the_words_of_this_machine(
    team: Team, gateway: servers.Gateway, tmp_path: Path
) -> None:
    team.fairway("run", "flow.py", "--target", "team", "--count", "100000")
    before = len(blobs(gateway))
    lost = gateway.path("team/blobs/00") / ("00" * 32)
    lost.parent.mkdir(exist_ok=True)
    lost.write_bytes(b"nothing refers to this")
    os.utime(lost, (1, 1))
    assert "would remove 1 blobs" in team.fairway("gc", "--target", "team")
    assert lost.exists()
    assert json.loads(team.fairway("gc", "--target", "team", "--delete", "--json"))["deleted"]
    assert not lost.exists()
    assert len(blobs(gateway)) == before
    team.fairway("backup", "--target", "team", str(tmp_path / "copy"))
    copied = [path.name for path in (tmp_path / "copy" / "blobs").rglob("*") if path.is_file()]
    assert set(copied) <= {path.name for path in blobs(gateway)}
    assert len(copied) >= 3


@pytest.mark.thorough
def test_the_keys_of_the_store_are_nowhere_but_in_their_secret(team: Team, kubectl: Kubectl) -> None:
    inside = kubectl.inside(team.namespace)
    told = inside("get", "all,configmaps,events,serviceaccounts,jobs", "-o", "yaml")
    assert servers.SECRET not in told
    assert servers.SECRET not in inside("logs", "deployment/fairway", "--all-containers")


def test_doctor_tries_the_store_from_the_control_plane(team: Team) -> None:
    told = team.fairway("doctor", "--target", "team")
    lines = [line for line in told.splitlines() if line.split()[:1] == ["objects"]]
    assert [line.split()[1] for line in lines] == ["ok", "ok"]
    assert "an object is created only once" in lines[1]


@pytest.mark.parametrize(
    ("store", "secret", "said"),
    [
        ("s3://not-there/team?endpoint={url}", servers.SECRET, "there is no bucket not-there"),
        pytest.param(
            "s3://artifacts/bad?endpoint={url}",
            "another",
            "does not accept the credentials",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            "s3://artifacts/bad?endpoint=http://127.0.0.1:9",
            servers.SECRET,
            "does not answer",
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["no bucket", "wrong keys", "no server"],
)
def test_a_store_that_cannot_be_used_is_said_and_nothing_stays(
    kubectl: Kubectl,
    namespace: str,
    gateway: servers.Gateway,
    image: str,
    tmp_path: Path,
    store: str,
    secret: str,
    said: str,
) -> None:
    keep_keys(kubectl, namespace, secret)
    team = team_of(kubectl, namespace, image, tmp_path, store.format(url=gateway.url))
    told = team.install("--wait", "90s", expect=1)
    assert said in told
    until = time.monotonic() + 60
    while kubectl.inside(namespace).json("get", "deployments,configmaps", "-l", "fairway.dev/install")[
        "items"
    ]:
        assert time.monotonic() < until
        time.sleep(0.5)
    with contextlib.suppress(FileNotFoundError):
        assert not list(gateway.path("bad").rglob("*.json"))
