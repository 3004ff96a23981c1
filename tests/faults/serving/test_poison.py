"""T21: ten poisoned versions. What can be told before is refused; what cannot is replaced, said, and rolled back."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from arena import ONE, ROWS, Arena, Load, once, wait_for

from fairway import formats
from fairway.spec.artifact import Artifact
from fairway.spec.errors import FairwayError
from fairway.spec.model import Lineage, ModelVersion
from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata

GOOD = "import fairway as fw\n\n@fw.endpoint\ndef f(x: float) -> float:\n    return x * 2\n"
IMPATIENT = """
import os, sys
if "fairway.control" in sys.orig_argv:
    from fairway.local import deployer

    usual, kept = deployer._READY_SECONDS, deployer.LocalDeployer._all_ready

    def all_ready(self, *words):
        deployer._READY_SECONDS = 3.0 if os.path.exists(self._root.parent / "impatient") else usual
        return kept(self, *words)

    deployer.LocalDeployer._all_ready = all_ready
"""
"""Only for the poison that is slow: on a busy machine what is good may be slow too."""

TRUSTING = """
import sys
if "fairway.server" in sys.orig_argv:
    from fairway.server.models import ModelService
    ModelService._reproduce = lambda self, store: "none"
"""
THERE = GOOD + "\nimport os, sys, time\nif 'fairway.server' in sys.orig_argv:\n    "
"""Poison that acts only where it is served; the command line imports the file as well."""

REFUSED = {
    "crashes on load": (THERE + "os._exit(3)\n", "status 3"),
    "raises on load": (THERE + "raise RuntimeError('no table of rates')\n", "no table of rates"),
    "is slow to start": (THERE + "time.sleep(1000)\n", "was not ready after 3 seconds"),
}
LATE = {
    "raises on every request": "raise ValueError('never')",
    "ends after some requests": "count.append(x)\n    if len(count) > 20: os._exit(9)\n    return 4.0",
    "leaks until the system ends it": (
        "count.append(b'x' * 4_000_000)\n    if len(count) > 30: os.kill(os.getpid(), 9)\n    return 4.0"
    ),
}


LOADED = {
    "samples": "reproduced",
    "shape": "reproduced 0 of 32",
    "nan": "reproduced 0 of 32",
    "weights": "not an ONNX model, or is damaged",
    "truncated": "is damaged: it has",
    "missing": "is not in the store",
}


def kept(root: Path, content: bytes, like: Artifact) -> tuple[Artifact, Path]:
    """An artifact as a file of the store, also when it is small."""
    file = root.parent / "content"
    file.write_bytes(content)
    digest, size = FileArtifacts(root).put_file(file)
    artifact = msgspec.structs.replace(like, digest=digest, size=size, inline=None)
    place = FileArtifacts(root).open(artifact)
    assert isinstance(place, Path)
    return artifact, place


def content_of(root: Path, artifact: Artifact) -> bytes:
    found = FileArtifacts(root).open(artifact)
    return found if isinstance(found, bytes) else found.read_bytes()


def poisoned(root: Path, kind: str) -> ModelVersion:
    """Register a model that is wrong in one way."""
    with SqliteMetadata(Layout(root)) as metadata:
        good, other = metadata.versions("rates" if kind == "nan" else "churn")[:2]
        changed = good.candidate
        assert changed.compiled is not None
        assert changed.samples is not None
        if kind == "nan":
            changed = msgspec.structs.replace(other.candidate, samples=changed.samples)
        elif kind == "samples":
            changed = msgspec.structs.replace(changed, samples=other.candidate.samples)
        elif kind == "shape":
            inputs, outputs = formats.decode_samples(content_of(root, changed.samples))
            doubled = {name: np.stack([array, array], axis=1) for name, array in outputs.items()}
            samples, _ = kept(root, formats.encode_samples(inputs, doubled), changed.samples)
            changed = msgspec.structs.replace(changed, samples=samples)
        else:
            content = content_of(root, changed.compiled)
            broken, place = kept(
                root, content[: len(content) // 2] if kind == "weights" else content + b" ", changed.compiled
            )
            if kind == "missing":
                place.unlink()
            elif kind == "truncated":
                place.chmod(0o600)
                place.write_bytes(content[: len(content) // 2])
            changed = msgspec.structs.replace(changed, compiled=broken)
        changed = msgspec.structs.replace(changed, name="churn")
        return metadata.register(changed, Lineage(run="", step=""), lambda rival: None, ())


def refusal(arena: Arena, kind: str) -> FairwayError:
    """Deploy what is poisoned while clients ask; what they get stays right. Gives the refusal."""
    functions = kind in REFUSED
    name = "f" if functions else "churn"
    if functions:
        arena.fairway("deploy", arena.file("f.py", GOOD), "--replicas", "1")
    else:
        arena.deploy("churn:2", replicas=1)
    port = arena.status(name).port
    before = arena.workers(name)
    known = arena.status(name).wanted
    with Load(port, rate=50, clients=4, body=ONE if functions else ROWS) as load:
        (arena.folder / "impatient").touch() if kind == "is slow to start" else None
        try:
            if functions:
                said = arena.fairway(
                    "deploy", arena.file("f.py", REFUSED[kind][0]), "--replicas", "1", code=1
                )
                error, _, hint = said.stderr.partition("hint: ")
                refused = FairwayError(error, hint=hint)
            else:
                made = poisoned(arena.root, kind)
                arena.deploy(f"churn:{made.version}", replicas=1)
                raise AssertionError(f"{kind} was let in")
        except FairwayError as found:
            refused = found
        (arena.folder / "impatient").unlink(missing_ok=True)
        assert wait_for(lambda: load.answered > 10 or bool(load.lost))
    status = arena.status(name)
    assert (status.wanted, status.ready, status.reason) == (known, 1, "")
    assert arena.workers(name) == before
    assert load.lost == []
    assert len(load.seen) == 1
    return refused


@pytest.fixture(scope="module")
def impatient(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("poison") / "arena"
    shutil.copytree(trained, folder)
    made = Arena(folder, IMPATIENT)
    made.up()
    yield made
    made.end()


@pytest.mark.parametrize("kind", [*LOADED, *REFUSED])
def test_a_poisoned_version_gets_no_traffic_and_its_refusal_says_why(impatient: Arena, kind: str) -> None:
    refused = refusal(impatient, kind)
    said = LOADED[kind] if kind in LOADED else REFUSED[kind][1]
    assert said in refused.message
    assert refused.hint.count("`") >= 2, "the next command"
    asyncio.run(impatient.api().undeploy("f" if kind in REFUSED else "churn"))


def test_the_harness_sees_a_server_that_serves_what_it_has_not_proven(arena: Callable[..., Arena]) -> None:
    made = arena(TRUSTING)
    made.up()
    with pytest.raises(AssertionError, match="was let in"):
        refusal(made, "samples")


@pytest.mark.parametrize("kind", LATE)
def test_what_shows_only_under_traffic_is_said_replaced_and_rolled_back(
    arena: Callable[..., Arena], kind: str
) -> None:
    made = arena()
    made.up()
    made.fairway("deploy", made.file("f.py", GOOD), "--replicas", "1")
    port = made.status("f").port
    bad = f"import os\nimport fairway as fw\ncount = []\n@fw.endpoint\ndef f(x: float) -> float:\n    {LATE[kind]}\n"
    made.fairway("deploy", made.file("f.py", bad), "--replicas", "1")
    with Load(port, rate=80, clients=4, fresh=True, body=ONE) as load:
        if kind == "raises on every request":
            assert wait_for(lambda: len(load.lost) > 20)
            assert all("500" in lost.why and "never" not in lost.why for lost in load.lost)
            assert len(made.workers("f")) == 1
        else:
            assert wait_for(lambda: "a worker is gone" in made.status("f").reason)
            assert wait_for(lambda: made.status("f").ready == 1)
            assert wait_for(lambda: "a worker is gone" in made.status("f").reason)
        made.rollback("f")
        lost = len(load.lost)
        answered = load.seen[b"2.0"]
        assert wait_for(lambda: load.seen[b"2.0"] > answered + 20)
    assert len(load.lost) <= lost + 4
    assert once(port, ONE).body == b"2.0"


def test_all_ten_kinds_are_here(measured: Callable[..., None]) -> None:
    kinds = [*LOADED, *REFUSED, *LATE]
    assert len(kinds) >= 10
    measured(
        "T21", "Poisoned versions", goal="none gets traffic it should not",
        refused_before_any_traffic=len(LOADED) + len(REFUSED), replaced_and_rolled_back=len(LATE), kinds=", ".join(kinds),
    )  # fmt: skip
