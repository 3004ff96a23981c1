"""The platform's port is its own from the moment it was chosen: another store's platform may start at the same time."""

import socket

import pytest

from fairway.control import process


def test_no_two_platforms_choose_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(process, "_PORT", free.getsockname()[1])
    with process._bind() as first, process._bind() as second, socket.socket() as third:
        assert first.getsockname() != second.getsockname()
        third.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            third.bind(first.getsockname())
