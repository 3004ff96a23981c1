"""Puts `arena` beside these tests and `served` on the path, which the import mode of the suite does not."""

import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "e2e")]

pytest.importorskip("onnxruntime")

from arena import MODELS, Arena  # noqa: E402

_DESCRIPTORS = 8192


@pytest.fixture(scope="session", autouse=True)
def _many_descriptors() -> None:
    """A thousand clients need a thousand sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose store has two versions of a model, made once."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "churn.py").write_text(MODELS)
    Arena(folder).fairway("run", "churn.py")
    return folder


@pytest.fixture
def arena(trained: Path, tmp_path: Path) -> Iterator[Callable[..., Arena]]:
    """Makes a project with two versions of `churn`: `arena(planted=…)`; all that it started is ended with the test."""
    made: list[Arena] = []

    def make(planted: str = "") -> Arena:
        folder = tmp_path / f"arena{len(made)}"
        shutil.copytree(trained, folder)
        made.append(Arena(folder, planted))
        return made[-1]

    yield make
    for one in made:
        one.end()
