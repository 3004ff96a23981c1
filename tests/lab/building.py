"""Builds programs and images once per machine. Every product is made under a temporary name and then renamed."""

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import images
from .cgroups import tracking
from .places import cache
from .programs import IMAGES, OWN, PERSONALITIES, PLUGINS, PROGRAMS, TOOLS, Program, whole_key

_PACKAGES = {
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "nft": "nftables",
    "socat": "socat",
    "modprobe": "kmod",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "docker-registry": "docker-registry",
}
"""Programs of the system that the lab needs, and Debian's packages that bring them."""

_HEADER = Path("/usr/include/seccomp.h")
_HEARTBEAT = 30.0

_GO = (1, 26)
"""Version of Go that Kubernetes asks for."""

_GO_THAT_FETCHES = (1, 21)
"""First version of Go that fetches a newer one by itself, unless it is told not to."""

Report = Callable[[str], None]


class UnobtainableError(RuntimeError):
    """Something that the lab is made of cannot be had here: the machine lacks it, and the network does not bring it."""


def report(line: str) -> None:
    """Print one line of progress at once."""
    sys.stdout.write(f"lab: {line}\n")
    sys.stdout.flush()


def obstacle() -> str:
    """Return what keeps this machine from building and running the lab; the empty string if nothing does."""
    if platform.system() != "Linux" or platform.machine() not in images.ARCHITECTURES:
        return f"it runs on Linux on x86-64 or ARM, and this is {platform.system()} {platform.machine()}"
    if os.geteuid() != 0:
        return "it needs root, for namespaces and control groups"
    for program in ("nsenter", "unshare", "setsid"):
        if not shutil.which(program):
            return f"the program {program} is not installed"
    if not tracking().is_dir():
        return f"there are no control groups at {tracking()}"
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode:
        return "the root of this container may not make namespaces"
    return "" if is_built() else _obstacle_to_build()


def _obstacle_to_build() -> str:
    """Return what keeps this machine from building the lab; the empty string if nothing does."""
    for program in ("go", "gcc"):
        if not shutil.which(program):
            return f"the program {program} is not installed"
    told = subprocess.run(
        ["go", "env", "GOVERSION", "GOTOOLCHAIN"], capture_output=True, text=True, check=False
    )
    version, _, toolchain = told.stdout.strip().partition("\n")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < (_GO if toolchain == "local" else _GO_THAT_FETCHES):
        return f"Kubernetes needs Go {_GO[0]}.{_GO[1]}, and this is {version or 'a broken one'}"
    absent = lacking()
    if absent and not shutil.which("apt-get"):
        return f"the system lacks {' '.join(absent)}, and there is no apt-get to install them"
    return ""


def lacking() -> list[str]:
    """Return Debian's packages that the lab needs and the system lacks."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    absent = [package for program, package in _PACKAGES.items() if not shutil.which(program, path=path)]
    return absent + ([] if _HEADER.exists() else ["libseccomp-dev"])


def programs() -> Path:
    """Return the folder with all programs under their names and the images in `images/`."""
    return cache() / "sets" / whole_key()


def is_built() -> bool:
    """Tell whether everything is built and installed."""
    return programs().exists() and not lacking()


def build(say: Report = report) -> Path:
    """Build whatever is not built yet, and return the folder with all programs.

    A build that is broken off goes on where it stopped: finished products are kept, and Go keeps compiled packages.
    """
    problem = obstacle()
    if problem:
        raise UnobtainableError(problem)
    if is_built():
        return programs()
    for folder in ("programs", "images", "sets", "build-logs"):
        (cache() / folder).mkdir(parents=True, exist_ok=True)
    with _alone(say):
        _install(say)
        for program in PROGRAMS:
            place = cache() / "programs" / program.key
            _product(say, place, lambda made, what=program: _compile(say, what, made))
        for image in IMAGES:
            place = cache() / "images" / f"{image.key}.tar"
            _product(say, place, lambda made, what=image: images.make(what, made))
        if not programs().exists():
            _link()
    return programs()


def binary(name: str) -> Path:
    """Return the built binary of a program."""
    return cache() / "programs" / next(program.key for program in PROGRAMS if program.name == name)


def tool(name: str, say: Report = report) -> Path:
    """Return a program that tests use, and build it if that was not done yet. It needs Go alone."""
    program = next(program for program in TOOLS if program.name == name)
    place = cache() / "programs" / program.key
    if place.exists():
        return place
    if not shutil.which("go"):
        raise UnobtainableError(f"{name} is built with Go, and the program go is not installed")
    for folder in ("programs", "build-logs"):
        (cache() / folder).mkdir(parents=True, exist_ok=True)
    with _alone(say):
        _product(say, place, lambda made: _compile(say, program, made))
    return place


@contextlib.contextmanager
def _alone(say: Report) -> Iterator[None]:
    """Wait for another process that builds into the same folder."""
    with (cache() / "build.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build on this machine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # A build that was killed has left its unfinished product.
        for folder in ("programs", "images", "sets"):
            for unfinished in (cache() / folder).glob(".*"):
                shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink()
        yield


def _install(say: Report) -> None:
    """Install what the system lacks with apt-get."""
    absent = lacking()
    if not absent:
        return
    say(f"installing {' '.join(absent)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent]
    done = subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise UnobtainableError(f"apt-get could not install {' '.join(absent)}")


def _product(say: Report, path: Path, make: Callable[[Path], None]) -> None:
    """Make one product under a temporary name, rename it, and report how long it took."""
    if path.exists():
        return
    say(f"{path.stem if path.suffix == '.tar' else path.name} …")
    begun = time.monotonic()
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make(unfinished)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)
    say(f"{path.name}: {time.monotonic() - begun:.0f} s, {path.stat().st_size / 1e6:.0f} MB")


def _compile(say: Report, program: Program, made: Path) -> None:
    """Compile one program from its module."""
    log = cache() / "build-logs" / f"{program.name}.log"
    with log.open("wb") as output:
        folder = _own_module(program, output) if program.own else _downloaded(program, output)
        command = ["go", "build", "-v", "-trimpath", "-ldflags", f"-s -w {program.flags}".strip()]
        command += ["-tags", program.tags] if program.tags else []
        environment = {
            **os.environ,
            "CGO_ENABLED": "1" if program.cgo else "0",
            "GOFLAGS": "-buildvcs=false -mod=mod" if program.own else "-buildvcs=false -mod=readonly",
        }
        with _heartbeat(say, program.name, log):
            done = subprocess.run(
                [*command, "-o", str(made), program.package],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=output,
                check=False,
            )
    if done.returncode:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])
        # The versions are fixed, so a failure is one of this machine: no memory, no disk, a module that its proxy lacks.
        say(f"the end of {log}:\n{tail}")
        raise UnobtainableError(f"`go build` of {program.name} failed; see {log}")


@contextlib.contextmanager
def _heartbeat(say: Report, name: str, log: Path) -> Iterator[None]:
    """Report every half minute how many packages a build has compiled."""
    done = threading.Event()
    begun = time.monotonic()

    def beat() -> None:
        """Report until the build is done."""
        while not done.wait(_HEARTBEAT):
            lines = log.read_bytes().splitlines()
            packages = sum(1 for line in lines if not line.startswith((b"go: ", b"#")))
            say(f"{name}: {time.monotonic() - begun:.0f} s, {packages} packages compiled")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _downloaded(program: Program, output: object) -> Path:
    """Bring a module here and return its folder in Go's cache, where its own lock and replacements count."""
    target = f"{program.module}@v{program.version}"
    command = ["go", "mod", "download", target]
    if subprocess.run(command, cwd="/", stdout=output, stderr=output, check=False).returncode:
        raise UnobtainableError(f"`{' '.join(command)}` failed; see {cache() / 'build-logs'}")
    return _module_folder(program)


def _module_folder(program: Program) -> Path:
    """Return the folder of a program's module in Go's cache."""
    told = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    # Go writes capital letters of a module's path as `!` and the small letter.
    path = re.sub(r"[A-Z]", lambda found: f"!{found[0].lower()}", program.module)
    return Path(told.stdout.strip()) / f"{path}@v{program.version}"


def _own_module(program: Program, output: object) -> Path:
    """Write a module of our own that requires a program's module, and return its folder."""
    upstream = _downloaded(program, output)
    folder = cache() / "build" / program.key
    folder.mkdir(parents=True, exist_ok=True)
    for source in (OWN / program.own).glob("*.go"):
        shutil.copyfile(source, folder / source.name)
    lines = [
        f"module fairway.dev/lab/{program.name}",
        "go 1.26.0",
        "godebug default=go1.26",
        f"require {program.module} v{program.version}",
    ]
    lines += [f"require {module}" for module in program.beside]
    if program.replaced:
        names = re.findall(
            r"^\s+(\S+) => \./staging/", (upstream / "go.mod").read_text("utf-8"), re.MULTILINE
        )
        lines += [f"replace {name} => {name} {program.replaced}" for name in names]
    (folder / "go.mod").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def _link() -> None:
    """Make the folder with all programs. It appears whole, and its presence says that all is built."""
    unfinished = programs().with_name(f".{whole_key()}.{os.getpid()}")
    (unfinished / "cni").mkdir(parents=True)
    (unfinished / "images").mkdir()
    for program in PROGRAMS:
        names = PERSONALITIES if program.name == "kubernetes" else (program.name,)
        for name in names:
            place = unfinished / "cni" if name in PLUGINS else unfinished
            (place / name).symlink_to(cache() / "programs" / program.key)
    for image in IMAGES:
        (unfinished / "images" / f"{image.name}.tar").symlink_to(cache() / "images" / f"{image.key}.tar")
    unfinished.rename(programs())
