"""A control plane that expects one pod, and the first process of that pod, for the tests of what a pod does."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairway.cluster.links import HostLink, Links, PodIdentity
from fairway.runner.values import Values
from fairway.spec.link import Orders, Passed
from fairway.spec.run import StepResult
from fairway.spec.wire import (
    Committed,
    Described,
    Log,
    Said,
    Start,
    decode_from_child,
    decode_from_host,
    frame,
)
from fairway.stores import FileArtifacts, Layout

Play = Callable[[Any], None]

NAME = "fw-1-d-a1"
LINES = 120_000

TEXT = """
import os, subprocess, sys, time
import fairway as fw
print("imported from", os.getcwd())
print("reads postgres://ada:hunter2hunter2@db/shop and", os.environ.get("SHOP_PASSWORD"))

BEATS = '''
import sys, time
while True:
    with open(sys.argv[1], "a") as file:
        file.write(".")
    time.sleep(0.02)
'''

@fw.task
def sleeps(heart: str) -> int:
    subprocess.Popen([sys.executable, "-c", BEATS, heart], start_new_session=True)
    while not os.path.exists(heart):
        time.sleep(0.01)
    print("asleep", flush=True)
    time.sleep(600)
    return 0

@fw.task
def litters(scratch: str) -> list[str]:
    found = sorted(os.listdir(scratch)) + [open("rates.csv").read()] + sorted(os.listdir("."))
    os.makedirs(scratch + "/deep/deeper")
    os.symlink("/", scratch + "/deep/root")
    for path in (scratch + "/left", scratch + "/deep/deeper/left", "left.csv", "rates.csv"):
        with open(path, "w") as file:
            file.write("left")
    os.makedirs("outputs/models")
    os.remove("notes.txt")
    return [name for name in found if name != "__pycache__"]

@fw.task
def shows(count: int) -> int:
    for number in range(count):
        fw.show("<svg>" + "x" * 3000 + "</svg>", title=f"picture {number}")
    return count

@fw.task
def prints(count: int, mark: str) -> int:
    for number in range(count):
        print(f"{number:06d} " + "x" * 93)
    open(mark, "w").close()
    return count
"""


class Plane:
    """A control plane that expects one pod, and the pod's process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "pod"
        self.root.mkdir()
        (self.root / "token").write_text("mine\n")
        self.store = folder / "store"
        Layout(self.store).prepare()
        self.code = folder / "code"
        self.code.mkdir()
        (self.code / "project.py").write_text(TEXT)
        (self.code / "rates.csv").write_text("2")
        (self.code / "notes.txt").write_text("a note")
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.heart = folder / "heart"
        self.links = Links(self.identify)
        self.heard: list[Any] = []
        self._more = asyncio.Event()
        self.port = 0
        self.program = ("-m", "fairway.runner.pod")

    async def identify(self, token: str) -> PodIdentity | None:
        return PodIdentity(f"{NAME}-abcde", "uid") if token == "mine" else None

    async def begin(self, bundle: str | None = None) -> HostLink:
        """Start the pod and expect it."""
        if bundle is None:
            bundle, _ = FileArtifacts(self.store).put_folder(self.code)
        self.bundle = bundle
        self.expect()
        await self.spawn()
        return self.link

    def expect(self) -> None:
        """Wait for the pod's hello."""
        orders = Orders(store=str(self.store), file="project.py", bundle=self.bundle, credential="c7")
        self.link = self.links.expect(NAME, orders)
        self.link.hear = self._hear

    async def replace(self) -> HostLink:
        """Become another control plane, which knows nothing. Return once the pod has told it all it keeps."""
        await self.links.close()
        self.heard.clear()
        self.links = Links(self.identify)
        self.expect()
        await self.links.listen("127.0.0.1", self.port)
        await self.until(Described)
        return self.link

    async def spawn(self) -> None:
        self.port = await self.links.listen("127.0.0.1", self.port)
        where = ("--plane", f"127.0.0.1:{self.port}", "--name", NAME, "--token", self.root / "token")
        how = (
            "--root",
            self.root,
            "--scratch",
            self.scratch,
            "--grace",
            "5",
            "--last-words",
            self.root / "last",
        )
        self.process = await asyncio.create_subprocess_exec(sys.executable, *self.program, *where, *how)

    def _hear(self, message: Any) -> None:
        self.heard.append(decode_from_host(message.content) if isinstance(message, Passed) else message)
        self._more.set()

    async def until(self, kind: type, seconds: float = 60.0, **fields: Any) -> Any:
        """Wait for a message of a kind, and return it."""
        async with asyncio.timeout(seconds):
            while True:
                for one in self.heard:
                    if isinstance(one, kind) and all(getattr(one, key) == fields[key] for key in fields):
                        return one
                self._more.clear()
                await self._more.wait()

    def start(self, task: str, attempt: int = 1, step: str = "", **inputs: Any) -> None:
        """Tell the host to start a step, which has the name of its task unless said otherwise."""
        values = Values(FileArtifacts(self.store))
        nodes = {name: values.save(value) for name, value in inputs.items()}
        order = Start(run="r", step=step or task, attempt=attempt, task=task, inputs=nodes)
        self.link.send(Passed(frame(order)[4:]))

    def records_of(self, step: str, attempt: int = 1) -> list[StepResult]:
        """Return the records of an attempt in the messages that were heard."""
        said = [one for one in self.heard if isinstance(one, Said)]
        mine = [one for one in said if (one.step, one.attempt) == (step, attempt)]
        messages = [decode_from_child(bytes(one.message)) for one in mine]
        return [message.result for message in messages if isinstance(message, Committed)]

    def record_of(self, step: str, attempt: int = 1) -> StepResult:
        """Return the record of an attempt, of which exactly one was heard."""
        (record,) = self.records_of(step, attempt)
        return record

    async def sleeper(self) -> None:
        """Start a step that sleeps, with a descendant of its own."""
        await self.until(Described)
        self.start("sleeps", heart=str(self.heart))
        await self.until(Log)

    async def ends(self, seconds: float = 30.0) -> int:
        """Wait for the end of the pod, and return its exit status."""
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def nobody_is_left(self) -> None:
        """Wait until what the sleeper started does nothing any more."""
        before = -1
        async with asyncio.timeout(60):
            while before != self.heart.stat().st_size:
                before = self.heart.stat().st_size
                await asyncio.sleep(0.3)
