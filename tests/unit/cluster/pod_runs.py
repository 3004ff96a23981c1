"""A project, and a target that carries out its runs with first processes of pods as hosts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pods_here

from fairway.cluster.executor import ClusterExecutor, Project
from fairway.engine.listening import Listener
from fairway.engine.run import RunEngine, Stores
from fairway.spec.errors import FairwayError
from fairway.spec.event import RunEnded
from fairway.spec.link import Orders
from fairway.spec.project import EnvironmentSpec
from fairway.spec.run import RunSpec, RunStatus
from fairway.wiring.machine import LocalStores, SystemClock

TEXT = """
import os, time
import fairway as fw

print("imported")

@fw.task
def small(n: int) -> int:
    print("small", n)
    return n + 1

@fw.task(memory="3Gi")
def big(n: int) -> int:
    print("big", n, flush=True)
    fw.log(n=n)
    return 10 * n

@fw.task(arch="arm64")
def on_arm() -> int:
    return 1

@fw.pipeline
def elsewhere(mark: str = "") -> int:
    return on_arm()

@fw.task(memory="3Gi", retries=1)
def fragile(mark: str) -> int:
    if not os.path.exists(mark):
        open(mark, "w").close()
        raise ValueError("not yet")
    return 1

@fw.task(memory="3Gi")
def long(mark: str) -> int:
    with open(mark, "a") as file:
        file.write("began\\n")
    while not os.path.exists(mark + ".go"):
        time.sleep(0.02)
    print("over")
    open(mark + ".ended", "w").close()
    return 7

@fw.pipeline
def main(mark: str = "") -> int:
    first = small(1)
    return small(big(first))

@fw.pipeline
def again(mark: str = "") -> int:
    return fragile(mark)

@fw.task
def calm(mark: str, first: int = 0) -> int:
    with open(mark, "a") as file:
        file.write("began\\n")
    while not os.path.exists(mark + ".go"):
        time.sleep(0.02)
    print("over")
    open(mark + ".ended", "w").close()
    return 7

@fw.pipeline
def gentle(mark: str = "") -> int:
    with open(mark + ".pipeline", "a") as file:
        file.write("began\\n")
    return calm(mark)

@fw.pipeline
def two(mark: str = "") -> int:
    return calm(mark + "-2", calm(mark))

@fw.task(retries=1)
def stubborn(mark: str) -> int:
    with open(mark, "a") as file:
        file.write("began\\n")
    if open(mark).read().count("began") == 1:
        raise ValueError("not yet")
    while not os.path.exists(mark + ".go"):
        time.sleep(0.02)
    return 7

@fw.pipeline
def patient(mark: str = "") -> int:
    return stubborn(mark)

@fw.pipeline
def wide(mark: str = "") -> list[int]:
    return [long.options(name=f"long{number}")(mark + str(number)) for number in range(3)]

@fw.pipeline
def crowd(mark: str = "") -> list[int]:
    return [calm(mark + str(number)) for number in range(3)]

@fw.task(memory="3Gi")
def doomed(mark: str) -> int:
    return 1

@fw.pipeline
def unlucky(mark: str = "") -> int:
    return doomed(mark)

@fw.task(memory="400Mi", cpu=0.1)
def item(n: int) -> int:
    return n * n

@fw.pipeline
def beside(mark: str = "") -> list[int]:
    return [calm.options(cpu=0.5)(mark + str(number)) for number in range(8)]

@fw.pipeline
def many(mark: str = "") -> list[int]:
    return [item(number) for number in range(60)]

@fw.task(memory="3Gi", retries=1)
def poison(n: int) -> int:
    if n == 7:
        os._exit(3)
    return n

@fw.pipeline
def bitter(mark: str = "") -> int:
    return sum([poison(number) for number in range(20)])

@fw.pipeline
def slow(mark: str = "") -> int:
    return small(long(mark))
"""

DIES = """
import os, time
if os.path.exists("{mark}") and "-w-a" in open(f"/proc/{{os.getppid()}}/cmdline").read():
    print("about to die", flush=True)
    time.sleep(0.1)
    os.kill(os.getpid(), 9)
"""


async def no_image(environment: EnvironmentSpec) -> str:
    raise FairwayError("there is no image for an environment")


class Target:
    """A control plane with a store, in a namespace of the stand-in."""

    def __init__(self, folder: Path, namespace: pods_here.Namespace) -> None:
        self.namespace = namespace
        self.folder = folder
        self.stores = LocalStores(folder / "store").prepare()
        self.project = folder / "project.py"
        self.project.write_text(TEXT)
        self.mark = folder / "mark"
        self.notes: list[str] = []

    def executor(self) -> ClusterExecutor:
        orders = Orders(store=str(self.stores.root), file=str(self.project))
        where = f"127.0.0.1:{self.namespace.port}"
        project = Project(key="k7m2", orders=orders, plane=where)
        return ClusterExecutor(
            self.namespace.jobs, self.namespace.links, project, no_image, self.notes.append
        )

    async def run(self, pipeline: str, earlier: RunStatus | None = None) -> RunEnded:
        """Carry out a run to its end."""
        stores = self.stores
        parts = Stores(stores.metadata, stores.results, stores.logs, stores.read, stores.artifacts.holds)
        executor = self.executor()
        home, project = await executor.open()
        engine = RunEngine(parts, executor, SystemClock(), Listener())
        home.listen(engine.receive)
        from fairway.runner.values import Values

        values = {"mark": Values(stores.artifacts).save(str(self.mark))}
        spec = RunSpec(name="k7m2", pipeline=pipeline, project=str(self.project), parameters=values)
        try:
            return await engine.run(spec if earlier is None else earlier.spec, project, home, earlier)
        finally:
            await home.close()

    def opens_its_store_again(self) -> None:
        """Close the store and open it, as another control plane does."""
        self.stores.close()
        self.stores = LocalStores(self.folder / "store").prepare()

    def takes_up(self, pipeline: str) -> "asyncio.Task[RunEnded]":
        """Begin to carry the run on from its record, and return the task of that."""
        earlier = self.stores.metadata.run("k7m2")
        return asyncio.get_running_loop().create_task(self.run(pipeline, earlier))

    def pipelines(self) -> int:
        """Count how often the pipeline was begun."""
        return (self.folder / "mark.pipeline").read_text().count("began")

    def printed(self, step: str) -> str:
        lines, _ = self.stores.logs.read("k7m2", step, 1)
        return "\n".join(line for _, line in lines)


async def begun(*marks: Path) -> None:
    """Wait until each step has written its mark.

    A mark that is there may still be empty: a step that is killed then has begun and left no word of it.
    """
    async with asyncio.timeout(60):
        while not all(mark.exists() and mark.read_text().endswith("\n") for mark in marks):
            await asyncio.sleep(0.02)


def play(folder: Path, work: Callable[[Target], Awaitable[Any]]) -> None:
    async def whole() -> None:
        async with pods_here.namespace(folder) as namespace:
            target = Target(folder, namespace)
            try:
                await work(target)
            finally:
                target.stores.close()

    asyncio.run(asyncio.wait_for(whole(), 120))
