"""Locks: the packages of an environment with versions and hashes, for the Python and platform of the nodes."""

import re
import sys
from collections.abc import Sequence
from importlib import metadata

import msgspec

from fairway.cluster.images import uv
from fairway.cluster.images.packing import DISTRIBUTION
from fairway.cluster.images.programs import run_program
from fairway.cluster.images.wheels import Target, failure, quiet_environment, target_flags
from fairway.cluster.images.workshop import Workshop, key_of, write_whole
from fairway.spec.errors import FairwayError
from fairway.spec.project import EnvironmentSpec

_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*===?\s*([^\s;,]+)")
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*)")
_LEAST = re.compile(r"([A-Za-z0-9][\w.-]*)[^;]*?>=\s*(\d+(?:\.\d+)*)")


class Lock(msgspec.Struct, frozen=True):
    """A lock without what does not decide about its packages.

    Attributes:
        lines: the requirements with versions and hashes, sorted. Fairway is not among them: images have their own.
        options: the lines that say where packages come from.
    """

    lines: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Content of a requirements file."""
        return "\n".join([*self.options, *self.lines]) + "\n"

    @property
    def content(self) -> str:
        """All that decides which packages are installed."""
        return "\n".join(self.lines)


def parse_lock(text: str) -> Lock:
    """Return the lock in a text, as `uv pip compile --generate-hashes` writes it.

    Raises:
        FairwayError: a line has no hash, or is older than Fairway can use.
    """
    joined = re.sub(r"\\\r?\n", " ", text)
    bare = (re.sub(r"(^|\s)#.*", "", line) for line in joined.splitlines())
    lines = sorted({" ".join(line.split()) for line in bare if line.strip()})
    options = tuple(line for line in lines if line.startswith("-"))
    wanted = [line for line in lines if not line.startswith("-") and _name(line) != DISTRIBUTION]
    for line in wanted:
        if "--hash=" not in line:
            raise FairwayError(
                f"requirement {line!r} has no hash",
                hint="lock all of them: `uv pip compile --generate-hashes`",
            )
    _check_needs(wanted)
    return Lock(tuple(wanted), options)


async def environment_lock(spec: EnvironmentSpec, target: Target, workshop: Workshop) -> Lock:
    """Return the lock of a task's environment for a target. Requirements without hashes are resolved. Raises FairwayError."""
    if spec.hashed:
        return parse_lock("\n".join(spec.requirements))
    return await locked(spec.requirements, target, workshop)


async def locked(requirements: Sequence[str], target: Target, workshop: Workshop) -> Lock:
    """Return the lock that requirements have for a target. The same requirements give the lock of the first time.

    Args:
        requirements: lines with or without versions.
        target: the Python and platform of the nodes.
        workshop: the tools.

    Raises:
        FairwayError: there is no solution, or a requirement has no wheel for the target.
    """
    given = "\n".join(line for line in requirements if _name(line) != DISTRIBUTION)
    kept = workshop.cache / "images" / "locks" / f"{key_of(given, target.python, target.platform)}.txt"
    # Options may name an index with a password, so they are not kept.
    options = "".join(f"{line}\n" for line in given.splitlines() if line.startswith("-"))
    if kept.is_file():
        return parse_lock(options + kept.read_text("utf-8"))
    command = [await uv.program(workshop), "pip", "compile", "-", "--quiet", "--color", "never"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--python", sys.executable]
    ended = await run_program(
        [*command, *target_flags(target)], environment=quiet_environment(workshop), given=given.encode()
    )
    if ended.code:
        raise failure(ended.errors, target)
    lock = parse_lock(options + ended.output.decode())
    write_whole(kept, lock.content.encode())
    return lock


def pins(lock: Lock) -> dict[str, str]:
    """Return the versions in a lock by normalised name."""
    found = (_PINNED.match(line) for line in lock.lines)
    return {_normal(one[1]): one[2] for one in found if one}


def _check_needs(lines: Sequence[str]) -> None:
    """Refuse a lock with a version that Fairway cannot work with. Raises FairwayError."""
    least = {
        _normal(found[1]): found[2]
        for line in metadata.requires(DISTRIBUTION) or ()
        if "extra ==" not in line and (found := _LEAST.match(line))
    }
    for line in lines:
        pinned = _PINNED.match(line)
        needed = least.get(_normal(pinned[1])) if pinned else None
        if pinned and needed and _release(pinned[2]) < _release(needed):
            raise FairwayError(
                f"requirement {pinned[0]} is older than Fairway can use, which needs {pinned[1]}>={needed}",
                hint="lock the requirements together with Fairway, so that the versions fit both",
            )


def _release(version: str) -> tuple[int, ...]:
    found = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, found[1].split("."))) if found else (sys.maxsize,)


def _name(line: str) -> str:
    found = _NAME.match(line)
    return _normal(found[1]) if found else ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
