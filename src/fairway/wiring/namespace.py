"""The cluster around a control plane: the namespace that it runs in, whose pods are the hosts of runs."""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from fairway.cluster import names, observed, pods, server_logs
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.config import in_cluster
from fairway.cluster.client.errors import KubernetesError, Unauthorized
from fairway.cluster.client.kinds import CONFIG_MAP, JOB
from fairway.cluster.endpoints import naming, objects
from fairway.cluster.endpoints.deployer import ClusterDeployer
from fairway.cluster.endpoints.ended import EndedOutput
from fairway.cluster.endpoints.servers import Servers
from fairway.cluster.executor import ClusterExecutor, Project
from fairway.cluster.jobs import Jobs
from fairway.cluster.links import Links, PodIdentity
from fairway.engine.runs import Opened
from fairway.spec import install as installs
from fairway.spec.endpoint import ServerLine
from fairway.spec.errors import FairwayError
from fairway.spec.install import Install
from fairway.spec.link import Orders
from fairway.spec.project import EnvironmentSpec

if TYPE_CHECKING:
    from fairway.cluster.client.access import Access
    from fairway.engine.runs import Note
    from fairway.spec.run import RunRequest

_AGAIN_SECONDS = 2.0


class Namespace:
    """The namespace of an installation, seen from its control plane.

    Args:
        install: the installation.
        links: host and port on which the links of pods are taken.
        credential_for: returns the credential that the pods of a run show at the store routes.
        say: takes lines for the log.
        access: where the API server is; empty for that of the pod's own cluster.
    """

    def __init__(
        self,
        install: Install,
        links: tuple[str, int],
        credential_for: Callable[[str], str],
        say: Callable[[str], None],
        access: "Access | None" = None,
    ) -> None:
        self._install = install
        self._links_at = links
        self._credential_for = credential_for
        self._say = say
        self._kube = Kubernetes(access or _own_access())
        self._links = Links(self._identify)
        self._jobs = Jobs(self._kube, install)
        self._watching: asyncio.Task[None] | None = None
        self._deployer: ClusterDeployer | None = None
        self._servers = Servers()
        self._ended = EndedOutput(self._printed)

    async def start(self) -> None:
        """Find the owner of the pods, and take connections of pods from now on. Raises FairwayError."""
        found = await self._config_map()
        self._install = msgspec.structs.replace(self._install, owner=found["metadata"]["uid"])
        self._jobs = Jobs(self._kube, self._install)
        self._watching = asyncio.get_running_loop().create_task(self._watch())
        host, port = self._links_at
        await self._links.listen(host, port)

    async def _config_map(self) -> dict[str, Any]:
        """Return the ConfigMap of the installation. Wait for an API server in trouble.

        A process that ends instead is started again later and later, up to five minutes apart.
        """
        while True:
            try:
                return await self._kube.get(CONFIG_MAP, installs.CONFIG_MAP)
            except KubernetesError as error:
                if not error.is_passing:
                    raise
                self._say(f"waiting for the API server: {error.message}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def keep_only(self, runs: Callable[[], Collection[str]]) -> None:
        """End the pods of every run that is not among these, such as of a project that was only described.

        `runs` is called in a thread, after the pods were listed, and only if there are any. Raises FairwayError.
        """
        selected = f"{pods.INSTALL_LABEL}={self._install.short},{pods.RUN_LABEL}"
        found = (await self._kube.list(JOB, labels=selected, type=observed.Job)).items
        if not found:
            return
        # Ask for the runs after the list: a run has its name before its first Job is made.
        kept = {names.of_run(run, self._install) for run in await asyncio.to_thread(runs)}
        for job in found:
            if job.metadata.labels[pods.RUN_LABEL] not in kept:
                self._links.forget(job.metadata.name)
                await self._jobs.delete(job.metadata.name)

    async def end_hosts(self, run: str) -> None:
        """End the pods of a run that nobody works on. Raises FairwayError."""
        for name in await self._jobs.of_run(names.of_run(run, self._install)):
            self._links.forget(name)
            await self._jobs.delete(name)

    async def review(self, token: str) -> str:
        """Return the account that a token belongs to; empty for a token that is not valid. Raises FairwayError."""
        try:
            return (await self._kube.review_self(token)).username
        except Unauthorized:
            return ""

    async def open(self, run: str, request: "RunRequest", note: "Note") -> Opened:
        """Start the driver of a run and import the project of a request there. Raises FairwayError."""
        where = f"{installs.SERVICE}.{self._install.namespace}.svc"
        project = Project(
            key=run,
            orders=Orders(
                store="",
                file=request.file,
                credential=self._credential_for(run),
                bundle=request.bundle,
                module=request.module,
            ),
            api=f"http://{where}:{installs.HTTP_PORT}",
            plane=f"{where}:{installs.LINK_PORT}",
            name=run,
            image=request.images.get("", ""),
        )
        executor = ClusterExecutor(
            self._jobs,
            self._links,
            project,
            partial(_image_of, request.images),
            note,
        )
        home, described = await executor.open()
        return Opened(executor, home, described)

    def deployer(self, changed: Callable[[], None]) -> ClusterDeployer:
        """Return the manager of model servers, and call a function whenever one of them changes. To be called after `start`."""
        events = partial(self._jobs.events, "Pod")
        self._deployer = ClusterDeployer(self._kube, self._install, events, self._servers.runtime, self._say)
        self._deployer.start(partial(self._deployer_changed, changed))
        return self._deployer

    def ended_output(self, endpoint: str) -> list[ServerLine]:
        """Return what servers of an endpoint printed that have ended. It may be called on any thread."""
        return self._ended.lines(naming.service(endpoint))

    def _deployer_changed(self, changed: Callable[[], None]) -> None:
        assert self._deployer is not None
        self._ended.look(self._deployer.pods)
        changed()

    async def _printed(self, pod: str, previous: bool) -> list[tuple[str, str]]:
        return await server_logs.read(self._kube, pod, objects.CONTAINER, previous=previous)

    def over(self, run: str) -> None:
        """Do nothing: the hosts of a run are closed by its engine."""

    async def close(self) -> None:
        """Take no more connections. Pods are left as they are."""
        if self._watching is not None:
            self._watching.cancel()
        if self._deployer is not None:
            self._deployer.close()
        await self._servers.close()
        await self._links.close()
        await self._kube.close()

    async def _identify(self, token: str) -> PodIdentity | None:
        try:
            found = await self._kube.review_self(token)
        except Unauthorized:
            return None
        if found.account != (self._install.namespace, installs.STEP_ACCOUNT) or not found.pod_name:
            return None
        return PodIdentity(found.pod_name, found.pod_uid)

    async def _watch(self) -> None:
        """Watch the pods of all runs. The first list may be refused for a while, such as before a Role is known everywhere."""
        while True:
            try:
                await self._jobs.watch()
            except FairwayError as error:
                self._say(f"pods cannot be watched: {error.message}")
            await asyncio.sleep(_AGAIN_SECONDS)


def _own_access() -> "Access":
    """Return the access of the pod that this process runs in. Raises FairwayError elsewhere."""
    variable = os.environ.get
    return in_cluster(
        host=variable("KUBERNETES_SERVICE_HOST", ""), port=variable("KUBERNETES_SERVICE_PORT", "443")
    )


async def _image_of(images: Mapping[str, str], environment: EnvironmentSpec) -> str:
    """Return the image of an environment of a task. The command that sent the project has pushed it. Raises FairwayError."""
    found = images.get(environment.key)
    if found is None:
        what = ", ".join(environment.requirements[:3]) or f"Python {environment.python}"
        raise FairwayError(
            f"the environment with {what} is not on this target",
            hint="start the run again from the project's folder, so that the environment is sent",
        )
    return found
