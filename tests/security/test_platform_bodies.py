"""The bodies that clients with the token send to the platform are bounded together, and given up when a client leaves."""

import contextlib
import http.client
import json
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project

from fairway.control.bodies import BODY_LIMIT, TOGETHER

CLIENTS = (12, 24, 48)
MEMORY_CONSTANT = 24 * 2**20


class Up:
    """A platform as a person starts it."""

    def __init__(self, project: Project) -> None:
        project.fairway("up")
        record = json.loads((project.folder / ".fairway" / "platform" / "platform.json").read_text())
        self.port, self._status = record["port"], Path(f"/proc/{record['pid']}/status")
        self.token = (project.folder / ".fairway" / "platform" / "token").read_text().strip()
        self._reset = Path(f"/proc/{record['pid']}/clear_refs")

    def highest_memory(self) -> int:
        return self._field("VmHWM")

    def start_measuring(self) -> int:
        """Let the highest mark begin anew; returns the memory now."""
        self._reset.write_text("5")
        return self._field("VmRSS")

    def _field(self, name: str) -> int:
        return int(self._status.read_text().split(f"{name}:")[1].split()[0]) * 1024

    def half_a_body(self) -> socket.socket:
        line = socket.create_connection(("127.0.0.1", self.port), 240)
        line.sendall(
            b"POST /api/v1/deploy HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (self.port, self.token.encode(), BODY_LIMIT)
        )
        with contextlib.suppress(OSError):
            line.sendall(b" " * (BODY_LIMIT - 10))
        return line

    def whole_body(self) -> int:
        """The status of a request with as large a body as may be."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        client.request("POST", "/api/v1/deploy", b" " * (BODY_LIMIT - 2) + b"{}", headers)
        status = client.getresponse().status
        client.close()
        return status


@pytest.fixture
def up(project: Project) -> Iterator[Up]:
    try:
        yield Up(project)
    finally:
        project.fairway("down", expect=None)


def refusals(lines: list[socket.socket], wanted: int) -> list[bytes]:
    """What those are told that are told anything, once so many are; those that are not wait for the rest of their body."""
    found, waiting, until = list[bytes](), list(lines), time.monotonic() + 120
    while len(found) < wanted and time.monotonic() < until:
        for line in select.select(waiting, [], [], 1.0)[0]:
            waiting.remove(line)
            with contextlib.suppress(ConnectionError):
                found += [said] if (said := line.recv(4096)) else []
    return found


def test_bodies_for_the_platform_are_bounded_together_however_many_clients_send_them(up: Up) -> None:
    assert up.whole_body() == 400
    before = up.start_measuring()
    for clients in CLIENTS:
        lines = [up.half_a_body() for _ in range(clients)]
        # A client whose line is cut while it sends may not see why.
        refused = refusals(lines, max(0, clients - TOGETHER // BODY_LIMIT) // 2)
        assert all(said.startswith(b"HTTP/1.1 503 ") for said in refused), refused[:1]
        assert bool(refused) == (clients > TOGETHER // BODY_LIMIT)
        assert up.highest_memory() - before < 2 * TOGETHER + MEMORY_CONSTANT, clients
        for line in lines:
            line.close()
        until, status = time.monotonic() + 120, 0
        while status != 400 and time.monotonic() < until:
            status = up.whole_body()
        assert status == 400, "what was given up is counted no longer"
