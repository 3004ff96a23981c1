"""Messages to webhooks cannot be led elsewhere, cannot be held up, and trust nobody who cannot prove who they are."""

import asyncio
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

sys.path.insert(0, str(Path(__file__).parent.parent / "e2e"))

from receiver import Receiver

from fairway.plan.webhooks import answered
from fairway.remote import posting
from fairway.spec.webhook import Answer


def send(url: str, *, shared: bool = False) -> Answer:
    sender = posting.Sender(shared=shared, meaning=answered, agent="fairway/test")
    return asyncio.run(sender(url, b"{}", {"content-type": "application/json"}))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def named(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names lead to addresses: to the first list at the first question, and so on. Return the names asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: object, **more: object) -> list[tuple[object, ...]]:
        found = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "169.254.1.1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:169.254.169.254"]
)
def test_a_name_that_leads_to_a_metadata_service_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    named(monkeypatch, [address])
    answer = send("http://harmless.example/hook")
    assert answer.why.startswith("its address leads to a")
    assert answer.final


def test_a_name_with_one_bad_address_among_good_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    named(monkeypatch, ["127.0.0.1", "169.254.169.254"])
    assert "metadata" in send(f"http://mixed.example:{receiver.port}/hook").why
    assert receiver.received == []


def test_a_name_cannot_lead_elsewhere_between_the_check_and_the_connection(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    asked = named(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    assert send(f"http://moving.example:{receiver.port}/hook").status == 200
    assert asked == ["moving.example"]
    assert receiver.received[0].headers["host"] == f"moving.example:{receiver.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_platform_for_several_people_posts_nothing_to_its_own_machine(
    receiver: Receiver, host: str
) -> None:
    answer = send(f"http://{host}:{receiver.port}/hook", shared=True)
    assert answer.why == "its address leads to the machine of the platform itself"
    assert receiver.received == []


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [307]
    assert send(receiver.url).why == "it answered 307, and redirects are not followed"
    assert len(receiver.received) == 1


def test_no_proxy_of_the_environment_and_no_netrc_gets_a_message(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert send(receiver.url).status == 200
    assert "authorization" not in receiver.received[0].headers


def test_a_receiver_that_answers_letter_by_letter_is_given_up_in_time() -> None:
    def drip(line: socket.socket) -> None:
        connection, _ = line.accept()
        with connection:
            connection.recv(65536)
            for letter in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1000:
                if stop.wait(0.2):
                    return
                connection.sendall(bytes([letter]))

    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as line:
        thread = threading.Thread(target=drip, args=(line,), daemon=True)
        thread.start()
        begun = time.monotonic()
        answer = send(f"http://127.0.0.1:{line.getsockname()[1]}/hook")
        stop.set()
        thread.join(10)
    assert answer.why == "it did not answer within 5 seconds"
    assert time.monotonic() - begun < 20


def test_an_endless_answer_is_not_read(receiver: Receiver) -> None:
    def flood(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        try:
            while not receiver.closing.is_set():
                handler.wfile.write(b"x" * 65536)  # type: ignore[attr-defined]
        except OSError:
            return

    receiver.answers = [flood]
    # It would be no answer at all for whoever waited for its end.
    assert send(receiver.url).status == 200


def test_a_receiver_whose_certificate_nobody_vouches_for_gets_no_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("chat.example").configure_cert(served)
    named(monkeypatch, ["127.0.0.1"])
    with Receiver() as receiver:
        receiver.speak_tls(served)
        url = f"https://chat.example:{receiver.port}/hook"
        assert send(url).why == "its certificate is not trusted"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert send(url).status == 200
        assert send(url.replace("chat.example", "other.example")).why == "its certificate is not trusted"
    assert len(receiver.received) == 1


@pytest.mark.parametrize("text", ["x", "SSH-2.0-thing\r\n", "HTTP/9.9 abc def\r\n\r\n"])
def test_an_answer_that_is_none_is_told_without_quoting_it(text: str) -> None:
    def answer(line: socket.socket) -> None:
        connection, _ = line.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(text.encode())

    with socket.create_server(("127.0.0.1", 0)) as line:
        thread = threading.Thread(target=answer, args=(line,), daemon=True)
        thread.start()
        found = send(f"http://127.0.0.1:{line.getsockname()[1]}/s3cret")
        thread.join(10)
    assert found == Answer(why="it broke off the connection")
