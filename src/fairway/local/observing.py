"""The state of endpoints on this machine without a platform process: it asks the workers that a platform left behind.

Must not start, end or take over any process.
"""

import asyncio
from pathlib import Path

import msgspec

from fairway.local import listening
from fairway.local.workers import WorkerStatus, ask, control_name, listened, read_spec
from fairway.spec.endpoint import EndpointStatus, WorkerSpec, request_url

_UNATTENDED = "no platform process looks after it"


async def unattended(root: Path, recorded: list[EndpointStatus]) -> list[EndpointStatus]:
    """Return the recorded endpoints with the state of their workers, while no platform supervises them."""
    return [await _seen(root, endpoint) for endpoint in recorded if endpoint.wanted]


async def _seen(root: Path, endpoint: EndpointStatus) -> EndpointStatus:
    own = listening.folder(root, endpoint.name)
    files = [path for path in listening.worker_files(root) if path.parent.parent == own]
    sockets = listening.sockets_folder(root) if files else root
    answers = await asyncio.gather(*(_answer(path, sockets) for path in files))
    ready = [answer for answer in answers if answer is not None and answer[1].phase == "ready"]
    if not ready:
        return msgspec.structs.replace(endpoint, phase="Stopped", reason=_UNATTENDED)
    numbers = [spec.revision.number for spec, _ in ready]
    serving = max(numbers, key=numbers.count)
    spec, status = ready[numbers.index(serving)]
    return msgspec.structs.replace(
        endpoint,
        url=request_url(listening.address(listened(spec)), spec.revision),
        serving=serving,
        ready=numbers.count(serving),
        phase="Running",
        reason=_UNATTENDED,
        runtime=status.runtime,
        samples=status.samples,
    )


async def _answer(path: Path, sockets: Path) -> tuple[WorkerSpec, WorkerStatus] | None:
    spec = read_spec(path)
    status = await ask(str(sockets / control_name(path)), "status") if spec is not None else None
    return (spec, status) if spec is not None and status is not None else None
