"""The platform's port is its own from the moment it was chosen: another store's platform may start at the same time."""

import socket
from collections.abc import Callable

import pytest

from fairway.control import process


def test_no_two_platforms_choose_the_same_port(free_port: Callable[[], int]) -> None:
    wished = free_port()
    with process._bind(wished) as first, process._bind(wished) as second, socket.socket() as third:
        assert first.getsockname() != second.getsockname()
        third.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            third.bind(first.getsockname())


def test_an_error_of_the_process_is_harmless_for_a_terminal(tmp_path, capsys):
    root = tmp_path / "a\x1b[31m\nerror: b"
    root.write_text("no folder")
    assert process.main(["--root", str(root), "--say"]) != 0
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert said.count("error:") == said.splitlines()[0].count("error:")
