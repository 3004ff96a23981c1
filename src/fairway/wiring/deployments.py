"""Requests that deploy a registered model or the endpoint functions of a project file."""

from pathlib import Path
from typing import TYPE_CHECKING

from fairway.spec.errors import NotFound, UsageError
from fairway.wiring.headstart import launch_host
from fairway.wiring.machine import LocalStores

if TYPE_CHECKING:
    from fairway.ports.platform import Platform
    from fairway.spec.endpoint import DeployRequest


async def model_request(platform: "Platform", reference: str) -> "DeployRequest":
    """Return the request that serves a model; for an empty reference the only model. Raises NotFound, UsageError."""
    from fairway.spec.endpoint import DeployRequest

    if not reference:
        names = [model.name for model in await platform.models()]
        if not names:
            raise NotFound(
                f"there is no model to deploy in {platform.place}",
                hint="a pipeline registers one: `fairway run FILE`",
            )
        if len(names) > 1:
            raise UsageError(f"there are {len(names)} models: {', '.join(names)}", hint="name one")
        reference = names[0]
    version = await platform.resolve(reference)
    return DeployRequest(name=version.name, model=reference)


async def function_requests(root: Path, file: str, module: str = "", only: str = "") -> "list[DeployRequest]":
    """Return the requests that serve the endpoints of a project file. Raises FairwayError.

    The project's sources are put into the store at `root`.
    """
    from fairway.author.source import files
    from fairway.engine.import_output import print_import
    from fairway.local.executor import LocalExecutor
    from fairway.local.projects import copied_folder, locate
    from fairway.local.sources import snapshot
    from fairway.spec.artifact import Artifact
    from fairway.spec.endpoint import DeployRequest

    stores = LocalStores(root).prepare()
    setup = stores.setup(file, module)
    executor = LocalExecutor(setup, stores.root, lambda text: None, print_import)
    host, project = await executor.adopt(launch_host(setup))
    await host.close()
    found = [endpoint for endpoint in project.endpoints if only in ("", endpoint.name)]
    if not found:
        what = f"endpoint {only!r}" if only else "endpoint"
        raise UsageError(f"{file} declares no {what}", hint="put `@fw.endpoint` above a function")
    place = locate(file, module)
    copied, path = Path(copied_folder(place)), Path(place.file)
    with snapshot(copied, dict.fromkeys([*files(path.parent), *files(copied)])) as folder:
        digest, size = stores.artifacts.put_folder(folder)
    source = Artifact(format="folder", digest=digest, size=size, kind="project", files=True)
    return [
        DeployRequest(
            name=endpoint.name, function=endpoint.name, source=source, module=str(path.relative_to(copied)),
            replicas=endpoint.replicas, private=endpoint.private,
        )
        for endpoint in found
    ]  # fmt: skip
