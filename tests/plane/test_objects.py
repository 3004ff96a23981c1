"""A control plane whose artifacts are in object storage, on a real server."""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from planes import TOKENS, Accounts, Plane
from sent_runs import PROJECT, RUNNER, bundle, events, follow, phase, submit
from servers import BUCKET, SECRET, Gateway

LARGE = os.urandom(2**20) * 20


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob(content: bytes) -> str:
    return f"/api/v1/store/blobs/{digest_of(content)}"


def key(content: bytes) -> str:
    digest = digest_of(content)
    return f"team/blobs/{digest[:2]}/{digest}"


@pytest.fixture
def make(
    tmp_path: Path, accounts: Accounts, free_port: Callable[[], int], gateway: Gateway
) -> Iterator[Callable[..., Plane]]:
    """Makes control planes of one installation that is not started."""
    made: list[Plane] = []

    def new(name: str = "one", prefix: str = "team", **install: object) -> Plane:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        store = f"s3://{BUCKET}/{prefix}?endpoint={gateway.url}" if prefix else ""
        made.append(Plane(folder / "volume", accounts, free_port(), store=store, **install))
        return made[-1].__enter__()

    yield new
    for plane in made:
        plane.__exit__(None, None, None)


def cached(plane: Plane) -> int:
    """Bytes of artifacts on the volume."""
    return sum(path.stat().st_size for path in (plane.volume / "store" / "blobs").glob("[0-9a-f][0-9a-f]/*"))


def test_a_run_leaves_its_artifacts_in_the_bucket_and_its_log_on_the_volume(
    make: Callable[..., Plane], gateway: Gateway
) -> None:
    plane = make().start()
    run = submit(plane, bundle(plane, {"shop/flow.py": PROJECT}))
    assert events(follow(plane, run))[-1]["event"]["body"]["type"] == "run.ended"
    assert phase(plane, run) == "Succeeded"
    assert gateway.path(key(PROJECT)).read_bytes() == PROJECT
    assert (plane.volume / "store" / "fairway.db").exists()
    assert not [path for path in gateway.folder.rglob("*") if path.name.startswith("fairway.db")]


def test_what_was_acknowledged_outlives_the_process_and_the_cache(make: Callable[..., Plane]) -> None:
    plane = make().start()
    assert plane.ask("PUT", blob(LARGE), LARGE, RUNNER)[0] == 200
    plane.stop(9)
    shutil.rmtree(plane.volume / "store" / "blobs")
    plane.start()
    assert plane.ask("GET", blob(LARGE), token=RUNNER) == (200, LARGE)


def test_a_kill_in_the_middle_of_a_large_object_leaves_none(
    make: Callable[..., Plane], gateway: Gateway
) -> None:
    plane = make().start()
    sending = threading.Thread(target=lambda: _ignoring(lambda: plane.ask("PUT", blob(LARGE), LARGE, RUNNER)))
    sending.start()
    until = time.monotonic() + 60
    # Parts of an upload are kept beside the objects until the upload is complete.
    while not any(path.stat().st_size > 2**20 for path in gateway.folder.rglob("*") if path.is_file()):
        assert time.monotonic() < until
    plane.stop(9)
    sending.join(60)
    plane.start()
    status, found = plane.ask("GET", blob(LARGE), token=RUNNER)
    assert status == 404 or found == LARGE
    assert plane.ask("PUT", blob(LARGE), LARGE, RUNNER)[0] == 200
    assert plane.ask("GET", blob(LARGE), token=RUNNER) == (200, LARGE)


def _ignoring(call: Callable[[], object]) -> None:
    try:
        call()
    except OSError:
        return


def test_a_store_that_is_away_is_said_and_waited_for(make: Callable[..., Plane], gateway: Gateway) -> None:
    plane = make().start()
    assert plane.ask("PUT", blob(b"before"), b"before", RUNNER)[0] == 200
    gateway.stop()
    status, said = plane.ask("PUT", blob(b"during"), b"during", RUNNER)
    assert status == 503
    assert "does not answer" in said["error"]
    assert said["hint"]
    assert plane.ask("GET", "/healthz")[0] == 200
    assert plane.ask("GET", blob(b"before"), token=RUNNER) == (200, b"before")
    gateway.start()
    assert plane.ask("PUT", blob(b"during"), b"during", RUNNER)[0] == 200


def test_a_control_plane_starts_again_while_its_store_is_away(
    make: Callable[..., Plane], gateway: Gateway
) -> None:
    plane = make().start()
    assert plane.ask("PUT", blob(b"before"), b"before", RUNNER)[0] == 200
    plane.stop()
    gateway.stop()
    plane.start()
    assert plane.ask("GET", "/api/v1/runs", token=RUNNER) == (200, [])
    assert "out of reach" in plane.log.read_text()


def test_a_bucket_that_is_gone_is_no_missing_artifact(make: Callable[..., Plane], gateway: Gateway) -> None:
    plane = make().start()
    assert plane.ask("PUT", blob(b"kept"), b"kept", RUNNER)[0] == 200
    plane.stop()
    shutil.rmtree(plane.volume / "store" / "blobs")
    moved = gateway.folder.with_name("moved")
    (gateway.folder / BUCKET).rename(moved)
    plane.start()
    status, said = plane.ask("GET", blob(b"kept"), token=RUNNER)
    assert (status, said["error"].split(":")[0]) == (503, f"there is no bucket {BUCKET}")
    moved.rename(gateway.folder / BUCKET)
    assert plane.ask("GET", blob(b"kept"), token=RUNNER) == (200, b"kept")


def test_artifacts_of_a_volume_move_to_the_bucket(make: Callable[..., Plane], gateway: Gateway) -> None:
    before = make(prefix="").start()
    assert before.ask("PUT", blob(b"older"), b"older", RUNNER)[0] == 200
    before.stop()
    after = make().start()
    assert gateway.path(key(b"older")).read_bytes() == b"older"
    after.stop()
    again = make(prefix="").start(wait=False)
    assert again.process is not None
    assert again.process.wait(60) == 2
    assert "the artifacts of this volume are at s3://" in again.log.read_text()


def test_two_installations_never_share_a_place(make: Callable[..., Plane]) -> None:
    first = make().start()
    second = make("two", uid="f" * 32).start(wait=False)
    assert second.process is not None
    assert second.process.wait(60) == 1
    assert "holds the artifacts of another installation" in second.log.read_text()
    assert first.is_ready()


def copies(gateway: Gateway) -> list[Path]:
    return sorted(gateway.path("team/backup").glob("*.db.gz"))


def test_a_lost_volume_is_made_again_from_the_last_copy_of_the_log(
    make: Callable[..., Plane], gateway: Gateway
) -> None:
    plane = make().start()
    run = submit(plane, bundle(plane, {"shop/flow.py": PROJECT}))
    follow(plane, run)
    assert plane.stop() == 0
    assert len(copies(gateway)) == 1
    shutil.rmtree(plane.volume)
    again = make("two", uid="f" * 32, restore="newest").start()
    assert phase(again, run) == "Succeeded"
    assert again.ask("GET", blob(PROJECT), token=RUNNER) == (200, PROJECT)
    newer = submit(again, bundle(again, {"shop/flow.py": PROJECT}))
    follow(again, newer)
    assert again.stop() == 0
    assert len(copies(gateway)) == 2


def test_the_earlier_owner_of_a_place_writes_no_log_there_any_more(
    make: Callable[..., Plane], gateway: Gateway
) -> None:
    plane = make().start()
    follow(plane, submit(plane, bundle(plane, {"shop/flow.py": PROJECT})))
    plane.stop()
    plane.start()
    follow(plane, submit(plane, bundle(plane, {"shop/flow.py": PROJECT})))
    make("two", uid="f" * 32, restore="newest").start()
    (first,) = copies(gateway)
    plane.stop()
    assert "belongs to another installation now" in plane.log.read_text()
    assert copies(gateway) == [first]


def test_nothing_is_copied_when_nothing_is_new(make: Callable[..., Plane], gateway: Gateway) -> None:
    plane = make().start()
    plane.stop()
    assert copies(gateway) == []


@pytest.mark.parametrize("wanted", ["newest", "20260101T000000Z-00000000.db.gz", "../../fairway.json"])
def test_a_copy_that_is_not_there_starts_nothing(make: Callable[..., Plane], wanted: str) -> None:
    plane = make(restore=wanted).start(wait=False)
    assert plane.process is not None
    assert plane.process.wait(60) == 4
    assert "has no copy" in plane.log.read_text()
    assert not (plane.volume / "store" / "fairway.db").exists()


def test_the_store_is_tried_by_whoever_may_run(make: Callable[..., Plane], gateway: Gateway) -> None:
    plane = make().start()
    status, tried = plane.ask("POST", "/api/v1/tries", {}, RUNNER)
    assert (status, [one["ok"] for one in tried]) == (200, [True, True])
    assert plane.ask("POST", "/api/v1/tries", {}, TOKENS["viewer"])[0] == 403
    assert [path for path in gateway.path("team/tries").rglob("*") if path.is_file()] == []
    gateway.stop()
    status, tried = plane.ask("POST", "/api/v1/tries", {}, RUNNER)
    assert (status, [one["ok"] for one in tried]) == (200, [False])
    assert "does not answer" in tried[0]["found"]


@pytest.mark.parametrize("path", ["gc", "backups"])
def test_a_runner_cleans_and_copies_nothing(make: Callable[..., Plane], path: str) -> None:
    plane = make().start()
    assert plane.ask("POST", f"/api/v1/{path}", {}, RUNNER)[0] == 403
    assert plane.ask("POST", f"/api/v1/{path}", {}, TOKENS["deployer"])[0] in (200, 507)


def test_content_that_a_pod_relies_on_is_not_removed(make: Callable[..., Plane], gateway: Gateway) -> None:
    plane = make().start()
    old, used = b"long unused", b"long stored and used today"
    for content in (old, used):
        assert plane.ask("PUT", blob(content), content, RUNNER)[0] == 200
        os.utime(gateway.path(key(content)), (1, 1))
    plane.stop()
    shutil.rmtree(plane.volume / "store" / "blobs")
    plane.start()
    assert plane.ask("POST", "/api/v1/store/missing", {"digests": [digest_of(used)]}, RUNNER) == (200, [])
    status, cleaned = plane.ask("POST", "/api/v1/gc", {"delete": True, "hours": 0}, TOKENS["deployer"])
    assert (status, cleaned["blobs"]) == (200, 1)
    assert plane.ask("GET", blob(old), token=RUNNER)[0] == 404
    assert plane.ask("GET", blob(used), token=RUNNER) == (200, used)


def test_the_cache_stays_within_its_limit(make: Callable[..., Plane]) -> None:
    plane = make(cache=2**20).start()
    for number in range(4):
        content = os.urandom(2**19)
        assert plane.ask("PUT", blob(content), content, RUNNER)[0] == 200
        for path in (plane.volume / "store" / "blobs").glob("[0-9a-f][0-9a-f]/*"):
            os.utime(path, (1000 + number, 1000 + number))
    content = os.urandom(2**19)
    assert plane.ask("PUT", blob(content), content, RUNNER)[0] == 200
    assert cached(plane) <= 2**20 + 2**19


def test_keys_of_the_store_are_in_no_log_and_no_file(make: Callable[..., Plane]) -> None:
    plane = make().start()
    run = submit(plane, bundle(plane, {"shop/flow.py": PROJECT}))
    follow(plane, run)
    plane.stop()
    for path in [plane.log, *plane.volume.rglob("*")]:
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_viewer_reads_no_blob(make: Callable[..., Plane]) -> None:
    plane = make().start()
    assert plane.ask("PUT", blob(b"kept"), b"kept", RUNNER)[0] == 200
    assert plane.ask("GET", blob(b"kept"), token=TOKENS["viewer"])[0] == 403
