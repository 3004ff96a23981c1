"""The keys of what the lab builds, and the building of products."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lab import building, programs
from lab.programs import IMAGES, PROGRAMS, Program

ETCD = next(program for program in PROGRAMS if program.name == "etcd")


def test_keys_differ_between_products() -> None:
    keys = [product.key for product in (*PROGRAMS, *IMAGES)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "change",
    [{"version": "3.7.4"}, {"flags": "-X a=b"}, {"tags": "netgo"}, {"cgo": True}, {"package": "./x"}],
)
def test_a_key_follows_everything_that_decides_what_is_built(change: dict[str, object]) -> None:
    assert replace(ETCD, **change).key != ETCD.key  # type: ignore[arg-type]


def test_a_key_follows_our_own_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ETCD.key
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd" / "main.go").write_text("package main")
    monkeypatch.setattr(programs, "OWN", tmp_path)
    assert ETCD.key != before


def test_an_image_follows_the_program_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    image = next(image for image in IMAGES if image.name == "coredns")
    before = image.key
    changed = tuple(replace(one, flags="-X a=b") if one.name == "coredns" else one for one in PROGRAMS)
    monkeypatch.setattr(programs, "PROGRAMS", changed)
    assert image.key != before


def test_a_broken_build_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    def fail(made: Path) -> None:
        made.write_text("half")
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        building._product(print, tmp_path / "etcd-1", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_product_is_not_built_again(tmp_path: Path) -> None:
    lines: list[str] = []
    for _ in range(2):
        building._product(lines.append, tmp_path / "etcd-1", lambda made: made.write_text("whole"))
    assert (tmp_path / "etcd-1").read_text() == "whole"
    assert [line.split(":")[0] for line in lines] == ["etcd-1 …", "etcd-1"]


def test_a_build_removes_what_a_killed_one_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "cache", lambda: tmp_path)
    for name in ("programs/.etcd-1.77", "programs/etcd-1", "images/.tmp/root/file", "sets/.abc.77/kubelet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with building._alone(print):
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"programs/etcd-1", "build.lock"}


def test_only_one_process_builds_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "cache", lambda: tmp_path)
    lines: list[str] = []
    with ThreadPoolExecutor() as pool:
        with building._alone(lines.append):
            second = pool.submit(_enter, lines.append)
            while not lines:
                assert not second.done()
        second.result(timeout=30)
    assert lines == ["waiting for another build on this machine"]


def _enter(say: Callable[[str], None]) -> None:
    """Wait for the lock of a build."""
    with building._alone(say):
        pass


def test_the_folder_of_a_module_is_found_despite_capital_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(name="x", module="github.com/Azure/go-x", version="1.0.0")
    monkeypatch.setattr(building.subprocess, "run", lambda *words, **more: Told())
    assert building._module_folder(program) == Path("/modules/github.com/!azure/go-x@v1.0.0")


class Told:
    """The output of `go env`."""

    stdout = "/modules\n"


def test_an_obstacle_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building.os, "geteuid", lambda: 1000)
    assert "root" in building.obstacle()
    assert "\n" not in building.obstacle()
