"""The environments of a project on a target: images with the packages that the project has here, pushed once.

The project's own environment is what the project imports, in the versions of this machine, or a requirements file that
`[tool.fairway]` names. An image is found again by its lock, whoever pushed it. Where nobody may push, the same layers go into
the store of the target, and a reference to them stands in the place of the image's name.
"""

import ast
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.kinds import CONFIG_MAP
from fairway.cluster.images.assembling import DEFAULT_PLATFORM
from fairway.cluster.images.bases import read_base
from fairway.cluster.images.environments import environment_image, environment_layers
from fairway.cluster.images.installed import installed_requirements
from fairway.cluster.images.locking import Lock, environment_lock, locked, parse_lock
from fairway.cluster.images.names import parse_image, parse_registry, spoken_as
from fairway.cluster.images.refusals import NoSuchImage, RegistryDenied, RegistryError, RegistryUnreachable
from fairway.cluster.images.registry import open_registry
from fairway.cluster.images.storing import Store, store_layers
from fairway.cluster.images.wheels import Target as Nodes
from fairway.cluster.images.wheels import make_target
from fairway.local import project_settings
from fairway.local.bundling import Bundle
from fairway.spec import install as installs
from fairway.spec.errors import FairwayError, StorageError, UsageError
from fairway.spec.install import Install
from fairway.spec.project import EnvironmentSpec, ProjectSpec
from fairway.wiring.images import make_workshop
from fairway.wiring.lacking import require_here
from fairway.wiring.targets import Target, access_to

_COMPANIONS = {
    "sklearn": ("onnx", "onnxruntime", "skl2onnx", "skops"),
    "lightgbm": ("onnx", "onnxruntime", "onnxmltools", "skl2onnx"),
    "xgboost": ("onnx", "onnxruntime", "onnxmltools", "skl2onnx"),
    "torch": ("onnx", "onnxruntime", "safetensors"),
    "keras": ("onnx", "onnxruntime"),
    "onnx": ("onnxruntime",),
    "pandas": ("pyarrow",),
    "polars": ("pyarrow",),
}
"""The modules with which Fairway stores and compiles the values and models of a framework."""

_REFUSALS = (RegistryDenied, RegistryError, RegistryUnreachable, NoSuchImage)
"""The errors of a registry that takes no image from here."""

_REFERENCE = re.compile("(?P<registry>[^@]+)/[^/@]+@sha256:[0-9a-f]{64}")

Note = Callable[[str], None]


class Equipment:
    """The environments of one project on one target.

    Args:
        target: the target.
        bundle: the files of the project; None if the packages are given and not looked for in a project.
        note: takes lines of progress.
        store: the store of the target, for layers that no registry takes. None if only an image will do.
    """

    def __init__(self, target: Target, bundle: Bundle | None, note: Note, store: Store | None = None) -> None:
        self._target = target
        self._bundle = bundle
        self._store = store
        self._note = note
        self._no_registry = ""
        self._workshop = make_workshop(note)
        self._install: Install | None = None
        self._nodes: Nodes | None = None

    async def own(self) -> str:
        """Return the image with the project's own environment; empty if the image of the installation is enough.

        Raises:
            UsageError: the project file imports what this machine lacks.
            FairwayError: a package has no wheel for the nodes, or a registry refuses.
        """
        if self._bundle is None:
            return ""
        file = project_settings.read(self._bundle.folder).requirements
        if file:
            lock = await self._lock_of(Path(self._bundle.folder, file))
        else:
            require_here(self._bundle)
            modules = _with_companions(_imported(self._bundle))
            wanted = installed_requirements(modules, Path(self._bundle.folder))
            if not wanted:
                return ""
            lock = await locked(wanted, await self._prepared(), self._workshop)
        return await self._image(lock)

    async def of_tasks(self, project: ProjectSpec) -> dict[str, str]:
        """Return the images of the environments that tasks ask for, by key. Raises FairwayError."""
        found: dict[str, str] = {}
        for environment in {task.environment for task in project.tasks if task.environment is not None}:
            found[environment.key] = await self._of_task(environment)
        return found

    async def of_packages(self, lines: Sequence[str]) -> str:
        """Return the image with packages, given as lines of a requirements file. Raises FairwayError."""
        return await self._image(await locked(lines, await self._prepared(), self._workshop))

    async def _of_task(self, environment: EnvironmentSpec) -> str:
        nodes = await self._prepared()
        if environment.python and environment.python != nodes.python:
            raise UsageError(
                f"an environment asks for Python {environment.python}, and the target's image has {nodes.python}",
                hint=f"leave `python=` out, or install with another base: `--base python:{environment.python}-slim`",
            )
        return await self._image(await environment_lock(environment, nodes, self._workshop))

    async def _image(self, lock: Lock) -> str:
        """Return the image of a lock, or the reference to its layers where no registry takes one."""
        install = await self.installed()
        try:
            if not self._no_registry:
                registry = _required(registry_of(install))
                pushed = await environment_image(
                    install.image, lock, registry, install.platform, self._workshop
                )
                return pushed.image
        except _REFUSALS as error:
            self._without_registry(error)
        assert self._store is not None
        nodes = await self._prepared()
        layers = await environment_layers(lock, nodes, self._workshop)
        return str(await store_layers(layers, nodes.python, self._store, self._workshop))

    def _without_registry(self, error: FairwayError) -> None:
        """Go on without a registry, or raise the error of the one that there is."""
        if self._store is None:
            raise error
        if not self._no_registry:
            self._no_registry = error.message
            self._note(f"packages go through the store of {self._target.name}: {error.message}")

    async def _lock_of(self, file: Path) -> Lock:
        """Return the lock of a requirements file, which may have hashes already. Raises FairwayError."""
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(
                f"{file}, which [tool.fairway] names, cannot be read: {error}",
                hint='name the file with the packages of the project: `requirements = "requirements.txt"`',
            ) from None
        if "--hash=" in text:
            return parse_lock(text)
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        return await locked([line for line in lines if line], await self._prepared(), self._workshop)

    async def installed(self) -> Install:
        """Return the installation of the target. Raises FairwayError."""
        if self._install is None:
            async with Kubernetes(access_to(self._target)) as kube:
                found = await kube.get(CONFIG_MAP, installs.CONFIG_MAP, type=_ConfigMap)
            self._install = installs.decode(found.data.get(installs.FILE, ""))
        return self._install

    async def _prepared(self) -> Nodes:
        """Return the Python of the nodes, which must be that of this machine. Raises UsageError if it is not."""
        if self._nodes is None:
            here = f"{sys.version_info.major}.{sys.version_info.minor}"
            try:
                self._nodes = await self._read(await self.installed())
            except _REFUSALS as error:
                self._without_registry(error)
                # The pod compares the version with its own before it unpacks anything.
                self._nodes = make_target(here, (await self.installed()).platform or DEFAULT_PLATFORM)
            if self._nodes.python != here:
                raise UsageError(
                    f"this machine has Python {here}, and target {self._target.name} runs {self._nodes.python}",
                    hint=f"use Python {self._nodes.python} here, or `fairway upgrade --base python:{here}-slim`",
                )
        return self._nodes

    async def _read(self, install: Install) -> Nodes:
        """Return the Python and the platform of the image of an installation. Raises FairwayError."""
        named = spoken_as(parse_image(install.image), parse_registry(_required(registry_of(install))))
        workshop = self._workshop
        async with await open_registry(named.repository, workshop.environment, workshop.home) as registry:
            return (await read_base(registry, named, "", install.platform, workshop)).target


def registry_of(install: Install) -> str:
    """Return the registry that gets the images of environments; empty if the installation names none."""
    if install.registry:
        return install.registry
    found = _REFERENCE.fullmatch(install.image)
    return found["registry"] if found else ""


def _required(registry: str) -> str:
    """Return the registry, which must be there. Raises RegistryError."""
    if not registry:
        raise RegistryError(
            "the installation names no registry for images of environments",
            hint="`fairway upgrade --registry REGISTRY` names one",
        )
    return registry


class _ConfigMap(msgspec.Struct, frozen=True):
    data: dict[str, str] = {}


def _imported(bundle: Bundle) -> set[str]:
    """Return the names of all modules that the Python files of a project import."""
    found: set[str] = set()
    for one in bundle.files:
        if not one.entry.path.endswith(".py"):
            continue
        try:
            tree = ast.parse(Path(one.place).read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # The host says what is wrong with it, if the project imports it.
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return found


def _with_companions(modules: set[str]) -> set[str]:
    """Add the modules that Fairway uses together with the frameworks of a project, so that a model is packaged as here."""
    tops = {name.partition(".")[0] for name in modules}
    return modules.union(*(_COMPANIONS.get(top, ()) for top in tops))
