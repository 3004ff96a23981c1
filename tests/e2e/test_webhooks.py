"""Webhooks by the words that a person types, with receivers on this machine."""

import hashlib
import hmac
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project, wait_for
from receiver import Receiver

KEY = "a-key-that-signs-messages"
TEXT = """
@fw.task
def share(values: list[int], people: int, word: str) -> float:
    print("a line of output")
    if people == 0:
        raise ValueError(f"nobody among {word}")
    while people < 0:
        time.sleep(0.05)
    return sum(values) / people

@fw.pipeline
def shares(people: int = 2, word: str = "kumquat") -> float:
    return share([8123457, 12], people, word)

@fw.pipeline
def other() -> int:
    return 1
"""


@pytest.fixture
def written(project: Project) -> Iterator[Project]:
    """A project whose platform process ends with the test, if it has one."""
    project.write(TEXT)
    project.environment |= {"HOOK_KEY": KEY}
    yield project
    if (project.folder / ".fairway" / "platform" / "platform.json").exists():
        project.fairway("down", expect=None)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def hook(project: Project, receiver: Receiver, *words: str) -> None:
    project.environment["HOOK_URL"] = receiver.url
    project.fairway("webhooks", "add", "team", "--url-from", "HOOK_URL", *words)


def outcome(project: Project, run: str = "") -> dict[str, Any]:
    """What became of the message about the only end of a run; nothing while it has none."""
    (found,) = json.loads(project.fairway("show", *filter(None, [run]), "--json").stdout)["deliveries"]
    return found if found["time"] else {}


def settled(project: Project, run: str = "") -> dict[str, Any]:
    project.fairway("webhooks", "send")
    found = outcome(project, run)
    assert found
    return found


def poster(project: Project) -> int:
    """The id of the process that posts for a project; 0 when there is none."""
    store = str(project.folder / ".fairway").encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"fairway.control.posting" in words and store in words:
                return int(folder.name)
    return 0


def test_a_failed_run_is_told_in_one_small_message(written: Project, receiver: Receiver) -> None:
    hook(written, receiver)
    written.fairway("run", "project.py:shares", "--people", "0", expect=1)
    (message,) = receiver.wait()
    run = written.newest()
    assert message.path == "/hook/t0p-5ecret-path"
    assert message.headers["content-type"] == "application/json"
    assert len(message.content) < 8192
    assert message.body == {
        "id": message.headers["fairway-event-id"],
        "type": "run.failed",
        "text": f"run {run} of shares failed: step share: the code raised ValueError",
        "run": run,
        "pipeline": "shares",
        "project": "project.py",
        "phase": "Failed",
        "reason": "step share: the code raised ValueError",
        "started": message.body["started"],
        "ended": message.body["ended"],
        "seconds": message.body["seconds"],
    }
    assert message.body["started"] < message.body["ended"]
    assert settled(written)["status"] == 200
    assert "webhook   team told at 20" in written.fairway("show").stdout


def test_no_value_parameter_or_output_of_a_run_is_told(written: Project, receiver: Receiver) -> None:
    hook(written, receiver)
    written.fairway("run", "project.py:shares", "--people", "0", "--word", "kiwi", expect=1)
    (message,) = receiver.wait()
    for value in (
        b"kiwi",
        b"kumquat",
        b"nobody",
        b"a line of output",
        b"8123457",
        str(written.folder).encode(),
    ):
        assert value not in message.content


def test_only_the_ends_and_pipelines_that_a_webhook_asks_for_are_told(
    written: Project, receiver: Receiver
) -> None:
    hook(written, receiver, "--on", "success", "--pipeline", "shares")
    written.fairway("run", "project.py:other")
    written.fairway("run", "project.py:shares", "--people", "0", expect=1)
    assert json.loads(written.fairway("show", "--json").stdout)["deliveries"] == []
    written.fairway("run", "project.py:shares")
    (message,) = receiver.wait()
    assert (message.body["type"], message.body["pipeline"]) == ("run.succeeded", "shares")
    assert message.body["text"] == f"run {written.newest()} of shares succeeded"


@pytest.mark.parametrize("on", ["failure", "cancelled"])
def test_a_cancelled_run_is_neither_a_success_nor_a_failure(
    written: Project, receiver: Receiver, on: str
) -> None:
    hook(written, receiver, "--on", on, "--on", "success")
    at_work = written.start("run", "project.py:shares", "--people", "-1")
    assert wait_for(lambda: "running" in written.fairway("runs").stdout)
    written.fairway("cancel", written.newest())
    assert at_work.wait(60) == 130
    if on == "failure":
        assert json.loads(written.fairway("show", "--json").stdout)["deliveries"] == []
        return
    (message,) = receiver.wait()
    assert (message.body["type"], message.body["phase"]) == ("run.cancelled", "Cancelled")


def test_a_run_that_was_interrupted_and_then_cancelled_is_told(written: Project, receiver: Receiver) -> None:
    hook(written, receiver, "--on", "cancelled")
    at_work = written.start("run", "project.py:shares", "--people", "-1")
    assert wait_for(lambda: "running" in written.fairway("runs").stdout)
    os.killpg(at_work.pid, signal.SIGKILL)
    at_work.wait(60)
    written.fairway("cancel", written.newest())
    (message,) = receiver.wait()
    assert message.body["reason"] == "cancelled"


def test_a_message_is_signed_with_the_key_that_a_person_sets(written: Project, receiver: Receiver) -> None:
    hook(written, receiver, "--on", "success", "--key-from", "HOOK_KEY")
    written.fairway("run", "project.py:shares")
    (message,) = receiver.wait()
    parts = dict(one.split("=") for one in message.headers["fairway-signature"].split(","))
    signed = parts["t"].encode() + b"." + message.content
    assert parts["v1"] == hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert abs(int(parts["t"]) - time.time()) < 300


def test_a_receiver_that_fails_twice_is_told_at_the_third_try(written: Project, receiver: Receiver) -> None:
    receiver.answers = [500, 503]
    hook(written, receiver, "--on", "success")
    written.fairway("run", "project.py:shares")
    found = receiver.wait(3)
    assert len({one.body["id"] for one in found}) == 1
    assert (settled(written)["delivered"], outcome(written)["tries"]) == (True, 3)
    assert len(receiver.received) == 3


@pytest.mark.parametrize(
    ("status", "tries", "why"),
    [
        (302, 1, "it answered 302, and redirects are not followed"),
        (404, 1, "it answered 404"),
        (500, 3, "it answered 500"),
    ],
)
def test_an_answer_that_refuses_is_on_record(
    written: Project, receiver: Receiver, status: int, tries: int, why: str
) -> None:
    receiver.answers = [status] * 3
    hook(written, receiver, "--on", "success")
    written.fairway("run", "project.py:shares")
    found = settled(written)
    assert (found["delivered"], found["status"], found["tries"], found["why"]) == (False, status, tries, why)
    assert {one.path for one in receiver.received} == {"/hook/t0p-5ecret-path"}
    assert (
        f"webhook   team not told{' after 3 tries' if tries > 1 else ''}: {why}"
        in written.fairway("show").stdout
    )


def test_a_receiver_that_is_away_or_hangs_neither_delays_nor_fails_a_run(written: Project) -> None:
    with Receiver() as away:
        hook(written, away, "--on", "success")
    with Receiver() as hanging:
        hanging.answers = [lambda handler: hanging.closing.wait(60)] * 3
        written.fairway("webhooks", "add", "slow", hanging.url, "--on", "success")
        begun = time.monotonic()
        written.fairway("run", "project.py:shares")
        took = time.monotonic() - begun
        assert poster(written)
        written.fairway("webhooks", "send")
        bound = time.monotonic() - begun
    found = {one["hook"]: one for one in json.loads(written.fairway("show", "--json").stdout)["deliveries"]}
    assert (found["team"]["why"], found["team"]["tries"]) == ("it refuses connections", 3)
    assert (found["slow"]["why"], found["slow"]["tries"]) == ("it did not answer within 5 seconds", 3)
    assert took < 15, "the run waited for its messages"
    assert bound < 60


def test_a_message_whose_poster_was_killed_is_posted_again_with_its_identifier(written: Project) -> None:
    with Receiver() as receiver:
        receiver.answers = [lambda handler: receiver.closing.wait(60)]
        hook(written, receiver, "--on", "success")
        written.fairway("run", "project.py:shares")
        receiver.wait()
        os.kill(poster(written), signal.SIGKILL)
        assert outcome(written) == {}
        assert "webhook   team is not told yet" in written.fairway("show").stdout
        written.fairway("webhooks", "send")
        first, second = receiver.wait(2)
        assert first.body["id"] == second.body["id"]
        assert outcome(written)["delivered"]


def test_the_platform_process_posts_what_a_killed_process_left(written: Project) -> None:
    with Receiver() as receiver:
        receiver.answers = [lambda handler: receiver.closing.wait(60)]
        hook(written, receiver, "--on", "success")
        written.fairway("run", "project.py:shares")
        receiver.wait()
        os.kill(poster(written), signal.SIGKILL)
        written.fairway("up")
        first, second = receiver.wait(2)
        assert (second.body["id"], second.body["run"]) == (first.body["id"], written.newest())
        assert second.body["url"].startswith("http://127.0.0.1:")
        assert second.body["url"].endswith(f"/runs/{written.newest()}")


def test_a_detached_run_is_told_as_well(written: Project, receiver: Receiver) -> None:
    hook(written, receiver, "--on", "success")
    written.fairway("run", "project.py:shares", "--detach")
    (message,) = receiver.wait()
    assert message.body["phase"] == "Succeeded"
    assert settled(written)["delivered"]
    assert len(receiver.received) == 1


def test_a_run_that_is_resumed_has_a_message_for_each_of_its_ends(
    written: Project, receiver: Receiver
) -> None:
    hook(written, receiver, "--on", "success", "--on", "failure")
    written.fairway("run", "project.py:shares", "--people", "0", expect=1)
    receiver.wait()
    source = written.folder / "project.py"
    source.write_text(
        source.read_text().replace("if people == 0", "if people == 99").replace("/ people", "/ 1")
    )
    written.fairway("resume", written.newest())
    failed, done = receiver.wait(2)
    assert [failed.body["phase"], done.body["phase"]] == ["Failed", "Succeeded"]
    assert failed.body["id"] != done.body["id"]
    assert failed.body["run"] == done.body["run"]


def test_the_address_and_the_key_are_shown_nowhere_and_kept_for_the_owner_alone(
    written: Project, receiver: Receiver
) -> None:
    hook(written, receiver, "--key-from", "HOOK_KEY")
    said = written.fairway("webhooks", "test", "team")
    told = [said.stdout + said.stderr]
    written.fairway("run", "project.py:shares", "--people", "0", expect=1)
    settled(written)
    for words in (["webhooks"], ["webhooks", "--json"], ["show"], ["show", "--json"], ["audit"], ["why"]):
        done = written.fairway(*words)
        told.append(done.stdout + done.stderr)
    assert not [text for text in told if "t0p-5ecret" in text or KEY in text]
    assert f"http://127.0.0.1:{receiver.port}" in told[1]
    holding = [
        path
        for path in (written.folder / ".fairway").rglob("*")
        if path.is_file() and (b"t0p-5ecret" in path.read_bytes() or KEY.encode() in path.read_bytes())
    ]
    assert [path.name for path in holding] == ["webhooks.json"]
    assert holding[0].stat().st_mode & 0o777 == 0o600


def test_webhooks_that_somebody_wrote_into_the_store_by_hand_do_not_count(
    written: Project, receiver: Receiver
) -> None:
    hook(written, receiver, "--on", "success")
    kept = written.folder / ".fairway" / "platform" / "webhooks.json"
    kept.write_bytes(kept.read_bytes().replace(b"t0p-5ecret", b"an-0ther-o"))
    assert "nobody is told" in written.fairway("webhooks").stderr
    written.fairway("run", "project.py:shares")
    assert json.loads(written.fairway("show", "--json").stdout)["deliveries"] == []


def test_a_webhook_is_set_again_tried_and_removed(written: Project, receiver: Receiver) -> None:
    hook(written, receiver)
    written.fairway("webhooks", "add", "team", receiver.url, "--on", "success")
    (shown,) = json.loads(written.fairway("webhooks", "--json").stdout)
    assert shown == {
        "name": "team",
        "place": f"http://127.0.0.1:{receiver.port}",
        "on": ["success"],
        "pipeline": "",
        "signed": False,
    }
    assert "team took the message, with status 200" in written.fairway("webhooks", "test", "team").stderr
    assert receiver.received[0].body["type"] == "run.test"
    receiver.answers = [403]
    assert "it answered 403" in written.fairway("webhooks", "test", "team", expect=1).stderr
    written.fairway("webhooks", "rm", "team")
    assert "there is no webhook 'team'" in written.fairway("webhooks", "test", "team", expect=4).stderr
    assert "there is no webhook 'team'" in written.fairway("webhooks", "rm", "team", expect=4).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["team"], "a webhook has one address"),
        (["team", "ftp://example.org/x"], "begins with https:// or http://"),
        (["team", "https://"], "begins with https:// or http://"),
        (["team", "https://me:s3cret-word@example.org/"], "has a user or a password"),
        (["team", "http://169.254.169.254/latest"], "leads to a metadata service"),
        (["te am", "https://example.org/"], "is not a usable name"),
        (["team", "--url-from", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["team", "https://example.org/", "--key-from", "SHORT"], "a key has 16 to 1024 characters"),
    ],
)
def test_a_webhook_that_cannot_be_used_is_refused_when_it_is_set(
    written: Project, words: list[str], said: str
) -> None:
    written.environment["SHORT"] = "short"
    refused = written.fairway("webhooks", "add", *words, expect=2)
    assert said in refused.stderr
    assert "s3cret-word" not in refused.stderr
    assert json.loads(written.fairway("webhooks", "--json").stdout) == []
