"""A pod for the tests of what one does."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pod_planes import Plane, Play


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Returns a function that does work with a control plane, and ends its pod."""

    async def whole(work: Any) -> None:
        plane = Plane(tmp_path)
        try:
            await work(plane)
        finally:
            if plane.process.returncode is None:
                plane.process.kill()
                await plane.process.wait()
            await plane.links.close()

    return lambda work: asyncio.run(asyncio.wait_for(whole(work), 120))
