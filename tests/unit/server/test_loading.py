"""The garbage collector while a worker loads."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fairway.server import __main__ as program

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    gc.disable()
    yield
    gc.enable()
    gc.set_threshold(*before)


def load(monkeypatch: pytest.MonkeyPatch, does: Callable[[], object]) -> None:
    """Load a service, which does something."""
    nothing: Any = None
    monkeypatch.setattr(program, "_load", lambda *given: does())
    program._service(nothing, nothing, nothing, lambda: 0)


def test_it_looks_seldom_while_the_worker_loads_and_as_usual_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    load(monkeypatch, lambda: seen.append(gc.get_threshold()[0]))
    assert seen[0] > 100_000
    assert (gc.isenabled(), gc.get_threshold()) == (True, USUAL)


def test_it_looks_as_usual_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        load(monkeypatch, lambda: 1 / 0)
    assert gc.get_threshold() == USUAL


def test_what_the_project_sets_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, lambda: gc.set_threshold(5, 6, 7))
    assert gc.get_threshold() == (5, 6, 7)
    load(monkeypatch, gc.disable)
    assert not gc.isenabled()
