"""Exceptions that resist being told, as records. None may raise, and every text can be stored and is bounded."""

import asyncio
import os
import sys
from collections.abc import Callable

import msgspec
import pytest

from fairway.author import redaction, tracebacks
from fairway.runner import failures
from fairway.spec.errors import FairwayError
from fairway.spec.run import Failure, Reason

LIMIT = sum(tracebacks.SHOWN) + 100


class TwoArguments(Exception):
    def __init__(self, one: object, two: object) -> None:
        super().__init__(one)


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class EndsTheProcess(BaseException):
    def __str__(self) -> str:
        sys.exit(3)


class RaisesItself(BaseException):
    def __str__(self) -> str:
        raise self


class OddNumber(OSError):
    @property
    def errno(self) -> int:  # type: ignore[override]
        raise EndsTheProcess


class Hides(Exception):
    def __getattribute__(self, name: str) -> object:
        raise EndsTheProcess


class OddClass(Exception):
    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise EndsTheProcess


class OddRepr:
    def __repr__(self) -> str:
        raise ValueError("no")


def cyclic() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    one.__context__, other.__context__ = other, one
    return one


def group(depth: int) -> BaseException:
    error: Exception = ValueError("leaf")
    for _ in range(depth):
        error = ExceptionGroup("group", [error])
    return error


def chain(length: int) -> BaseException:
    error = ValueError("0")
    for count in range(1, length):
        later = ValueError(str(count))
        later.__context__ = error
        error = later
    return error


def with_attributes(**attributes: object) -> BaseException:
    error = ValueError("attributes")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def noted(note: str) -> BaseException:
    error = ValueError("noted")
    error.add_note(note)
    return error


def elsewhere() -> BaseException:
    return type("Away", (Exception,), {"__module__": "nowhere.at.all"})("far")


ODD: dict[str, tuple[Callable[[], BaseException], str]] = {
    "surrogates": (lambda: ValueError("data-\udcff.csv"), "ValueError: data-\\udcff.csv"),
    "surrogates in a key": (lambda: KeyError("\udcff"), "KeyError: '\\udcff'"),
    "surrogates in a note": (lambda: noted("\udcff"), "ValueError: noted"),
    "notes of another type": (lambda: with_attributes(__notes__=OddRepr()), "ValueError: attributes"),
    "a class without a name": (lambda: type("", (Exception,), {})("x"), "x"),
    "sys.exit": (lambda: SystemExit(3), "the code called sys.exit(3)"),
    "sys.exit with an odd code": (lambda: SystemExit(OddRepr()), "the code called sys.exit(<a OddRepr"),
    "sys.exit with a long text": (lambda: SystemExit("z" * 10**6), "the code called sys.exit('zzz"),
    "sys.exit with surrogates": (lambda: SystemExit("\udcff"), "the code called sys.exit('\\udcff')"),
    "an interrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "StopIteration": (lambda: StopIteration(3), "StopIteration: 3"),
    "GeneratorExit": (GeneratorExit, "GeneratorExit"),
    "CancelledError": (asyncio.CancelledError, "asyncio.exceptions.CancelledError"),
    "RecursionError": (RecursionError, "RecursionError"),
    "MemoryError": (MemoryError, "MemoryError: the system refused more than"),
    "an odd SyntaxError": (
        lambda: SyntaxError("bad", ("\udcff.py", "x", "y", object(), "q", "z")),
        "SyntaxError: bad",
    ),
    "an empty SyntaxError": (SyntaxError, "SyntaxError"),
    "UnicodeEncodeError": (
        lambda: UnicodeEncodeError("utf-8", "\udcff", 0, 1, "why"),
        "UnicodeEncodeError: 'utf-8'",
    ),
    "an error of ours": (lambda: FairwayError("odd \udcff", hint="try \udcff"), "odd \\udcff"),
    "an error of ours with numbers": (lambda: FairwayError(3, hint=4), "3"),  # type: ignore[arg-type]
}


def raised(make: Callable[[], BaseException]) -> BaseException:
    try:
        raise make()
    except BaseException as error:
        return error


def check(failure: Failure, expected: str) -> None:
    assert expected in failure.message
    assert len(failure.message) <= tracebacks.HEADLINE
    assert len(failure.details) <= LIMIT
    assert msgspec.json.decode(msgspec.json.encode(failure), type=Failure) == failure


@pytest.mark.parametrize("name", ODD)
def test_a_step_fails_with_the_exception_itself(name: str) -> None:
    make, expected = ODD[name]
    failure = failures.of_code(raised(make))
    check(failure, expected)
    if "ours" not in name and "hidden" not in name:
        assert "in raised" in failure.details or "left out" in failure.details or "During" in failure.details


@pytest.mark.parametrize("name", ODD)
def test_an_import_fails_with_the_exception_itself(name: str) -> None:
    check(failures.of_import(raised(ODD[name][0]), "project.py"), "")


def test_a_module_with_an_odd_name_is_missing_by_that_name() -> None:
    failure = failures.of_import(ModuleNotFoundError("no", name="\udcff"), "project.py")
    assert failure.message.startswith("project.py needs the module \\udcff, which is not installed")


@pytest.mark.parametrize("before", [0, 1 << 18, 10**6])
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(
    before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cr3t-" * 6
    monkeypatch.setitem(os.environ, "SERVICE_TOKEN", secret)
    redaction.refresh()
    for shift in range(0, len(secret), 5):
        failure = failures.of_code(ValueError("x" * (before - shift) + secret + "\n" * 10**5 + "y" * 10**6))
        assert "s3cr3t" not in failure.message + failure.details


def test_an_input_that_cannot_be_read_is_no_fault_of_the_code() -> None:
    assert failures.of_code(ValueError("x"), Reason.INPUT).reason is Reason.INPUT
