"""What tells a step from its siblings can be read at a glance, and is never long."""

import dataclasses
import datetime
import enum
from typing import NamedTuple

import msgspec
import pytest

from fairway.author.labels import label
from fairway.author.ref import Ref
from fairway.spec.artifact import Artifact


@dataclasses.dataclass
class Settings:
    depth: int
    rate: float
    hidden: list[int]
    extra: object = None


class Struct(msgspec.Struct):
    depth: int
    name: str = "a"


class Pair(NamedTuple):
    low: float
    high: float


class Loss(enum.Enum):
    SQUARED = "squared"


def a_ref() -> object:
    def never() -> object:
        raise AssertionError("a label waited for a step")

    return Ref(Artifact(format="none", digest="", size=0), never)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"depth": 2, "rate": 0.1}, "depth=2 rate=0.1"),
        ({"params": {"max_iter": 10, "max_depth": 2}}, "max_iter=10 max_depth=2"),
        ({"settings": Settings(2, 0.1, [64, 32])}, "depth=2 rate=0.1 hidden=[64,32]"),
        ({"settings": Struct(3)}, "depth=3 name=a"),
        ({"bounds": Pair(0.5, 1.5)}, "low=0.5 high=1.5"),
        ({"left": {"depth": 1}, "right": {"depth": 2}}, "depth=1 right.depth=2"),
        ({"rate": 0.1 + 0.2}, "rate=0.3"),
        ({"loss": Loss.SQUARED, "day": datetime.date(2026, 1, 2)}, "loss=SQUARED day=2026-01-02"),
        ({"data": a_ref(), "params": {"model": a_ref(), "depth": 2}}, "depth=2"),
        ({"data": list(range(1000)), "text": "a" * 100, "raw": b"x", "many": {1: 2}}, ""),
        ({"table": {f"c{i}": i for i in range(10_000)}}, "c0=0 c1=1 c2=2 c3=3 …"),
        ({"text": "two\nlines", "params": {"control": "\x1b[2J"}}, ""),
        ({}, ""),
    ],
)
def test_a_step_is_labelled_by_its_plain_arguments(arguments: dict[str, object], said: str) -> None:
    assert label(arguments) == said
