"""The decision how much of this machine each run may take. Pure: it uses only the entries of the engines.

The run with the smallest share goes first. Among equal shares, the run that waits longest goes first. If a run waits because a
kind of resource is short, that kind is kept free for it, so that small steps cannot pass a big one for ever. Other runs use the
other kinds meanwhile.

A step that starts a run lends it its own resources, because the step only waits. If every running step waits for a run of its
own, the first in the queue continues without room, because no other step can ever release any.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fairway.local.ledger import Entry
from fairway.spec.quantities import Resources, format_memory

CPU, MEMORY, GPU = 1, 2, 4
_TINY = 1e-9
_SILENT = 2.0
"""Seconds after which a run that has stopped asking loses its place. Its engine is stopped or very slow."""

_NAMED = 3


class Room(NamedTuple):
    """The resources that a run may take now. `devices` are the free GPUs, one bit each; the run may take `gpu` of them."""

    cpu: float
    memory: int
    gpu: int
    devices: int

    def lacking(self, wanted: Resources) -> int:
        """Return the kinds of resources that are short, as bits."""
        return (
            CPU * (wanted.cpu > max(self.cpu, 0.0) + _TINY)
            | MEMORY * (wanted.memory > max(self.memory, 0))
            | GPU * (wanted.gpu > max(self.gpu, 0))
        )


class _Loan:
    """The resources that a step lends to its runs, and what these runs use together."""

    __slots__ = ("cpu", "lent_cpu", "lent_memory", "memory")

    def __init__(self, one: Entry) -> None:
        self.lent_cpu, self.lent_memory = one.lent_cpu, one.lent_memory
        self.cpu, self.memory = 0.0, 0


def room(me: Entry, others: Iterable[Entry], capacity: Resources, devices: int, now: float) -> Room:
    """Return what an engine may take in addition to what it has.

    Args:
        me: the entry of the engine.
        others: the entries of the other engines.
        capacity: the resources of the machine.
        devices: the GPUs that this engine may use, one bit each.
        now: monotonic time in seconds. If it is negative, runs that wait are ignored.
    """
    everyone = [me, *others]
    loans = _loans(everyone)
    cpu = capacity.cpu - sum(_used_cpu(one, me) for one in everyone)
    memory = capacity.memory - sum(one.memory for one in everyone)
    # A step and the runs that it lends to both count what they use. Take the loan out once, or it would count twice.
    for loan in loans.values():
        cpu += min(loan.lent_cpu, loan.cpu)
        memory += min(loan.lent_memory, loan.memory)
    mine = loans.get((me.lender, me.loan))
    own_cpu = max(0.0, mine.lent_cpu - mine.cpu) if mine else 0.0
    own_memory = max(0, mine.lent_memory - mine.memory) if mine else 0
    free = devices & ~_devices(everyone)
    lent = (me.lent_gpus & devices & ~_devices(_siblings(me, everyone))) if mine else 0
    kept = [one for one in everyone if now >= 0 and _is_ahead(one, me, capacity, now)]
    strangers = [one for one in kept if not (mine and _same_loan(one, me))]
    siblings = [one for one in kept if mine and _same_loan(one, me)]
    return Room(
        own_cpu + max(0.0, cpu - _kept_cpu(strangers)) - _kept_cpu(siblings),
        own_memory + max(0, memory - _kept_memory(strangers)) - _kept_memory(siblings),
        lent.bit_count() + max(0, free.bit_count() - _kept_gpu(strangers)) - _kept_gpu(siblings),
        lent | free,
    )


def stuck(me: Entry, others: Iterable[Entry], now: float) -> bool:
    """Return true if every running step waits for a run of its own and this engine is the first in the queue."""
    everyone = [me, *others]
    if sum(one.running for one in everyone) > len(_loans(everyone)):
        return False
    return all(not _waits(one, now) or one.ticket >= me.ticket for one in everyone) and me.ticket > 0


def blockers(me: Entry, others: Iterable[Entry], capacity: Resources) -> str:
    """Return the runs that leave no room, such as "run k7m2, which uses 2 of 2 cores"; empty if there is none."""
    users = list(others)
    if me.lacking & MEMORY and (found := [one for one in users if one.memory]):
        used = format_memory(sum(one.memory for one in found))
        return _described(found, f"{used} of {format_memory(capacity.memory)} of memory")
    if me.lacking & GPU and (found := [one for one in users if one.gpus]):
        return _described(found, f"{_devices(found).bit_count()} of {capacity.gpu} GPUs")
    if me.lacking & CPU and (found := [one for one in users if one.cpu > _TINY]):
        used_cpu = min(capacity.cpu, sum(one.cpu for one in found))
        return _described(found, f"{used_cpu:g} of {capacity.cpu:g} cores")
    return ""


def _described(users: list[Entry], what: str) -> str:
    names = [one.run.rstrip(b"\0").decode("utf-8", "replace") for one in users]
    if len(names) == 1:
        return f"run {names[0]}, which uses {what}"
    listed = (
        f"runs {', '.join(names[:-1])} and {names[-1]}"
        if len(names) <= _NAMED
        else f"{len(names)} other runs"
    )
    return f"{listed}, which use {what}"


def _loans(everyone: list[Entry]) -> dict[tuple[int, int], _Loan]:
    """Return the loans of steps whose engine is at work, by engine and number."""
    living = {one.engine for one in everyone}
    loans: dict[tuple[int, int], _Loan] = {}
    for one in everyone:
        if one.lender in living and (one.lent_cpu or one.lent_memory or one.lent_gpus):
            loan = loans.setdefault((one.lender, one.loan), _Loan(one))
            loan.cpu += one.cpu
            loan.memory += one.memory
    return loans


def _used_cpu(one: Entry, me: Entry) -> float:
    """Return how many of the processors of `me` an engine uses. It is assumed to use its other processors first."""
    if one.cpus == me.cpus:
        return one.cpu
    elsewhere = int.from_bytes(one.cpus, "little") & ~int.from_bytes(me.cpus, "little")
    return max(0.0, one.cpu - elsewhere.bit_count())


def _is_ahead(one: Entry, me: Entry, capacity: Resources, now: float) -> bool:
    if one is me or not _waits(one, now):
        return False
    share, mine = _share(one, capacity), _share(me, capacity)
    if abs(share - mine) > _TINY:
        return share < mine
    return not me.ticket or one.ticket < me.ticket


def _waits(one: Entry, now: float) -> bool:
    return one.ticket > 0 and abs(now - one.asked) < _SILENT


def _share(one: Entry, capacity: Resources) -> float:
    """Return the share of an engine: the largest part that it has of any kind of resource."""
    return max(
        one.cpu / capacity.cpu if capacity.cpu else 0.0,
        one.memory / capacity.memory if capacity.memory else 0.0,
        one.gpus.bit_count() / capacity.gpu if capacity.gpu else 0.0,
    )


def _same_loan(one: Entry, other: Entry) -> bool:
    return (one.lender, one.loan) == (other.lender, other.loan)


def _siblings(me: Entry, everyone: list[Entry]) -> list[Entry]:
    return [one for one in everyone if _same_loan(one, me)]


def _devices(entries: Iterable[Entry]) -> int:
    found = 0
    for one in entries:
        found |= one.gpus
    return found


def _kept_cpu(waiting: list[Entry]) -> float:
    return sum(one.wanted_cpu for one in waiting if one.lacking & CPU)


def _kept_memory(waiting: list[Entry]) -> int:
    return sum(one.wanted_memory for one in waiting if one.lacking & MEMORY)


def _kept_gpu(waiting: list[Entry]) -> int:
    return sum(one.wanted_gpu for one in waiting if one.lacking & GPU)
