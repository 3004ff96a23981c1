"""The program of a control plane whose hosts are processes of this machine: the real process, with a cluster of another kind.

A host finds its store as a pod does: it has a cache of its own, and asks the control plane with the credential of its run.
"""

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import httpx2

from fairway.control import cluster
from fairway.engine.runs import Note, Opened
from fairway.local.deployer import LocalDeployer
from fairway.local.executor import LocalExecutor
from fairway.local.launching import launch
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import ServerLine
from fairway.spec.errors import FairwayError
from fairway.spec.host import HostSetup, ProjectCode
from fairway.spec.run import RunRequest
from fairway.stores.opening import open_store, relayed_place

PODS = Path(os.environ["TEST_PODS"])
_FIRST_PORT = 41_001
REVIEWS, URL = os.environ["TEST_REVIEWS"], os.environ["TEST_URL"]


class Processes:
    """A cluster of processes of this machine."""

    def __init__(self, around: cluster.Surroundings) -> None:
        self._around = around
        self._client = httpx2.AsyncClient(trust_env=False)
        self._issuing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        PODS.mkdir(exist_ok=True)
        for old in PODS.glob("*.credential"):
            self._issue(old.name.removesuffix(".credential"))
        self._issuing = asyncio.get_running_loop().create_task(self._issue_wanted())

    async def keep_only(self, runs: Callable[[], Collection[str]]) -> None:
        return

    async def end_hosts(self, run: str) -> None:
        return

    async def review(self, token: str) -> str:
        try:
            answer = await self._client.post(REVIEWS, json={}, headers={"authorization": f"Bearer {token}"})
        except httpx2.HTTPError as error:
            raise FairwayError(f"the API server does not answer: {type(error).__name__}") from None
        return answer.json()["status"]["userInfo"]["username"] if answer.status_code == 201 else ""

    async def open(self, run: str, request: RunRequest, note: Note) -> Opened:
        note(f"starting a host for {run}")
        self._issue(run)
        place = relayed_place(URL, str(PODS / run / "store"), str(PODS / f"{run}.credential"))
        bundle = Artifact(format="folder", digest=request.bundle, size=0, files=True)
        folder = await asyncio.to_thread(open_store(place).artifacts.open, bundle)
        setup = HostSetup(place, ProjectCode(f"{folder}/{request.file}", request.module))
        executor = LocalExecutor(setup, PODS / "environments", note, lambda file, data: None)
        home, project = await executor.adopt(launch(setup))
        return Opened(executor, home, project)

    def deployer(self, changed: Callable[[], None]) -> LocalDeployer:
        stores = self._around.stores
        made = LocalDeployer(stores.root, stores.artifacts.open, _FIRST_PORT)
        made.changed = changed
        return made

    def ended_output(self, endpoint: str) -> list[ServerLine]:
        return []

    def over(self, run: str) -> None:
        return

    async def close(self) -> None:
        return

    def _issue(self, run: str) -> None:
        """Write the credential of a run, as a pod does after its hello."""
        path = PODS / f"{run}.credential"
        path.with_suffix(".new").write_text(self._around.credential_for(run))
        path.with_suffix(".new").rename(path)

    async def _issue_wanted(self) -> None:
        """Write the credentials that a test asks for."""
        while True:
            for wanted in (PODS / "wanted").glob("*"):
                self._issue(wanted.name)
                wanted.unlink()
            await asyncio.sleep(0.02)


def fail_once_wanted(fd: int, before: Callable[[int], None] = os.fsync) -> None:
    """Make a file durable, until a test lets the disk fail."""
    if (PODS / "disk fails").exists():
        raise OSError(errno.EIO, "Input/output error")
    before(fd)


if __name__ == "__main__":
    os.fsync = fail_once_wanted
    sys.exit(cluster.main(sys.argv[1:], Processes))
