"""Packages for the nodes' platform, laid out by uv in a folder on this machine, whatever this machine is.

Nothing is built from source: a package without a wheel for the platform is named in the error. What an installer writes
that depends on this machine, such as the interpreter of programs, is made the same everywhere.
"""

import base64
import csv
import hashlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fairway.cluster.images import uv
from fairway.cluster.images.programs import run_program
from fairway.cluster.images.workshop import Workshop
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.text import one_line, shortened

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_GLIBC = "2_28"
"""The C library of the oldest nodes' images that are supported. Debian 10 and everything since then has it."""

_SHEBANG = re.compile(rb"#!/[^\n]*python[^\n]*\n")
_TRAMPOLINE = re.compile(rb"#!/bin/sh\n'''exec' [^\n]*\n' '''\n")
_ANY_PYTHON = b"#!/usr/bin/env python3\n"
_LINES = 12
_OLDEST = (3, 11)


class Target(msgspec.Struct, frozen=True):
    """The Python and platform of the nodes.

    Attributes:
        python: the version, such as "3.11".
        architecture: the name of the architecture in images, such as "amd64".
    """

    python: str
    architecture: str = "amd64"

    @property
    def platform(self) -> str:
        """Name of the platform for uv."""
        return f"{_MACHINES[self.architecture]}-manylinux_{_GLIBC}"


def make_target(python: str, platform: str) -> Target:
    """Return the target that texts describe.

    Args:
        python: a version such as "3.11" or "3.11.9".
        platform: such as "linux/amd64" or "arm64".

    Raises:
        UsageError: there is no such target.
    """
    system, _, architecture = platform.rpartition("/")
    architecture = {"x86_64": "amd64", "aarch64": "arm64", "arm64/v8": "arm64"}.get(
        architecture, architecture
    )
    if system not in ("", "linux") or architecture not in _MACHINES:
        raise UsageError(
            f"no image can be made for the platform {shortened(platform, 40)!r}",
            hint="platforms are `linux/amd64` and `linux/arm64`",
        )
    version = re.fullmatch(r"(\d+)\.(\d+)(\.\d+\w*)?", python)
    if not version:
        raise UsageError(f"{shortened(python, 40)!r} is not a version of Python", hint="write it like `3.11`")
    if (int(version[1]), int(version[2])) < _OLDEST:
        raise UsageError(
            f"Fairway needs Python 3.11 or newer, and the image has {python}", hint="name another base"
        )
    return Target(f"{version[1]}.{version[2]}", architecture)


async def lay_out(requirements: str, target: Target, folder: Path, workshop: Workshop) -> None:
    """Install locked requirements into a folder, for a target.

    Args:
        requirements: lines with versions and hashes, as `uv pip compile --generate-hashes` writes them.
        target: the Python and platform of the nodes.
        folder: a folder that does not exist yet.
        workshop: the tools.

    Raises:
        FairwayError: a requirement has no wheel for the target, does not match its hash or cannot be fetched.
    """
    program = await uv.program(workshop)
    folder.mkdir(parents=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(requirements)
        file.flush()
        command = [program, "pip", "install", "--quiet", "--color", "never", "--no-deps", "--require-hashes"]
        command += [
            "--python",
            sys.executable,
            "--target",
            str(folder),
            *target_flags(target),
            "-r",
            file.name,
        ]
        ended = await run_program(command, environment=quiet_environment(workshop))
    if ended.code:
        raise failure(ended.errors, target)
    _make_alike(folder)


def target_flags(target: Target) -> list[str]:
    """Return the arguments of uv that select a target and allow wheels alone."""
    return ["--python-version", target.python, "--python-platform", target.platform, "--only-binary", ":all:"]


def quiet_environment(workshop: Workshop) -> dict[str, str]:
    """Return the variables for uv, which must neither fetch a Python nor be led to another environment."""
    left_out = ("VIRTUAL_ENV", "UV_PYTHON", "PYTHONPATH", "PYTHONHOME")
    kept = {name: value for name, value in workshop.environment.items() if name not in left_out}
    return kept | {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}


def failure(errors: str, target: Target) -> FairwayError:
    """Return the error for what uv printed when it failed."""
    text = " ".join(errors.split())
    where = f"Python {target.python} on linux/{target.architecture}"
    named = re.search(
        r"Because (?:only )?([A-Za-z0-9][\w.\[\]-]*(?:==[\w.+!-]+)?) has no (?:usable )?wheels", text
    )
    if named or "building from source is disabled" in text or "no-build" in text:
        what = named[1] if named else _first_name(text)
        return FairwayError(
            f"requirement {what} has no wheel for {where}",
            hint=f"choose a version that has one: `uv pip install --dry-run --only-binary :all: {what.split('==')[0]}`",
        )
    if "Hash mismatch" in text:
        found = re.search(r"Hash mismatch for `([^`]+)`", text)
        return FairwayError(
            f"{found[1] if found else 'a package'} is not what the lock says: its hash differs",
            hint="lock the requirements again, and ask why the package changed",
        )
    lines = [one_line(line) for line in errors.strip().splitlines()][-_LINES:]
    return FairwayError(f"uv could not fetch the packages for {where}:\n" + "\n".join(lines))


def _first_name(text: str) -> str:
    found = re.search(r"`([A-Za-z0-9][\w.-]*(?:==[^`]+)?)`", text)
    return found[1] if found else "of the lock"


def _make_alike(folder: Path) -> None:
    """Remove from a folder what depends on this machine."""
    for name in (".lock", ".gitignore", "CACHEDIR.TAG"):
        (folder / name).unlink(missing_ok=True)
    changed: dict[str, str] = {}
    for path in _programs(folder):
        content = path.read_bytes()
        bare = _TRAMPOLINE.sub(_ANY_PYTHON, content, count=1)
        bare = _SHEBANG.sub(_ANY_PYTHON, bare, count=1) if bare.startswith(b"#!") else bare
        if bare != content:
            mode = path.stat().st_mode
            path.unlink()  # first, because the file may be a hard link into the store of uv
            path.write_bytes(bare)
            path.chmod(mode)
            digest = base64.urlsafe_b64encode(hashlib.sha256(bare).digest()).rstrip(b"=").decode()
            changed[f"bin/{path.name}"] = f"sha256={digest},{len(bare)}"
    for record in sorted(folder.glob("*.dist-info/RECORD")):
        _order_record(record, changed)


def _programs(folder: Path) -> Iterator[Path]:
    programs = folder / "bin"
    if programs.is_dir():
        yield from (path for path in sorted(programs.iterdir()) if path.is_file() and not path.is_symlink())


def _order_record(record: Path, changed: dict[str, str]) -> None:
    """Write the list of a package's files again: sorted, and with the digests of the programs as they are now."""
    text = record.read_text("utf-8")
    lines = sorted(
        f"{name},{changed[name]}" if (name := line.split(",", 1)[0]) in changed else line
        for line in text.splitlines()
        if line
    )
    ordered = "\n".join(lines) + "\n"
    if ordered != text:
        record.unlink()
        record.write_text(ordered, "utf-8")


def files_of(record: Path) -> list[str]:
    """Return the files of an installed package, relative to the folder of its packages."""
    rows = csv.reader(io.StringIO(record.read_text("utf-8")))
    names = [os.path.normpath(row[0]) for row in rows if row]
    return [name for name in names if not name.startswith(("..", "/"))]
