"""The steps of a run in a small form: each is unpacked when a page shows it, so that a page of a hundred reads a hundred."""

import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import msgspec

from fairway.pages.steps import PAGE, URGENT, StepPage, row_of, state_of
from fairway.spec.artifact import RefData, walk
from fairway.spec.errors import NotFound
from fairway.spec.run import StepStatus
from fairway.spec.text import shortened

_TOGETHER = 100
"""The steps that are packed together, because steps of one task are nearly equal."""

_MOST_USERS = 20

_encode_into = msgspec.msgpack.Encoder().encode_into
_decode = msgspec.msgpack.Decoder(StepStatus).decode


class PackedSteps(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of one run, in the order of their calls.

    All is kept in few blocks of memory. As objects of their own, the steps would lie between all others that existed when they
    were made, and keep the memory of those. Numbers are kept as the bytes of an array.

    Attributes:
        blocks: the steps, of which `_TOGETHER` are packed together.
        ends: where each step ends in its block.
        names: the names of all steps, one behind the other.
        name_ends: where each name ends.
        by_name: the places of the steps in the order of their names.
        used: the place of a step for each use of an output of it, in order.
        used_by: the place of the step that uses it.
        by_task: the places of the steps of each task, failures first.
    """

    blocks: list[bytes]
    ends: bytes
    names: str
    name_ends: bytes
    by_name: bytes
    used: bytes
    used_by: bytes
    by_task: dict[str, bytes]

    @classmethod
    def of(cls, steps: Sequence[StepStatus]) -> "PackedSteps":
        """Return the steps of a run in their small form."""
        names = [step.spec.name for step in steps]
        blocks, ends = _packed(steps)
        places = {name: place for place, name in enumerate(names)}
        uses = sorted(
            {(places[one], place) for place, step in enumerate(steps) for one in _used(step, places)}
        )
        urgent: dict[str, list[tuple[int, int]]] = {}
        for place, step in enumerate(steps):
            urgent.setdefault(step.spec.task, []).append((URGENT[state_of(step)], place))
        return cls(
            blocks=blocks,
            ends=_bytes(ends),
            names="".join(names),
            name_ends=_bytes(accumulate(map(len, names))),
            by_name=_bytes(sorted(range(len(names)), key=names.__getitem__)),
            used=_bytes(used for used, _ in uses),
            used_by=_bytes(user for _, user in uses),
            by_task={task: _bytes(place for _, place in sorted(one)) for task, one in urgent.items()},
        )

    @property
    def size(self) -> int:
        """The bytes of all steps, nearly."""
        return sum(map(len, self.blocks)) + len(self.names) + 5 * len(self.ends)

    def __len__(self) -> int:
        return len(_numbers(self.ends))

    def get(self, name: str) -> StepStatus | None:
        """Return a step; None if there is none of that name."""
        place = self._place(name)
        return next(self._at([place])) if place >= 0 else None

    def step(self, run: str, name: str) -> StepStatus:
        """Return a step of a run of that name. Raises NotFound."""
        found = self.get(name)
        if found is None:
            raise NotFound(
                f"run {run} has no step {shortened(name, 80)!r}",
                hint=f"`fairway show {run}` lists them",
            )
        return found

    def page(self, task: str, number: int) -> StepPage:
        """Return a page of the steps of a task, failures first. Raises NotFound."""
        places = _numbers(self.by_task.get(task, b""))
        if not places:
            raise NotFound(f"this run has no step of a task {shortened(task, 80)!r}")
        pages = (len(places) + PAGE - 1) // PAGE
        number = min(max(1, number), pages)
        first = (number - 1) * PAGE
        return StepPage(
            task=task,
            rows=list(map(row_of, self._at(places[first : first + PAGE]))),
            first=first + 1,
            total=len(places),
            page=number,
            pages=pages,
        )

    def beside(self, name: str) -> tuple[str, str]:
        """Return the names of the steps before and behind a step, empty where there is none."""
        place = self._place(name)
        before = self._name(place - 1) if place > 0 else ""
        return before, self._name(place + 1) if place + 1 < len(self) else ""

    def users(self, name: str) -> list[str]:
        """Return the first of the steps that use an output of a step."""
        place = self._place(name)
        used, users = _numbers(self.used), _numbers(self.used_by)
        first, behind = bisect_left(used, place), bisect_right(used, place)
        return [self._name(one) for one in users[first : min(behind, first + _MOST_USERS)]]

    def _place(self, name: str) -> int:
        """Return the place of a step; -1 if there is none of that name."""
        places = _numbers(self.by_name)
        found = bisect_left(places, name, key=self._name)
        is_there = found < len(places) and self._name(places[found]) == name
        return places[found] if is_there else -1

    def _name(self, place: int) -> str:
        ends = _numbers(self.name_ends)
        return self.names[ends[place - 1] if place else 0 : ends[place]]

    def _at(self, places: Iterable[int]) -> Iterator[StepStatus]:
        """Yield the steps at some places. Neighbours are unpacked together."""
        number, block, ends = -1, memoryview(b""), _numbers(self.ends)
        for place in places:
            if place // _TOGETHER != number:
                number = place // _TOGETHER
                block = memoryview(zlib.decompress(self.blocks[number]))
            yield _decode(block[ends[place - 1] if place % _TOGETHER else 0 : ends[place]])


def _bytes(numbers: Iterable[int]) -> bytes:
    return array("L", numbers).tobytes()


def _numbers(data: bytes) -> "memoryview[int]":
    return memoryview(data).cast("L")


def _packed(steps: Sequence[StepStatus]) -> tuple[list[bytes], list[int]]:
    """Return blocks of steps, and where each step ends in its block."""
    blocks: list[bytes] = []
    ends: list[int] = []
    for first in range(0, len(steps), _TOGETHER):
        block = bytearray()
        for step in steps[first : first + _TOGETHER]:
            _encode_into(step, block, -1)
            ends.append(len(block))
        blocks.append(zlib.compress(block, 1))
    return blocks, ends


def _used(step: StepStatus, places: dict[str, int]) -> set[str]:
    """Return the names of the steps whose outputs a step uses."""
    leaves = (leaf for node in step.spec.inputs.values() for leaf in walk(node))
    return {leaf.step for leaf in leaves if isinstance(leaf, RefData) and leaf.step in places}
