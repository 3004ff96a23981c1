"""Bytecode for the modules of a layer, so that pods with a read-only file system need not compile at each start.

It is the same to the bit each time: each process compiles a fixed share of the modules in a fixed order, because what Python
writes for a module depends a little on what it has compiled before.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fairway.cluster.images.layers import Entry
from fairway.cluster.images.programs import find_python, run_program
from fairway.cluster.images.workshop import Workshop
from fairway.spec.errors import FairwayError

_PROGRAM = Path(__file__).with_name("compiling.py")
_SHARE = 400


async def compiled(entries: Sequence[Entry], python: str, folder: Path, workshop: Workshop) -> list[Entry]:
    """Return the entries of the bytecode of all modules among entries.

    Without a Python of the version on this machine there are none, and a note says so.

    Args:
        entries: the content of a layer.
        python: the version of the nodes' Python, such as "3.11".
        folder: an empty folder for the files.
        workshop: the tools.

    Raises:
        FairwayError: the compiler could not run.
    """
    interpreter = find_python(python, workshop.environment)
    modules = sorted(
        (entry for entry in entries if entry.name.endswith(".py") and isinstance(entry.source, Path)),
        key=lambda entry: entry.name,
    )
    if not modules:
        return []
    if not interpreter:
        workshop.note(
            f"bytecode is left out: there is no Python {python} on this machine, so imports in pods take longer"
        )
        return []
    shares = [modules[at : at + _SHARE] for at in range(0, len(modules), _SHARE)]
    limit = asyncio.Semaphore(os.cpu_count() or 1)
    folder.mkdir(parents=True, exist_ok=True)

    async def compile_share(number: int, share: Sequence[Entry]) -> list[Entry]:
        async with limit:
            return await _compile(interpreter, python, share, folder / str(number))

    found = await asyncio.gather(*(compile_share(number, share) for number, share in enumerate(shares)))
    return [entry for share in found for entry in share]


async def _compile(interpreter: str, python: str, modules: Sequence[Entry], folder: Path) -> list[Entry]:
    folder.mkdir()
    tag = f"cpython-{python.replace('.', '')}"
    targets = [folder / f"{number}.pyc" for number in range(len(modules))]
    lines = [
        f"{module.source}\0{target}\0/{module.name}" for module, target in zip(modules, targets, strict=True)
    ]
    # The seed decides the order of sets, and with it the code of some modules.
    ended = await run_program(
        [interpreter, "-S", "-s", "-P", str(_PROGRAM)],
        environment={"PYTHONHASHSEED": "0"},
        given="\n".join(lines).encode(errors="surrogateescape"),
        folder=folder,
    )
    if ended.code:
        raise FairwayError(
            f"bytecode could not be made by {interpreter}: {ended.errors.strip().splitlines()[-1:] or ended.code}"
        )
    return [
        Entry(_cache_name(module.name, tag), target)
        for module, target in zip(modules, targets, strict=True)
        if target.exists()
    ]


def _cache_name(name: str, tag: str) -> str:
    path = PurePosixPath(name)
    return str(path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc")
