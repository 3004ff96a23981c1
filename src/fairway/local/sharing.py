"""The share of a run in a machine that all runs of a user use: it takes resources for its steps and returns them.

A run that is alone pays a few writes to memory for each step. It locks the ledger only beside other runs.
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from fairway.local import gpus, shares
from fairway.local.ledger import Entry, Ledger, Unshared, ledger
from fairway.local.machine import capacity, processors
from fairway.spec.quantities import Grant, Resources

_TURN = 0.25
"""Seconds for which a run keeps the resources that it got after waiting. Otherwise short steps would wait at each step."""

_LOOK_FOR_DEAD = 64
"""Beside other runs, the slots of ended engines are cleared once in this many steps. Otherwise they would cost time for ever."""


class Share:
    """The part of the machine that an engine has.

    Args:
        folder: folder of the ledger of this user; None to share with nobody.
        lease: the loan of the step that started this process; empty without such a step.
        store: path of the store, because runs in two stores can have the same name.
        note: called with a line for the user if the machine cannot be shared.
    """

    def __init__(
        self,
        folder: Path | None = None,
        lease: str = "",
        store: str = "",
        note: Callable[[str], None] = print,
    ) -> None:
        self._folder = folder
        self._loan = _loan(lease)
        self._store = _store_number(store)
        self._note = note
        self._ledger: Ledger | None = None
        self._slot = -1
        self._engine = 0
        self._grants = 0
        self._asked = 0
        self._entry = Entry(0)
        self._cpu, self._memory, self._devices, self._running = 0.0, 0, 0, 0
        self._turn_began = -_TURN
        self._turn = (0.0, 0, 0)
        self._capacity = capacity()
        self._visible = gpus.visible()
        self._visible_bits = sum(1 << place for place in self._visible)

    def enter(self, run: str) -> None:
        """Take a slot in the ledger. If that is not possible, tell the user and continue as if there were no other run."""
        if self._folder is None:
            return
        self._engine = int.from_bytes(os.urandom(8), "little") >> 1 | 1
        loan = self._loan
        self._entry = Entry(
            self._engine,
            lender=loan.lender if loan else 0,
            loan=loan.number if loan else 0,
            lent_cpu=loan.cpu if loan else 0.0,
            lent_memory=loan.memory if loan else 0,
            lent_gpus=loan.gpus if loan else 0,
            store=self._store,
            run=run.encode()[:32],
            cpus=processors().to_bytes(128, "little")[:32],
        )
        try:
            self._ledger = ledger(self._folder)
            self._slot = self._ledger.join(self._entry)
        except Unshared as error:
            self._ledger = None
            self._note(f"other runs are not seen, and may use the same CPUs: {self._folder}: {error}")

    def leave(self) -> None:
        """Release the slot."""
        if self._ledger is not None:
            self._ledger.leave(self._slot)
            self._ledger = None

    def take(self, wanted: Resources, step: str) -> Grant | None:
        """Take resources for a step; None if there is no room."""
        book = self._ledger
        if book is None:
            return self._granted(wanted, self._free_devices())
        if book.alone() and not self._entry.lender:
            grant = self._granted(wanted, self._free_devices())
            # Another engine may have joined before it could see this grant. Then give it back and ask again under the lock.
            if book.alone():
                return grant
            self.give_back(grant)
        if not (wanted.cpu or wanted.memory or wanted.gpu):
            return self._granted(wanted, 0)
        with book.locked() as held:
            return self._take_beside_others(book, wanted, step.encode()[:64]) if held else None

    def give_back(self, grant: Grant) -> None:
        """Return the resources of an attempt that has ended. A decrease needs no lock."""
        given = grant.resources
        self._memory -= given.memory
        self._running -= _weighs(given)
        # Sums of fractions drift, so set the sum to zero whenever nothing runs.
        self._cpu = self._cpu - given.cpu if self._running else 0.0
        self._devices &= ~self._device_bits(grant)
        self._publish()

    def wait_for(self, wanted: Resources, step: str, waiting: int = 1) -> None:
        """Enter the queue with the first step that has no room. The run keeps its place until that step begins."""
        book = self._ledger
        if book is None:
            return
        name, entry, now = step.encode()[:64], self._entry, time.monotonic()
        with book.locked() as held:
            if not (held or entry.ticket):
                return
            there = shares.room(self._me(), self._others(book), self._capacity, self._visible_bits, now)
            before = entry.lacking if entry.step == name else 0
            ticket = entry.ticket or book.next_ticket()
            self._entry = entry._replace(
                wanted_cpu=wanted.cpu, wanted_memory=wanted.memory, wanted_gpu=wanted.gpu,
                lacking=there.lacking(wanted) | before, ticket=ticket, asked=now, step=name,
            )  # fmt: skip
            book.note_wish(self._slot, self._entry)

    def stop_waiting(self) -> None:
        """Leave the queue, because no step waits."""
        if self._entry.ticket and self._ledger is not None:
            self._entry = self._entry._replace(ticket=0, lacking=0, step=b"")
            self._ledger.note_wish(self._slot, self._entry)

    def who_else(self) -> str:
        """Return the runs that leave no room for the waiting step; empty if there is none."""
        if self._ledger is None or not self._entry.ticket:
            return ""
        return shares.blockers(self._entry, self._others(self._ledger), self._capacity)

    def _take_beside_others(self, book: Ledger, wanted: Resources, step: bytes) -> Grant | None:
        now = time.monotonic()
        self._asked += 1
        if not self._asked % _LOOK_FOR_DEAD:
            book.bury()
        devices = self._found(book, wanted, now)
        if devices is None and book.bury():
            devices = self._found(book, wanted, now)
        if devices is None:
            return None
        grant = self._granted(wanted, devices)
        if self._entry.ticket and self._entry.step == step:
            self._turn_began, self._turn = now, (0.0, 0, 0)
            self._entry = self._entry._replace(ticket=book.next_ticket(), lacking=0, asked=now)
            book.note_wish(self._slot, self._entry)
        had = self._turn
        self._turn = (
            max(had[0], self._cpu), max(had[1], self._memory), max(had[2], self._devices.bit_count()),
        )  # fmt: skip
        return grant

    def _found(self, book: Ledger, wanted: Resources, now: float) -> int | None:
        """Return the GPUs to choose from if there is room for a step; None if there is none."""
        me, others = self._me(), self._others(book)
        there = shares.room(me, others, self._capacity, self._visible_bits, now)
        if there.lacking(wanted) and self._is_my_turn(wanted, now):
            there = shares.room(me, others, self._capacity, self._visible_bits, -1.0)
        if not there.lacking(wanted):
            return there.devices
        if shares.stuck(me, others, now):
            return there.devices if there.devices.bit_count() >= wanted.gpu else self._visible_bits
        return None

    def _is_my_turn(self, wanted: Resources, now: float) -> bool:
        """Tell whether this run may still take as much as it has had since its turn began."""
        cpu, memory, devices = self._turn
        return (
            0 <= now - self._turn_began < _TURN
            and self._cpu + wanted.cpu <= cpu + 1e-9
            and self._memory + wanted.memory <= memory
            and self._devices.bit_count() + wanted.gpu <= devices
        )

    def _granted(self, wanted: Resources, devices: int) -> Grant:
        chosen = [place for place in self._visible if devices >> place & 1][: wanted.gpu]
        bits = sum(1 << place for place in chosen)
        self._cpu += wanted.cpu
        self._memory += wanted.memory
        self._devices |= bits
        self._running += _weighs(wanted)
        self._publish()
        self._grants += 1
        lease = ""
        if self._ledger is not None and _weighs(wanted):
            lease = f"{self._engine}:{self._grants}:{wanted.cpu}:{wanted.memory}:{bits}"
        return Grant(resources=wanted, lease=lease, gpus=tuple(self._visible[place] for place in chosen))

    def _publish(self) -> None:
        if self._ledger is not None:
            self._ledger.note_use(self._slot, self._cpu, self._memory, self._devices, self._running)

    def _free_devices(self) -> int:
        return self._visible_bits & ~self._devices

    def _device_bits(self, grant: Grant) -> int:
        return (
            sum(1 << place for place, name in self._visible.items() if name in grant.gpus)
            if grant.gpus
            else 0
        )

    def _me(self) -> Entry:
        return self._entry._replace(
            cpu=self._cpu, memory=self._memory, gpus=self._devices, running=self._running
        )

    def _others(self, book: Ledger) -> list[Entry]:
        return [entry for slot, entry in book.entries().items() if slot != self._slot]


class _Loan:
    """The loan of a step, read from the text that its processes get."""

    __slots__ = ("cpu", "gpus", "lender", "memory", "number")

    def __init__(self, text: str) -> None:
        lender, number, cpu, memory, devices = text.split(":")
        self.lender, self.number = int(lender), int(number)
        self.cpu, self.memory, self.gpus = float(cpu), int(memory), int(devices)


def shared_folder() -> Path:
    """Return the folder of the ledger for all engines of a user on this machine.

    It is not the folder of a login session. That folder is removed with the session, and a process without a session, such as a
    cron job, does not know it.
    """
    chosen = os.environ.get("XDG_RUNTIME_DIR", "")
    if chosen and chosen != f"/run/user/{os.geteuid()}" and os.path.isdir(chosen):
        return Path(chosen) / "fairway"
    return Path(f"/tmp/fairway-{os.geteuid()}")


def waits(folder: Path, run: str, store: str) -> tuple[str, str]:
    """Return the step of a run that waits for room, and the runs that it waits for; empty texts if none waits."""
    try:
        entries = list(ledger(folder).entries().values())
    except Unshared:
        return "", ""
    number = _store_number(store)
    for me in entries:
        if (_text(me.run), me.store) == (run, number) and me.ticket and me.step:
            others = [one for one in entries if one is not me]
            return _text(me.step), shares.blockers(me, others, capacity())
    return "", ""


def _weighs(wanted: Resources) -> bool:
    return bool(wanted.cpu or wanted.memory or wanted.gpu)


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode("utf-8", "replace")


def _loan(lease: str) -> _Loan | None:
    try:
        return _Loan(lease)
    except ValueError:
        return None


def _store_number(store: str) -> int:
    return int.from_bytes(hashlib.sha256(store.encode()).digest()[:8], "little")
