"""Who may take how much of a machine that several runs use: decided from what their engines have noted, and nothing else.

The line is short: the run that has least goes first, and of those that have as little the one that waits longest. What
a run waits for is kept free for it in every kind of resource that it was short of, so that small steps do not pass a big
one for ever; what it was not short of, others use meanwhile.

A step that starts a run lends it what it holds itself: it waits meanwhile. Where nothing runs any more but steps that
wait for runs of their own, the first in the line goes on although there is no room: nobody else could ever make some.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fairway.local.ledger import Entry
from fairway.spec.quantities import Resources, format_memory

CPU, MEMORY, GPU = 1, 2, 4
_TINY = 1e-9
_SILENT = 2.0
"""Seconds after which a run that has stopped asking is not waited for: its engine is halted, or very slow."""

_NAMED = 3


class Room(NamedTuple):
    """What a run may take now. `devices` are the GPUs that are free, a bit for each, of which it may take `gpu`."""

    cpu: float
    memory: int
    gpu: int
    devices: int

    def lacking(self, wanted: Resources) -> int:
        """The kinds of resources there is too little of."""
        return (
            CPU * (wanted.cpu > max(self.cpu, 0.0) + _TINY)
            | MEMORY * (wanted.memory > max(self.memory, 0))
            | GPU * (wanted.gpu > max(self.gpu, 0))
        )


class _Loan:
    """What a step lends to the runs it has started, and what these use together."""

    __slots__ = ("cpu", "lent_cpu", "lent_memory", "memory")

    def __init__(self, one: Entry) -> None:
        self.lent_cpu, self.lent_memory = one.lent_cpu, one.lent_memory
        self.cpu, self.memory = 0.0, 0


def room(me: Entry, others: Iterable[Entry], capacity: Resources, devices: int, now: float) -> Room:
    """What one engine may take of a machine, besides what it has.

    Args:
        others: the other engines.
        capacity: what the machine has.
        devices: the GPUs that this engine may use, a bit for each.
        now: monotonic seconds; where it is negative, nobody who waits is considered.
    """
    everyone = [me, *others]
    loans = _loans(everyone)
    cpu = capacity.cpu - sum(_used_cpu(one, me) for one in everyone)
    memory = capacity.memory - sum(one.memory for one in everyone)
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
    """Whether everything that runs waits for a run of its own, and this engine is the first in the line."""
    everyone = [me, *others]
    if sum(one.running for one in everyone) > len(_loans(everyone)):
        return False
    return all(not _waits(one, now) or one.ticket >= me.ticket for one in everyone) and me.ticket > 0


def blockers(me: Entry, others: Iterable[Entry], capacity: Resources) -> str:
    """Who leaves no room for what an engine waits for: "run k7m2, which uses 2 of 2 cores"; empty when nobody does."""
    users = list(others)
    if me.lacking & MEMORY and (found := [one for one in users if one.memory]):
        used = format_memory(sum(one.memory for one in found))
        return _said(found, f"{used} of {format_memory(capacity.memory)} of memory")
    if me.lacking & GPU and (found := [one for one in users if one.gpus]):
        return _said(found, f"{_devices(found).bit_count()} of {capacity.gpu} GPUs")
    if me.lacking & CPU and (found := [one for one in users if one.cpu > _TINY]):
        used_cpu = min(capacity.cpu, sum(one.cpu for one in found))
        return _said(found, f"{used_cpu:g} of {capacity.cpu:g} cores")
    return ""


def _said(users: list[Entry], what: str) -> str:
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
    """Every loan of a step whose engine lives, by engine and number."""
    living = {one.engine for one in everyone}
    loans: dict[tuple[int, int], _Loan] = {}
    for one in everyone:
        if one.lender in living and (one.lent_cpu or one.lent_memory or one.lent_gpus):
            loan = loans.setdefault((one.lender, one.loan), _Loan(one))
            loan.cpu += one.cpu
            loan.memory += one.memory
    return loans


def _used_cpu(one: Entry, me: Entry) -> float:
    """What an engine uses of the processors that `me` may use; it is taken to use the others first."""
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
    """The largest part of anything that an engine has."""
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
