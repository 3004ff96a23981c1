"""The control plane as a process: who may ask, what it takes, and what is left when it ends."""

import hashlib
import signal

import pytest
from planes import STEP, TOKENS, Plane

SHA = hashlib.sha256(b"content").hexdigest()


def test_readiness_needs_no_token_and_everything_else_does(plane: Plane) -> None:
    assert plane.ask("GET", "/healthz") == (200, {"live": True})
    assert plane.ask("GET", "/readyz") == (200, {"ready": True})
    assert plane.ask("GET", "/api/v1/runs")[0] == 401
    assert plane.ask("GET", "/api/v1/runs", token="made up")[0] == 401
    assert plane.ask("GET", "/api/v1/runs", token=STEP)[0] == 403
    assert plane.ask("GET", "/api/v1/runs", token=TOKENS["viewer"]) == (200, [])


def test_any_host_name_is_taken_and_no_other_origin(plane: Plane) -> None:
    viewer = TOKENS["viewer"]
    assert plane.ask("GET", "/api/v1/runs", token=viewer, host="10.96.0.1:6443")[0] == 200
    assert plane.ask("GET", "/api/v1/runs", token=viewer, origin="http://evil.example")[0] == 403
    assert plane.ask("GET", "/api/v1/runs", token=viewer, sec_fetch_site="cross-site")[0] == 403


def test_a_role_opens_what_it_needs_and_no_more(plane: Plane) -> None:
    assert plane.ask("PUT", f"/api/v1/store/blobs/{SHA}", b"content", TOKENS["viewer"])[0] == 403
    assert plane.ask("PUT", f"/api/v1/store/blobs/{SHA}", b"content", TOKENS["runner"])[0] == 200
    assert plane.ask("GET", f"/api/v1/store/blobs/{SHA}", token=TOKENS["runner"]) == (200, b"content")
    status, said = plane.ask("POST", "/api/v1/deploy", {"name": "a", "model": "a"}, TOKENS["deployer"])
    assert (status, said["error"]) == (404, "there is no model 'a'")
    assert plane.ask("POST", "/api/v1/deploy", {"name": "a", "model": "a"}, TOKENS["runner"])[0] == 403
    assert plane.ask("GET", "/api/v1/endpoints", token=TOKENS["viewer"]) == (200, [])


def test_the_process_ends_well_when_it_is_asked_to(plane: Plane) -> None:
    plane.ask("PUT", f"/api/v1/store/blobs/{SHA}", b"content", TOKENS["runner"])
    assert plane.stop() == 0
    plane.start()
    assert plane.ask("GET", f"/api/v1/store/blobs/{SHA}", token=TOKENS["runner"]) == (200, b"content")


def test_a_second_process_waits_for_the_volume(plane: Plane) -> None:
    first = plane.process
    assert first is not None
    second = plane.start(wait=False).process
    assert second is not None
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    plane.wait_ready()
    assert second.poll() is None


@pytest.mark.parametrize("size", [0, 1, 600_000, 3_000_000])
def test_content_of_any_size_comes_back_and_is_never_half(plane: Plane, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    digest = hashlib.sha256(data).hexdigest()
    wrong = "0" * 64
    runner = TOKENS["runner"]
    assert plane.ask("PUT", f"/api/v1/store/blobs/{wrong}", data, runner)[0] == 400
    assert plane.ask("HEAD", f"/api/v1/store/blobs/{wrong}", token=runner)[0] == 404
    assert plane.ask("POST", "/api/v1/store/missing", {"digests": [digest]}, runner) == (200, [digest])
    assert plane.ask("PUT", f"/api/v1/store/blobs/{digest}", data, runner)[0] == 200
    assert plane.ask("POST", "/api/v1/store/missing", {"digests": [digest, wrong]}, runner) == (200, [wrong])
    assert plane.ask("GET", f"/api/v1/store/blobs/{digest}", token=runner) == (200, data)
