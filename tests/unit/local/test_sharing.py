"""Runs that share a machine: nobody takes more than there is, nobody starves, and the dead hold nothing."""

import multiprocessing
import os
import random
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairway.local import gpus, ledger, machine, sharing
from fairway.local.sharing import Share
from fairway.spec.nodes import ANY, NOTHING
from fairway.spec.quantities import Grant, Resources

MACHINE = Resources(cpu=2, memory=16, gpu=0)
ONE = Resources(cpu=1)


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(sharing, "time", clock)
    monkeypatch.setattr(sharing, "capacity", lambda: MACHINE)
    return clock


Make = Callable[..., Share]


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Make]:
    """Makes the part of a run in one machine."""
    made: list[Share] = []

    def make(run: str, lease: str = "") -> Share:
        made.append(Share(tmp_path / "shared", lease, "store"))
        made[-1].enter(run)
        return made[-1]

    yield make
    for one in made:
        one.leave()


def ask(one: Share, wanted: Resources = ONE, step: str = "step") -> Grant | None:
    """As an engine asks: it stands in the line when there is no room."""
    grant = one.take(wanted, step)
    if grant is None:
        one.wait_for(wanted, step)
    else:
        one.stop_waiting()
    return grant


def got(grant: Grant | None) -> Grant:
    assert grant is not None
    return grant


def test_two_runs_have_a_core_each_and_what_one_gives_back_the_other_may_take(
    clock: Time, share: Make
) -> None:
    first, second = share("k7m2"), share("p3x8")
    kept = got(ask(first))
    got(ask(second))
    assert ask(second) is None
    assert second.who_else() == "run k7m2, which uses 1 of 2 cores"

    first.give_back(kept)
    got(ask(second))


def test_a_run_that_comes_while_another_has_everything_gets_the_next_core(clock: Time, share: Make) -> None:
    first = share("k7m2")
    held = [got(ask(first)), got(ask(first))]
    second = share("p3x8")
    assert ask(second) is None

    first.give_back(held[0])
    assert ask(first) is None
    got(ask(second))


def test_a_big_step_is_not_passed_by_small_ones_for_ever(clock: Time, share: Make) -> None:
    small, big = share("k7m2"), share("p3x8")
    held = [got(ask(small)), got(ask(small))]
    wanted = Resources(cpu=2, memory=16)
    assert ask(big, wanted) is None
    small.give_back(held.pop())
    assert ask(small) is None
    assert ask(big, wanted) is None
    small.give_back(held.pop())
    assert ask(small) is None
    got(ask(big, wanted))


def test_what_a_waiting_run_is_not_short_of_others_use_meanwhile(clock: Time, share: Make) -> None:
    holder, waits, small = share("k7m2"), share("p3x8"), share("r5r5")
    got(ask(holder, Resources(cpu=0.5, memory=12)))
    assert ask(waits, Resources(cpu=1, memory=12)) is None
    got(ask(small))


def test_a_run_that_has_stopped_asking_is_not_waited_for(clock: Time, share: Make) -> None:
    first, second = share("k7m2"), share("p3x8")
    held = [got(ask(first)), got(ask(first))]
    assert ask(second) is None
    first.give_back(held[0])
    assert ask(first) is None
    clock.now += 3.0
    got(ask(first))


def test_a_turn_lasts_a_while_so_that_short_steps_need_not_wait_each_time(clock: Time, share: Make) -> None:
    runs = [share(name) for name in ("a", "b", "c")]
    held = {0: got(ask(runs[0])), 1: got(ask(runs[1]))}
    assert ask(runs[2]) is None
    runs[0].give_back(held[0])
    assert ask(runs[0]) is None
    grant = got(ask(runs[2]))
    for _ in range(100):
        runs[2].give_back(grant)
        grant = got(ask(runs[2]))
        assert ask(runs[0]) is None
    clock.now += 1.0
    assert ask(runs[0]) is None
    runs[2].give_back(grant)
    assert ask(runs[2]) is None
    got(ask(runs[0]))


def test_a_run_of_a_step_works_within_what_the_step_has(clock: Time, share: Make) -> None:
    outer, other = share("outer"), share("other")
    step = got(ask(outer))
    got(ask(other))
    inner, twin = share("inner", step.lease), share("twin", step.lease)
    lent = got(ask(inner))
    assert ask(twin) is None
    deeper = share("deeper", lent.lease)
    last = got(ask(deeper))

    deeper.give_back(last)
    inner.give_back(lent)
    got(ask(twin))
    assert ask(inner) is None


def test_steps_that_all_wait_for_runs_of_their_own_do_not_wait_for_each_other(
    clock: Time, share: Make
) -> None:
    outer = share("outer")
    steps = [got(ask(outer)), got(ask(outer))]
    runs = [share(f"inner{number}", step.lease) for number, step in enumerate(steps)]
    whole = Resources(cpu=2)
    assert [ask(run, whole) for run in runs] == [None, None]
    first = got(ask(runs[0], whole))
    assert ask(runs[1], whole) is None
    runs[0].give_back(first)
    runs[0].stop_waiting()
    got(ask(runs[1], whole))


def test_a_step_without_a_core_begins_on_a_full_machine(clock: Time, share: Make) -> None:
    first, second = share("k7m2"), share("p3x8")
    got(ask(first, Resources(cpu=2, memory=16)))
    got(ask(second, Resources(cpu=0)))
    assert ask(second, Resources(cpu=0, memory=1)) is None


@pytest.mark.parametrize("seed", range(6))
def test_whatever_runs_want_no_more_is_taken_than_there_is_and_each_gets_its_turn(
    clock: Time, share: Make, seed: int
) -> None:
    rng = random.Random(seed)
    count = rng.randint(2, 6)
    runs = [share(f"run{number}") for number in range(count)]
    held: list[tuple[float, int, Grant]] = []
    wishes: dict[int, tuple[Resources, float, int]] = {}
    begun = 0
    for _ in range(1_500):
        clock.now += 0.02
        for due, number, grant in list(held):
            if due <= clock.now:
                held.remove((due, number, grant))
                runs[number].give_back(grant)
        for number in rng.sample(range(count), count):
            wanted, since, serial = wishes.get(
                number,
                (Resources(cpu=rng.choice([0.5, 1, 2]), memory=rng.choice([0, 1, 12])), clock.now, begun),
            )
            grant = ask(runs[number], wanted, f"{number}-{serial}")
            if grant is None:
                wishes[number] = wanted, since, serial
                assert clock.now - since < 1.0 + 0.5 * 3 * count, f"run {number} starves"
                continue
            wishes.pop(number, None)
            begun += 1
            held.append((clock.now + rng.choice([0.02, 0.2, 0.5]), number, grant))
            used = [one.resources for _, _, one in held]
            assert sum(one.cpu for one in used) <= MACHINE.cpu
            assert sum(one.memory for one in used) <= MACHINE.memory
    assert begun > 100


def hold(folder: Path, said: "multiprocessing.connection.Connection") -> None:
    one = Share(folder, "", "store")
    one.enter("held")
    said.send([one.take(ONE, "a") is not None, one.take(ONE, "b") is not None])
    said.recv()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[multiprocessing.process.BaseProcess]:
    """A process of another engine, which has all of the machine."""
    near, far = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(tmp_path / "shared", far))
    process.start()
    assert near.recv() == [True, True]
    yield process
    process.kill()
    process.join()


def test_a_killed_holder_holds_nothing_from_that_moment_on(
    clock: Time, holder: multiprocessing.process.BaseProcess, share: Make
) -> None:
    ours = share("ours")
    assert ask(ours) is None
    assert ours.who_else() == "run held, which uses 2 of 2 cores"
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    got(ask(ours))
    got(ask(ours))


def test_a_halted_holder_keeps_what_it_has(
    clock: Time, holder: multiprocessing.process.BaseProcess, share: Make
) -> None:
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGSTOP)
    assert ask(share("ours")) is None


def test_who_is_killed_with_the_ledger_locked_keeps_nobody_waiting(
    clock: Time, tmp_path: Path, share: Make
) -> None:
    ours = share("ours")

    def die() -> None:
        with ledger.ledger(tmp_path / "shared").locked() as held:
            os._exit(0 if held else 1)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join()
    assert process.exitcode == 0
    share("other")
    got(ask(ours))


def test_who_begins_while_another_has_the_ledger_locked_for_long_still_takes_part(
    clock: Time, tmp_path: Path, share: Make
) -> None:
    near, far = multiprocessing.Pipe()

    def lock_for_long() -> None:
        with ledger.ledger(tmp_path / "shared").locked() as held:
            far.send(held)
            time.sleep(0.3)

    process = multiprocessing.get_context("fork").Process(target=lock_for_long)
    process.start()
    assert near.recv() is True
    ours = share("ours")
    process.join()
    got(ask(ours))
    got(ask(ours))
    other = share("other")
    assert ask(other) is None
    assert other.who_else() == "run ours, which uses 2 of 2 cores"


def test_what_waits_can_be_seen_from_outside(clock: Time, tmp_path: Path, share: Make) -> None:
    first, second = share("k7m2"), share("p3x8")
    got(ask(first, Resources(cpu=0.5, memory=12)))
    assert ask(second, Resources(cpu=1, memory=8), "train-2") is None
    assert sharing.waits(tmp_path / "shared", "p3x8", "store") == (
        "train-2",
        "run k7m2, which uses 12 B of 16 B of memory",
    )
    assert sharing.waits(tmp_path / "shared", "k7m2", "store") == ("", "")
    assert sharing.waits(tmp_path / "shared", "p3x8", "another store") == ("", "")


@pytest.mark.parametrize("how", ["a link", "open to others", "not writable", "a file"])
def test_where_runs_cannot_share_they_say_so_once_and_go_on(clock: Time, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "shared"
    if how == "a link":
        (tmp_path / "real").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "real")
    elif how == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif how == "a file":
        folder.write_text("")
    else:
        folder = Path("/proc/fairway")
    said: list[str] = []
    alone = Share(folder, "", "store", said.append)
    alone.enter("k7m2")
    assert [str(folder) in text for text in said] == [True]
    got(alone.take(ONE, "step"))
    alone.leave()
    assert not (tmp_path / "real" / "shares-1").exists()


def test_the_ledger_is_nobody_elses_to_read(clock: Time, tmp_path: Path, share: Make) -> None:
    share("k7m2")
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "shared", tmp_path / "shared/shares-1")
    ]
    assert modes == [0o700, 0o600]


def test_no_two_runs_get_the_same_device(
    clock: Time, share: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "capacity", lambda: Resources(cpu=8, gpu=2))
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path / "driver")
    for number in range(2):
        (tmp_path / "driver" / f"0000:0{number}:00.0").mkdir(parents=True)
        text = f"Model: \t\t H\nGPU UUID: \t GPU-{number}aaaa-1111\n"
        (tmp_path / "driver" / f"0000:0{number}:00.0" / "information").write_text(text)
    wanted = Resources(cpu=1, gpu=1)
    first, second = share("k7m2"), share("p3x8")
    one, other = got(ask(first, wanted)), got(ask(second, wanted))
    assert [one.gpus, other.gpus] == [("GPU-0aaaa-1111",), ("GPU-1aaaa-1111",)]
    assert ask(second, wanted) is None
    assert second.who_else() == "run k7m2, which uses 1 of 2 GPUs"
    inner = share("inner", one.lease)
    assert got(ask(inner, wanted)).gpus == one.gpus
    first.give_back(one)


def test_a_process_counts_the_devices_that_it_may_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path)
    for number in range(3):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
    assert gpus.visible() == {0: "0", 1: "1", 2: "2"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert gpus.visible() == {0: "0", 2: "2"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.visible() == {}


def test_a_machine_tells_the_models_of_the_devices_that_may_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path)
    assert (machine.capacity().nodes or NOTHING).gpu == ANY
    for number, model in enumerate(("NVIDIA L4", "Tesla T4", "Tesla T4")):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "information").write_text(f"Model: \t\t {model}\nIRQ:   16\n")
    assert (machine.capacity().nodes or NOTHING).gpu == "NVIDIA L4,Tesla T4"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert (machine.capacity().nodes or NOTHING).gpu == "Tesla T4"
    assert machine.capacity().disk > 0
