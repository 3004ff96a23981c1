"""A Ref behaves like the value; what Python makes impossible is refused, with `fw.value` as the hint."""

import collections.abc
import copy
import json
import math
import operator
import os
import pathlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pandas as pd
import pytest

from fairway.author.ref import Ref, hint_for, node_of, value
from fairway.spec.artifact import RefData
from fairway.spec.errors import StepFailed, UsageError

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": [1.0, 2.0, 3.0], "c": list("xyz")})


def ref(held: object) -> Ref:
    return Ref(RefData("make"), lambda: held)


@dataclass
class Point:
    x: int
    y: int


class Color(Enum):
    RED = 1


class Door:
    def __init__(self) -> None:
        self.open = False

    def __enter__(self) -> str:
        self.open = True
        return "inside"

    def __exit__(self, *_: object) -> None:
        self.open = False


USES: list[tuple[object, Callable[..., object]]] = [
    (3, lambda r: (r + 1, 1 + r, r - 1, 10 - r, r * 2, 7 // r, 7 % r, r**2, 2**r, -r, +r, abs(r), ~r)),
    (3, lambda r: (r << 1, 1 << r, r >> 1, r & 1, 1 | r, r ^ 1, divmod(7, r), divmod(r, 2), round(r))),
    (3, lambda r: (r < 4, r <= 3, r < 4, r == 3, r == 3, r != 3, 1 < r < 5, bool(r), not r, r and 5)),
    (
        3,
        lambda r: (
            range(r),
            [1, 2, 3, 4][r],
            [1, 2, 3, 4][:r],
            float(r),
            complex(r),
            str(r),
            hash(r),
            f"{r:03d}",
        ),
    ),
    (
        3,
        lambda r: (
            sum([r, r]),
            max(r, 2),
            min(4, r),
            sorted([r, 1]),
            r in [3],
            r in {3},
            {r: 1}[3],
            {3: 1}[r],
        ),
    ),
    (
        3,
        lambda r: (
            isinstance(r, int),
            isinstance(r, collections.abc.Iterable),
            isinstance(r, str),
            r.__class__,
        ),
    ),
    (3, lambda r: (hasattr(r, "__len__"), callable(r), r.bit_length(), np.zeros(r).shape, np.ones(4)[r])),
    (
        2.567,
        lambda r: (
            math.floor(r),
            math.ceil(r),
            math.trunc(r),
            round(r, 1),
            f"{r:.2f}",
            f"{r:.1f}",
            math.sqrt(r),
        ),
    ),
    (
        "ab",
        lambda r: (
            r + "c",
            "c" + r,
            r * 2,
            r[0],
            len(r),
            "a" in r,
            r.upper(),
            f"{r}",
            f"{r!r:>6}",
            list(r),
        ),
    ),
    ("3", lambda r: (int(r), float(r))),
    (
        [3, 1, 2],
        lambda r: (
            sorted(r),
            sum(r),
            max(r),
            [*r],
            list(reversed(r)),
            [0, *r],
            [*r, 4],
            r[1:],
            len(r),
            3 in r,
        ),
    ),
    (
        [3, 1, 2],
        lambda r: (
            isinstance(r, list | tuple),
            isinstance(r, collections.abc.Sequence),
            r.index(1),
            np.mean(r),
        ),
    ),
    ((1, 2), lambda r: (lambda a, b: (b, a))(*r)),
    (
        {"a": 1},
        lambda r: (dict(r), {**r}, dict(**r), list(r.items()), "a" in r, r["a"], r.get("b"), r == {"a": 1}),
    ),
    ({1, 2}, lambda r: (r | {3}, {3} | r, r & {1}, 1 in r, isinstance(r, collections.abc.Set))),
    (pathlib.Path("/tmp"), lambda r: (r / "x", r.name, str(pathlib.Path(r)), pathlib.Path("/") / r)),
    ("/tmp", lambda r: (pathlib.Path(r), pathlib.Path("/") / r)),
    (Color.RED, lambda r: (r == Color.RED, isinstance(r, Color), r.name, r in Color)),
    (Point(1, 2), lambda r: (r.x, r == Point(1, 2), Point(1, 2) == r.__class__(1, 2))),
    (b"ab", lambda r: (bytes(r), r + b"c", r.decode())),
    (
        np.arange(4.0),
        lambda r: (np.sum(r), (np.ones(4) + r).tolist(), (r + np.ones(4)).tolist(), r.shape, r @ r),
    ),
    (
        np.arange(4.0),
        lambda r: (np.concatenate([r, r]).tolist(), np.where(r > 1, r, 0).tolist(), r[r > 1].tolist()),
    ),
    (
        2.0,
        lambda r: (
            np.asarray(r).dtype.name,
            (np.ones(2) * r).tolist(),
            np.float64(2) * r,
            np.sqrt(r),
            np.isclose(r, 2),
        ),
    ),
    ("a", lambda r: FRAME.drop(columns=r).columns.tolist()),
    (["a", "b"], lambda r: FRAME[r].columns.tolist()),
    (FRAME.a > 1, lambda r: (FRAME[r].a.tolist(), int(r.sum()))),
    (2, lambda r: ((FRAME.a * r).tolist(), (FRAME.a > r).tolist(), FRAME.a.isin([r]).tolist())),
    (
        FRAME,
        lambda r: (r.shape, len(r), list(r), pd.concat([r, FRAME]).shape, pd.merge(r, FRAME, on="a").shape),
    ),
    (FRAME, lambda r: (isinstance(r, pd.DataFrame), r.a.sum(), r[["a"]].shape, FRAME.merge(r, on="a").shape)),
    ({"a": [1, 2]}, lambda r: (pd.DataFrame(r).shape, pd.Series(r).shape)),
]


@pytest.mark.parametrize("number", range(len(USES)))
def test_a_use_gives_what_the_value_gives(number: int) -> None:
    held, use = USES[number]
    assert repr(use(ref(held))) == repr(use(held))


def test_class_patterns_and_literals_of_match_see_the_value() -> None:
    match ref(Point(1, 2)):
        case Point(x=1, y=second):
            assert second == 2
        case _:
            pytest.fail("not matched")
    match ref("b"):
        case "a":
            pytest.fail("wrongly matched")
        case "b":
            pass
        case _:
            pytest.fail("not matched")


def test_a_context_manager_is_entered_and_left() -> None:
    door = Door()
    with ref(door) as inside:
        assert inside == "inside"
        assert door.open
    assert not door.open


def test_open_takes_refs_to_texts_and_paths(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "x"
    file.write_text("hello")
    for path in (str(file), file):
        with open(ref(path)) as opened:
            assert opened.read() == "hello"


def test_copies_and_pickles_are_of_the_value() -> None:
    held = [[1]]
    assert type(pickle.loads(pickle.dumps([ref(held)]))[0]) is list
    assert pickle.loads(pickle.dumps(ref(3))) == 3
    shallow, deep = copy.copy(ref(held)), copy.deepcopy({"both": [ref(held), ref(held)]})
    assert shallow == held
    assert shallow is not held
    assert shallow[0] is held[0]
    assert deep["both"][0] is deep["both"][1]
    assert deep["both"][0] is not held


def test_a_copied_array_is_not_the_values_own() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    copied = np.array(ref(frame))
    copied[0, 0] = 9
    assert frame.a.tolist() == [1.0, 2.0]


def test_waiting_happens_once_and_only_on_use() -> None:
    waits: list[int] = []
    lazy = Ref(RefData("make"), lambda: waits.append(1) or 3)
    assert node_of(lazy) == RefData("make")
    assert type(lazy) is Ref
    assert waits == []
    assert value(lazy) + lazy == 6
    assert waits == [1]
    assert value(5) == 5


def test_a_failed_step_raises_where_it_is_used() -> None:
    def fail() -> object:
        raise StepFailed("make: no")

    with pytest.raises(StepFailed, match="make: no"):
        bool(Ref(RefData("make"), fail))


@pytest.mark.parametrize(
    ("held", "change"),
    [
        ([1], lambda r: r.append(2)),
        ([2, 1], lambda r: r.sort(reverse=True)),
        ({"a": 1}, lambda r: r.update(a=2)),
        ({1}, lambda r: r.add(2)),
        ({"a": 1}, lambda r: operator.setitem(r, "a", 2)),
        ([1], lambda r: operator.delitem(r, 0)),
        (Point(1, 2), lambda r: setattr(r, "x", 5)),
        (Point(1, 2), lambda r: delattr(r, "x")),
    ],
)
def test_a_change_in_place_is_refused_and_leaves_the_value(
    held: object, change: Callable[[Ref], object]
) -> None:
    before = copy.deepcopy(held)
    with pytest.raises(UsageError, match="the result of make cannot be changed") as caught:
        change(ref(held))
    assert "fw.value" in caught.value.hint
    assert held == before


def test_augmented_assignment_makes_a_value_of_its_own() -> None:
    held = [1]
    mine = kept = ref(held)
    mine += (2,)
    assert mine == [1, 2]
    assert type(mine) is list
    assert held == [1]
    assert kept == [1]


@pytest.mark.parametrize(
    "use",
    [
        lambda r: json.dumps(r),
        lambda r: "".join([r]),
        lambda r: r(1),
        lambda r: np.random.default_rng(r),
        lambda r: FRAME[r],
        lambda r: FRAME.groupby(r).sum(),
        lambda r: os.path.exists(r),
    ],
)
def test_where_a_library_cannot_wait_the_hint_is_to_ask_for_the_value(use: Callable[[Ref], object]) -> None:
    with pytest.raises((TypeError, KeyError)) as caught:
        use(ref("a"))
    assert "fw.value" in hint_for(caught.value)


def test_an_error_of_the_value_itself_gets_no_such_hint() -> None:
    with pytest.raises(KeyError) as caught:
        ref({"a": 1})["b"]
    assert hint_for(caught.value) == ""
    with pytest.raises(TypeError) as caught:
        len(5)  # type: ignore[arg-type]
    assert hint_for(caught.value) == ""
    assert hint_for(RuntimeError("Ref")) == ""
