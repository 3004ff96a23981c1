"""The blueprints of a run's pods: their names, their images, and the orders for their hosts."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from fairway.cluster import names, pods, sizing
from fairway.spec.install import Install
from fairway.spec.link import Orders
from fairway.spec.places import Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources

Images = Callable[[EnvironmentSpec], Awaitable[str]]
"""The function that returns the image for an environment. Raises FairwayError if there can be none."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The project of a run, as its pods get it.

    Attributes:
        key: the text that no other run of the installation has. It gives the objects of the run their names.
        orders: the orders for each host.
        api: the address of the control plane's API for pods.
        plane: host and port of the control plane's links.
        name: the name of the run for people, as far as it is known.
        image: the image with the project's own environment. It is empty for the image of the installation.
    """

    key: str
    orders: Orders
    api: str = ""
    plane: str = ""
    name: str = ""
    image: str = ""


class Blueprints:
    """The blueprints of the pods of one run.

    Args:
        install: the installation.
        project: the project.
        images: returns the image for an environment.

    Attributes:
        run: the short name of the run in names and labels.
        run_name: the name of the run for people.
        given: the names that were given to pods.
    """

    def __init__(self, install: Install, project: Project, images: Images) -> None:
        self.run = names.of_run(project.key, install)
        self.run_name = project.name
        self.driver_size = install.driver.resources
        self.given: set[str] = set()
        self._project = project
        self._images = images
        self._drivers = self._workers = 0
        self._kinds: dict[tuple[str, Resources], str] = {}

    def use_up(self, there: Iterable[str]) -> None:
        """Give no name of a pod of an earlier engine again, even if the pod is gone soon."""
        for name in there:
            if names.is_driver(name):
                self._drivers = max(self._drivers, names.number(name))
            elif names.is_worker(name):
                self._workers = max(self._workers, names.number(name))

    def driver(self) -> str:
        """Return the name of a new driver."""
        self._drivers += 1
        return self._given(names.driver(self.run, self._drivers))

    def worker(self) -> str:
        """Return the name of a new pod that steps share."""
        self._workers += 1
        return self._given(names.worker(self.run, self._workers))

    def step(self, step: str, attempt: int) -> str:
        """Return the name of the pod for one attempt."""
        return self._given(names.step(self.run, step, attempt))

    def kind(self, environment: EnvironmentSpec | None, wanted: Resources) -> str:
        """Return the kind of pod that a step needs: a short text. Two steps of a kind differ in nothing but CPU and memory."""
        key = (environment.key if environment is not None else "", sizing.kind_of(wanted))
        known = self._kinds.get(key)
        if known is None:
            orders = self._project.orders
            # The code as well: a pod of an earlier engine has imported the code of its time.
            parts = (key[0], msgspec.json.encode(key[1]), orders.bundle, orders.file, self._project.image)
            known = self._kinds[key] = hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
        return known

    def orders(self, place: Place | None = None) -> Orders:
        """Return the orders for a host of a place."""
        foreign = place is not None and place.environment is not None
        return msgspec.structs.replace(self._project.orders, foreign=foreign)

    async def pod(
        self, name: str, place: Place, resources: Resources, *, step: str = "", kind: str = ""
    ) -> pods.HostPod:
        """Return a pod. Raises FairwayError if there is no image for it.

        Args:
            name: the name of its host.
            place: the place whose attempts run there.
            resources: its size.
            step: the step that it is for, if there is only one.
            kind: the kind of steps that it is for, if it may be used again.
        """
        if 0 < resources.memory < sizing.LEAST_MEMORY:
            resources = msgspec.structs.replace(resources, memory=sizing.LEAST_MEMORY)
        environment = place.environment
        return pods.HostPod(
            name=name,
            command=self._command(name),
            resources=resources,
            run=self.run,
            run_name=self.run_name,
            step=step,
            kind=kind,
            image=self._project.image if environment is None else await self._images(environment),
        )

    def _given(self, name: str) -> str:
        self.given.add(name)
        return name

    def _command(self, name: str) -> tuple[str, ...]:
        where = ("--plane", self._project.plane, "--api", self._project.api)
        # The host is a fork of this process: it prints at once, and the working folder is no place of modules.
        return ("python", "-u", "-P", "-m", "fairway.runner.pod", *where, "--name", name)
