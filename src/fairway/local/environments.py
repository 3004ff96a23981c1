"""Virtual environments for tasks with packages of their own. Each is built once on a machine and found by its content.

uv builds them if it is installed, otherwise venv and pip. A build holds a lock. A file that is written last marks it as complete,
so an interrupted build never looks finished.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from fairway import confined
from fairway.local.launching import TOKEN
from fairway.spec.errors import FairwayError, StorageError
from fairway.spec.project import EnvironmentSpec

_NEEDED = ("msgspec", "cloudpickle")
_LAST_LINES = 15
_MOST_UNAVAILABLE = 20


class Built(msgspec.Struct, frozen=True):
    """A complete environment: its interpreter, and a folder for PYTHONPATH that contains only Fairway."""

    python: Path
    package: Path


def cache_folder(root: Path) -> Path:
    """Return the folder for things that can be made again, which all projects of a user share."""
    base = os.environ.get("XDG_CACHE_HOME") or (
        os.path.join(os.environ["HOME"], ".cache") if os.environ.get("HOME") else ""
    )
    folder = Path(base) / "fairway" if base else root / "cache"
    try:
        confined.make_folder(str(folder))
        usable = not os.lstat(folder).st_mode & 0o022 and os.lstat(folder).st_uid == os.geteuid()
    except (OSError, FairwayError):
        usable = False
    return folder if usable else root / "cache"


async def ensure(environment: EnvironmentSpec, cache: Path, note: Callable[[str], None]) -> Built:
    """Return an environment, and build it first if it does not exist.

    Args:
        environment: the wanted environment.
        cache: folder of the environments of all projects.
        note: called with a line of text when a build begins.

    Raises:
        FairwayError: the build failed. The message ends with the last lines of the installer.
    """
    folder = cache / "environments" / key(environment)
    built = Built(folder / "bin" / "python", folder / "fairway")
    if folder.parent.exists() and confined.folder(str(folder.parent)) and _complete(folder):
        return built
    confined.make_folder(str(folder.parent))
    fd = confined.open_file(str(folder.parent / f"{folder.name}.lock"), os.O_WRONLY | os.O_CREAT)
    with open(fd, "w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not _complete(folder):
            note(f"building an environment with {_summary(environment)}")
            _remove(folder)
            try:
                await _build(environment, folder)
            except BaseException:
                _remove(folder)
                raise
    return built


async def unavailable(environment: EnvironmentSpec, said: str = "") -> list[str]:
    """Return the requirements of a complete environment that no index has for this machine, up to twenty of them.

    An installer names only the first one. So uv is asked again without those that it named, until it would install the rest.
    Pip takes a minute for an answer, so it is not asked again.

    Args:
        environment: the wanted environment.
        said: the message of the error with which its build failed.
    """
    import tempfile

    found = _named(said, environment.requirements)
    left = [line for line in environment.requirements if line not in found]
    uv = _installed("uv") or _sibling("uv")
    if uv is None:
        return found
    with tempfile.TemporaryDirectory(prefix="fairway-") as place:
        folder, asked = Path(place) / "environment", Path(place) / "requirements.txt"
        await _run(_create(environment, folder, uv), environment)
        command = [*_install(uv, str(folder / "bin" / "python")), "--dry-run", "--no-deps", "-r", str(asked)]
        while len(found) < _MOST_UNAVAILABLE:
            asked.write_text("\n".join(left) + "\n")
            try:
                await _run(command, environment)
            except FairwayError as error:
                named = _named(error.message, left)
            else:
                return found
            if not named:
                return found
            found += named
            left = [line for line in left if line not in named]
    return found


def _named(text: str, requirements: Sequence[str]) -> list[str]:
    """Return the pinned requirements that an installer names in the message of an error."""
    found: list[str] = []
    # The first line is ours, and names the first requirements whatever went wrong.
    text = text.partition("\n")[2]
    for line in requirements:
        name, pinned, version = line.partition("==")
        # Installers write the name of a package in its normal form, whatever form the requirement has.
        words = re.sub(r"[-_.]+", "[-_.]+", name) + "==" + re.escape(version)
        if pinned and re.search(rf"(?<![\w.-]){words}(?![\w+-]|\.\w)", text, re.IGNORECASE):
            found.append(line)
    return found


def path(built: Built) -> str:
    """Return PYTHONPATH for an environment: Fairway, and what this process has there of modules that no installer put there."""
    own = [
        one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one and not _has_packages(one)
    ]
    return os.pathsep.join([str(built.package), *own])


def _has_packages(folder: str) -> bool:
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return "fairway" in names or any(name.endswith(".dist-info") for name in names)


def key(environment: EnvironmentSpec) -> str:
    """Return the digest of everything that decides what is installed."""
    python = environment.python or ".".join(map(str, sys.version_info[:2]))
    text = "\n".join([python, sys.platform, *_pinned_needs(environment), *environment.requirements])
    if environment.complete:
        text += "\ncomplete"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _remove(folder: Path) -> None:
    import shutil  # here and not at the top: it takes 2 ms, and most runs never need it

    shutil.rmtree(folder, ignore_errors=True)


def _installed(program: str) -> str | None:
    import shutil

    return shutil.which(program)


def _complete(folder: Path) -> bool:
    """Return true if this user built the environment completely and nobody else may write to it."""
    try:
        found = os.lstat(folder)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022 or not confined.folder(str(folder)):
            return False
        return confined.read(str(folder / "complete")).decode().strip() == _digest(folder)
    except (OSError, StorageError, UnicodeDecodeError):
        return False


def _digest(folder: Path) -> str:
    """Return a digest of what decides which code an environment runs: interpreter, settings and installed packages."""
    found = hashlib.sha256()
    for name in ("pyvenv.cfg", "requirements.txt", "needs.txt"):
        found.update(name.encode() + b"\0" + confined.read(str(folder / name)) + b"\0")
    for name in ("bin/python", "fairway/fairway"):
        found.update(os.fsencode(os.path.realpath(folder / name)) + b"\0")
    return found.hexdigest()


async def _build(environment: EnvironmentSpec, folder: Path) -> None:
    uv = _installed("uv") or _sibling("uv")
    await _run(_create(environment, folder, uv), environment)
    requirements, needs = folder / "requirements.txt", folder / "needs.txt"
    _write(requirements, environment.requirements)
    _write(needs, _pinned_needs(environment))
    python = str(folder / "bin" / "python")
    install = _install(uv, python)
    if environment.requirements:
        extra = ["--require-hashes"] if environment.hashed else []
        extra += ["--no-deps"] if environment.complete else []
        await _run([*install, *extra, "-r", str(requirements)], environment)
    package = folder / "fairway"
    package.mkdir(mode=0o700)
    if environment.hashed:
        _carry(environment, package)
    else:
        await _run([*install, "-r", str(needs)], environment)
    (package / "fairway").symlink_to(Path(__file__).resolve().parents[1])
    os.chmod(folder, 0o700)
    # Last: a build that is killed before this line is not complete, and the next one starts again.
    _write(folder / "complete", [_digest(folder)])


def _install(uv: str | None, python: str) -> list[str]:
    """Return the command that installs packages for an interpreter, without the packages."""
    own = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    return [*own, "--quiet"]


def _write(path: Path, lines: Sequence[str]) -> None:
    """Write lines to a file of an environment that only this user can change."""
    confined.write_below(str(path.parent), str(path), "\n".join(lines).encode() + b"\n")


def _carry(environment: EnvironmentSpec, package: Path) -> None:
    """Copy the packages that Fairway needs into an environment with hashes, from this installation.

    The requirements have no hashes for these packages, so an installer would refuse them. Each file is checked by the hash of
    this installation.

    Raises:
        FairwayError: the files do not fit the Python of the environment, or differ from the installed ones.
    """
    import base64
    import shutil
    from importlib import metadata

    needs = _pinned_needs(environment)
    own = ".".join(map(str, sys.version_info[:2]))
    if needs and environment.python and ".".join(environment.python.split(".")[:2]) != own:
        raise FairwayError(
            f"requirements with hashes for Python {environment.python} lack {' and '.join(needs)}, which Fairway needs",
            hint=f"add `{needs[0]}` and its hashes to them: `pip-compile --generate-hashes` writes both",
        )
    for need in needs:
        for file in metadata.distribution(need.partition("==")[0]).files or ():
            source = Path(str(file.locate()))
            if file.hash is None or ".." in file.parts:
                continue
            found = hashlib.new(file.hash.mode, source.read_bytes()).digest()
            if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != file.hash.value:
                raise FairwayError(f"{source} is not what was installed", hint="install Fairway again")
            target = package / file
            confined.make_folder(str(target.parent))
            shutil.copyfile(source, target)
            target.chmod(confined.PRIVATE_FILE)


def _create(environment: EnvironmentSpec, folder: Path, uv: str | None) -> list[str]:
    if uv:
        return [uv, "venv", "--quiet", "--python", environment.python or sys.executable, str(folder)]
    python = sys.executable
    if environment.python and environment.python != ".".join(
        map(str, sys.version_info[: environment.python.count(".") + 1])
    ):
        found = _installed(f"python{environment.python}")
        if found is None:
            raise FairwayError(
                f"there is no Python {environment.python} on this machine",
                hint=f"install python{environment.python}, or uv, which fetches it: `pip install uv`",
            )
        python = found
    return [python, "-m", "venv", str(folder)]


async def _run(command: list[str], environment: EnvironmentSpec) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        umask=0o077,  # what others may write to could be theirs, and is not used
        env={name: value for name, value in os.environ.items() if name != TOKEN},
    )
    try:
        output, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        lines = output.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        raise FairwayError(
            f"the environment with {_summary(environment)} could not be built:\n" + "\n".join(lines),
            hint="check the names and versions in `fw.Environment(requirements=[…])`",
        )


def _pinned_needs(environment: EnvironmentSpec) -> list[str]:
    """Return the packages that Fairway needs at the versions of this installation, without those that the requirements pin."""
    own = {line.split("==")[0].strip().lower() for line in environment.requirements}
    from importlib import metadata

    return [f"{name}=={metadata.version(name)}" for name in _NEEDED if name not in own]


def _sibling(name: str) -> str | None:
    path = Path(sys.executable).parent / name
    return str(path) if os.access(path, os.X_OK) else None


def _summary(environment: EnvironmentSpec) -> str:
    first = [line.split(" ")[0] for line in environment.requirements[:3]]
    more = len(environment.requirements) - len(first)
    return (", ".join(first) or "no packages") + (f" and {more} more" if more else "")
