"""A project with its store, and a platform of both: in the same process, and over HTTP."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import uvicorn
from fakes import FakeClock, FakeDeployer

from fairway.control.api import Api
from fairway.control.gate import Gate
from fairway.control.known import Known
from fairway.control.routes import application, public_paths
from fairway.engine.endpoints import EndpointEngine
from fairway.engine.platform import EnginePlatform, at_once
from fairway.engine.projects import ProjectHere
from fairway.local import owner
from fairway.local.project_files import ProjectFolder
from fairway.ports.platform import Platform
from fairway.remote import Direct, RemotePlatform
from fairway.spec.access import Actor, Role
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import DeployRequest
from fairway.spec.model import Candidate, Lineage
from fairway.spec.run import RunRequest
from fairway.spec.update import Update
from fairway.wiring import endpoint_records, machine, runs, target

TOKEN = "t" * 43

PROJECT = """
import time
from pathlib import Path
import fairway as fw

@fw.task
def count(number: int) -> int:
    for line in range(number):
        print(f"line {line}")
    return number

@fw.task
def hold(until: str) -> None:
    while not Path(until).exists():
        time.sleep(0.02)

@fw.pipeline
def main(number: int = 3):
    print("begun")
    count(number)
    count(number + 1)

@fw.pipeline
def held(until: str):
    hold(until)
"""


async def no_functions(file: str) -> list[DeployRequest]:
    """The functions of a project that declares none."""
    return []


class Ground:
    """A project with a store that has a registered model, and the platform of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "project.py"
        self.file.write_text(PROJECT, encoding="utf-8")
        self.stores = machine.LocalStores(folder / ".fairway").prepare()
        self.deployer = FakeDeployer()
        self.engine = EndpointEngine(self.stores.metadata, self.deployer, self.stores.artifacts, FakeClock())
        made = EnginePlatform(
            machine.records(self.stores), lambda: runs.here(self.stores), lambda: self.engine, self.stop
        ).knowing(lambda: endpoint_records.unattended(self.stores, self.engine.endpoints))
        self.platform: Platform = made.within(ProjectHere(ProjectFolder(folder), at_once, no_functions))
        artifact = Artifact(format="onnx", digest="0" * 64, size=2, inline=b"{}")
        for _ in range(2):
            self.stores.metadata.register(
                Candidate(name="churn", artifact=artifact), Lineage(run="", step=""), lambda rival: None, ()
            )
        self.stopped: list[bool] = []

    async def stop(self, endpoints: bool) -> None:
        self.stopped.append(endpoints)

    def asked(self, pipeline: str = "main", **texts: str) -> RunRequest:
        """A request for a run of the project."""
        return RunRequest(
            file=str(self.file), pipeline=pipeline, texts={name: [text] for name, text in texts.items()}
        )


@contextlib.asynccontextmanager
async def in_this_process(ground: Ground) -> AsyncIterator[None]:
    yield
    await ground.platform.close()


@contextlib.asynccontextmanager
async def over_http(ground: Ground) -> AsyncIterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        entries = Api(target.attended(ground.stores, ground.engine, ground.stop)).entries()
        known = Known(Actor(name=owner.name(), role=Role.ADMINISTRATOR), TOKEN)
        gate = Gate(application(entries), [f"127.0.0.1:{port}"], known, public_paths(entries))  # type: ignore[arg-type]
        config = uvicorn.Config(gate, ws="none", lifespan="off", log_config=None)  # type: ignore[arg-type]
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        ground.platform = RemotePlatform(Direct(f"http://127.0.0.1:{port}", TOKEN))
        try:
            yield
        finally:
            await server.shutdown(sockets=[listening])


Play = Callable[[Callable[[Ground], Coroutine[Any, Any, None]]], None]


def request(**changes: Any) -> DeployRequest:
    return DeployRequest(**{"name": "churn", "model": "churn", **changes})


async def followed(ground: Ground, run: str, after: str = "") -> list[Update]:
    """All updates of a run to its end."""
    return [update async for update in ground.platform.follow(run, after)]


def played(
    ask: Callable[[Ground], contextlib.AbstractAsyncContextManager[None]],
    folder: Path,
    work: Callable[[Ground], Coroutine[Any, Any, None]],
) -> None:
    """Carry out work on a fresh ground whose platform is asked in one of the two ways."""

    async def whole() -> None:
        ground = Ground(folder)
        try:
            async with ask(ground):
                await work(ground)
        finally:
            await ground.engine.close()
            ground.stores.close()

    asyncio.run(whole())
