"""An environment with hashes is installed for real, from a folder of tiny packages, and nothing without its hash is."""

import asyncio
import base64
import hashlib
import os
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project
from stranger import needs_one, reached

from fairway.local import environments
from fairway.spec.errors import FairwayError
from fairway.spec.project import EnvironmentSpec

PROJECT = """
mark = fw.Environment("lock.txt")

@fw.task(environment=mark)
def asked() -> list[str]:
    import tinymark
    print(tinymark.ANSWER, tinymark.__file__)
    return [tinymark.ANSWER, tinymark.__file__]

@fw.pipeline
def main():
    return asked()
"""


class Index:
    """A folder of wheels that this test makes, and the lines of a lock that know no other place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def wheel(self, name: str, answer: str, *needs: str) -> str:
        """Make a wheel with one module and return the SHA-256 of the file."""
        inside = f"{name}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + "".join(
            f"Requires-Dist: {need}\n" for need in needs
        )
        files = {
            f"{name}.py": f"ANSWER = {answer!r}\n",
            f"{inside}/METADATA": metadata,
            f"{inside}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(
            f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()}"
            f",{len(text)}\n"
            for path, text in files.items()
        )
        target = self.folder / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(target, "w") as archive:
            for path, text in (files | {f"{inside}/RECORD": f"{record}{inside}/RECORD,,\n"}).items():
                archive.writestr(path, text)
        return hashlib.sha256(target.read_bytes()).hexdigest()

    def lock(self, **hashes: str) -> list[str]:
        """Return the lines of a lock for packages with their hashes."""
        pinned = [f"{name}==1.0 --hash=sha256:{digest}" for name, digest in hashes.items()]
        return ["--no-index", f"--find-links {self.folder}", *pinned]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


def wrong(digest: str) -> str:
    """Return another hash."""
    return ("1" if digest[0] == "0" else "0") + digest[1:]


def right(index: Index) -> list[str]:
    return index.lock(tinymark=index.wheel("tinymark", "right"))


def another_hash(index: Index) -> list[str]:
    return index.lock(tinymark=wrong(index.wheel("tinymark", "right")))


def another_file(index: Index) -> list[str]:
    lock = right(index)
    index.wheel("tinymark", "swapped")
    return lock


def another_file_that_is_needed(index: Index) -> list[str]:
    other = index.wheel("tinyother", "right")
    lock = index.lock(tinymark=index.wheel("tinymark", "right", "tinyother==1.0"), tinyother=other)
    index.wheel("tinyother", "swapped")
    return lock


def a_needed_package_without_hash(index: Index) -> list[str]:
    index.wheel("tinyother", "right")
    return index.lock(tinymark=index.wheel("tinymark", "right", "tinyother==1.0"))


BAD = [another_hash, another_file, another_file_that_is_needed, a_needed_package_without_hash]


def installed(cache: Path) -> list[Path]:
    """What is in the environments of a cache besides locks."""
    return [path for path in (cache / "environments").glob("*") if path.suffix != ".lock"]


def test_a_step_runs_in_an_environment_that_was_installed_by_hash(project: Project, index: Index) -> None:
    cache = project.folder / "cache"
    project.environment["XDG_CACHE_HOME"] = str(cache)
    (project.folder / "lock.txt").write_text("\n".join(right(index)))
    project.write(PROJECT)
    done = project.fairway("run", "project.py")
    (built,) = installed(cache / "fairway")
    assert f"right {built / 'lib'}" in project.fairway("logs").stdout
    assert "building an environment" in done.stderr
    assert "building an environment" not in project.fairway("run", "project.py").stderr


def test_a_step_whose_environment_has_another_hash_never_runs(project: Project, index: Index) -> None:
    project.environment["XDG_CACHE_HOME"] = str(project.folder / "cache")
    (project.folder / "lock.txt").write_text("\n".join(another_hash(index)))
    project.write(PROJECT)
    done = project.fairway("run", "project.py", expect=1)
    assert "could not be built" in done.stderr
    assert "hash" in done.stderr.lower()
    assert installed(project.folder / "cache" / "fairway") == []


@pytest.mark.parametrize(
    ("installer", "made"),
    [*(("uv", made) for made in (right, *BAD)), ("pip", right), ("pip", another_file)],
    ids=lambda given: given if isinstance(given, str) else given.__name__.replace("_", " "),
)
def test_nothing_is_installed_that_has_not_the_hash_of_the_lock(
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installer: str,
    made: Callable[[Index], list[str]],
) -> None:
    if installer == "pip":
        monkeypatch.setattr(environments, "_installed", lambda name: None)
        monkeypatch.setattr(environments, "_sibling", lambda name: None)
    spec = EnvironmentSpec(requirements=tuple(made(index)), hashed=True)
    if made is right:
        built = asyncio.run(environments.ensure(spec, tmp_path / "cache", lambda line: None))
        code = "import tinymark, msgspec, cloudpickle; print(tinymark.ANSWER, msgspec.__file__)"
        told = subprocess.run(
            [built.python, "-c", code], env={"PYTHONPATH": str(built.package)}, capture_output=True, text=True,
            check=True,
        ).stdout  # fmt: skip
        assert told.split() == ["right", str(built.package / "msgspec" / "__init__.py")]
        return
    with pytest.raises(FairwayError, match="could not be built") as error:
        asyncio.run(environments.ensure(spec, tmp_path / "cache", lambda line: None))
    assert re.search("hash|require", error.value.message, re.IGNORECASE)
    assert installed(tmp_path / "cache") == []


@needs_one
def test_another_user_can_change_nothing_of_an_environment(index: Index, open_place: Path) -> None:
    before = os.umask(0)
    try:
        cache = open_place / "cache"
        asyncio.run(environments.ensure(
            EnvironmentSpec(requirements=tuple(right(index)), hashed=True), cache, lambda line: None
        ))  # fmt: skip
    finally:
        os.umask(before)
    (built,) = installed(cache)
    assert reached([cache, *cache.rglob("*")], home=open_place) == []
    (cache / "environments").chmod(0o755)
    cache.chmod(0o755)
    assert reached([built], home=open_place) == []
