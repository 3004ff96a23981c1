"""The store of a control plane as pods see it: records of their own run, content that is whole, and a plane that restarts."""

import hashlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from planes import TOKENS, Accounts, Plane

from fairway.spec.artifact import Artifact
from fairway.spec.errors import CorruptArtifact, StorageError
from fairway.spec.run import StepResult
from fairway.stores.opening import OpenStore, open_store, relayed_place

RECORD = msgspec.json.encode(StepResult(run="r1", step="s", attempt=1))


def pod(plane: Plane, run: str, tmp_path: Path, name: str = "pod") -> OpenStore:
    return open_store(relayed_place(plane.url, str(tmp_path / name), plane.credential(run)))


def secret(plane: Plane, run: str) -> str:
    return Path(plane.credential(run)).read_text()


def test_a_credential_opens_the_records_of_its_own_run_and_nothing_else(plane: Plane) -> None:
    own = secret(plane, "r1")
    assert plane.ask("PUT", "/api/v1/store/results/r1/s/1", RECORD, x_fairway_run=own)[0] == 201
    assert plane.ask("PUT", "/api/v1/store/results/r1/s/1", RECORD, x_fairway_run=own)[0] == 200
    for method in ("GET", "PUT"):
        status, said = plane.ask(method, "/api/v1/store/results/r2/s/1", RECORD, x_fairway_run=own)
        assert (status, said["error"]) == (403, "this credential is for another run")
    for path in ("/api/v1/runs", "/api/v1/runs/r1", "/api/v1/openapi.json", "/api/v1/models"):
        assert plane.ask("GET", path, x_fairway_run=own)[0] == 403
    assert plane.ask("PUT", "/api/v1/store/results/r1/other/1", RECORD, x_fairway_run=own)[0] == 400
    assert plane.ask("PUT", "/api/v1/store/results/r1/s/x", RECORD, x_fairway_run=own)[0] == 400
    assert plane.ask("PUT", "/api/v1/store/results/r1/s/2", b"no record", x_fairway_run=own)[0] == 400
    assert plane.ask("GET", "/api/v1/store/results/r1/s/2", x_fairway_run=own)[0] == 404


def test_the_credential_of_another_control_plane_opens_nothing(
    plane: Plane, tmp_path: Path, accounts: Accounts, free_port: Callable[[], int]
) -> None:
    (tmp_path / "second").mkdir()
    with Plane(tmp_path / "second" / "volume", accounts, free_port()) as other:
        other.start()
        theirs = secret(other, "r1")
        secret(plane, "r1")
        assert plane.ask("GET", "/api/v1/store/results/r1/s/1", x_fairway_run=theirs)[0] == 401


def test_a_pod_waits_for_a_control_plane_that_restarts(plane: Plane, tmp_path: Path) -> None:
    store = pod(plane, "r1", tmp_path)
    assert store.results.commit(StepResult(run="r1", step="before", attempt=1))
    plane.stop(signal.SIGKILL)
    done: list[object] = []

    def work() -> None:
        done.append(store.artifacts.put_bytes(b"made meanwhile"))
        done.append(store.results.commit(StepResult(run="r1", step="meanwhile", attempt=1)))

    working = threading.Thread(target=work)
    working.start()
    plane.start()
    working.join(60)
    assert done == [hashlib.sha256(b"made meanwhile").hexdigest(), True]
    assert pod(plane, "r1", tmp_path, "other").results.read("r1", "before", 1) is not None


def test_damage_at_the_control_plane_is_found_and_can_be_mended(plane: Plane, tmp_path: Path) -> None:
    digest = pod(plane, "r1", tmp_path).artifacts.put_bytes(b"content")
    path = plane.volume / "store" / "blobs" / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    found = Artifact(format="", digest=digest, size=7)
    with pytest.raises((CorruptArtifact, StorageError)):
        pod(plane, "r1", tmp_path, "other").artifacts.open(found)
    assert not path.exists(), "it was moved aside"
    pod(plane, "r1", tmp_path, "third").artifacts.put_bytes(b"content")
    opened = pod(plane, "r1", tmp_path, "fourth").artifacts.open(found)
    assert isinstance(opened, Path)
    assert opened.read_bytes() == b"content"


def test_a_large_body_costs_the_control_plane_a_small_part_of_its_memory(
    plane: Plane, tmp_path: Path
) -> None:
    assert plane.process is not None
    status = Path(f"/proc/{plane.process.pid}/status")

    def peak() -> int:
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024

    store, before = pod(plane, "r1", tmp_path), peak()
    data = os.urandom(2**20) * 100
    digest = store.artifacts.put_bytes(data)
    opened = pod(plane, "r1", tmp_path, "other").artifacts.open(
        Artifact(format="", digest=digest, size=len(data))
    )
    assert isinstance(opened, Path)
    assert opened.stat().st_size == len(data)
    assert peak() - before < 16 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A volume of 12 MiB."""
    folder = tmp_path / "volume"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "none", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: run as root ({done.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_volume_is_said_to_the_pod_and_nothing_is_left_in_half(
    disk: Path, tmp_path: Path, accounts: Accounts, free_port: Callable[[], int]
) -> None:
    with Plane(disk, accounts, free_port()) as plane:
        plane.start()
        store = pod(plane, "r1", tmp_path)
        # Nobody makes room here, so waiting for it is cut short.
        store.artifacts._upstream._patience = 3.0  # type: ignore[union-attr]
        with pytest.raises(StorageError, match="full") as caught:
            store.artifacts.put_bytes(os.urandom(20 * 2**20))
        assert caught.value.hint
        assert plane.ask("GET", "/readyz")[0] == 200
        digest = store.artifacts.put_bytes(os.urandom(2**20))
        assert store.artifacts.exists(digest), "there is room again, because nothing was left"
        assert list((disk / "store" / "blobs" / "tmp").iterdir()) == []
        plane.stop()


def test_a_control_plane_whose_disk_fails_ends_and_the_next_one_takes_what_pods_have(
    plane: Plane, tmp_path: Path
) -> None:
    store, done = pod(plane, "r1", tmp_path), list[str]()
    failing = plane.pods / "disk fails"
    failing.touch()
    working = threading.Thread(target=lambda: done.append(store.artifacts.put_bytes(b"content")))
    working.start()
    assert plane.process is not None
    assert plane.process.wait(60) == 1
    failing.unlink()
    plane.start()
    working.join(60)
    assert done == [hashlib.sha256(b"content").hexdigest()]


def test_no_token_and_no_credential_is_written_anywhere(plane: Plane, tmp_path: Path) -> None:
    token, credential = TOKENS["deployer"], secret(plane, "r1")
    for path in ("/api/v1/runs", "/api/v1/none", f"/api/v1/runs/{'x' * 300}", "/api/v1/runs?limit=x"):
        plane.ask("GET", path, token=token)
        plane.ask("GET", path, x_fairway_run=credential)
    plane.ask("PUT", "/api/v1/store/results/r1/s/1", RECORD, x_fairway_run=credential)
    plane.stop()
    written = [path for path in (*plane.volume.rglob("*"), plane.log) if path.is_file()]
    assert written
    for path in written:
        content = path.read_bytes()
        assert token.encode() not in content, path
        assert credential.encode() not in content, path


def test_content_that_an_earlier_process_of_the_pod_stored_is_asked_for_and_stored_again(
    plane: Plane, tmp_path: Path
) -> None:
    digest = pod(plane, "k7m2", tmp_path).artifacts.put_bytes(b"content")
    again = pod(plane, "k7m2", tmp_path)
    assert again.artifacts.put_bytes(b"content") == digest
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"content")
    assert again.artifacts.put_folder(folder)[1] == len(b"content")
