"""A server of object storage: versitygw, which keeps objects as files."""

import os
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.building import UnobtainableError, tool

ACCESS, SECRET = "fairway-tests", "not-a-secret-of-anybody"
BUCKET = "artifacts"
_START_SECONDS = 60.0
_OF_A_CLIENT = ("AWS_", "GOOGLE_", "AZURE_")


class Gateway:
    """A versitygw. Its objects are files below `folder`, in a folder for each bucket."""

    def __init__(
        self, folder: Path, port: int, *, host: str = "127.0.0.1", options: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.host, self.port = host, port
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BUCKET).mkdir(exist_ok=True)
        self._log = folder.with_suffix(".log")

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def start(self) -> Self:
        """Start the server, and wait until it takes connections."""
        environment = {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET, "PATH": os.environ["PATH"]}
        sidecar = self.folder.with_name(f"meta-of-{self.folder.name}")
        sidecar.mkdir(exist_ok=True)
        command = [str(tool("versitygw")), "--quiet", "--port", f"{self.host}:{self.port}", *self._options]
        command += ["posix", "--sidecar", str(sidecar), str(self.folder)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _wait(self.host, self.port, self._process, self._log)
        return self

    def stop(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def path(self, key: str) -> Path:
        """Return the file of an object."""
        return self.folder / BUCKET / key

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def obtainable() -> str:
    """Return why versitygw cannot be had here; empty if it can."""
    try:
        tool("versitygw")
    except UnobtainableError as error:
        return str(error)
    return ""


def credentials() -> dict[str, str]:
    """Return the environment of a client of either server."""
    return {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}


def without_credentials() -> dict[str, str]:
    """Return this environment without what a client of a cloud would find there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OF_A_CLIENT)}


def _wait(host: str, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < until, log.read_text(errors="replace")
            time.sleep(0.02)
