"""uv where it is not installed: pip fetches it once, or the person is told why not."""

import asyncio
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from fairway.cluster.images import uv
from fairway.cluster.images.workshop import Workshop
from fairway.spec.errors import FairwayError


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """A folder that is all that pip may install from."""
    folder = tmp_path / "links"
    folder.mkdir()
    return folder


@pytest.fixture
def bare(tmp_path: Path, links: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """The tools on a machine without uv: none on the search path, and none beside the interpreter."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links), "PIP_CONFIG_FILE": os.devnull}
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)} | offline
    return Workshop(environment=environment, home=tmp_path, cache=tmp_path / "cache")


def put_wheel(folder: Path, program: str) -> None:
    """Makes a wheel of uv whose program is a script."""
    listed = "uv-9.1.dist-info"
    with zipfile.ZipFile(folder / "uv-9.1-py3-none-any.whl", "w") as wheel:
        script = zipfile.ZipInfo("uv-9.1.data/scripts/uv")
        script.external_attr = (stat.S_IFREG | 0o755) << 16
        wheel.writestr(script, program)
        wheel.writestr(f"{listed}/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 9.1\n")
        wheel.writestr(f"{listed}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(
            f"{listed}/RECORD", f"uv-9.1.data/scripts/uv,,\n{listed}/METADATA,,\n{listed}/WHEEL,,\n"
        )


def test_without_pip_the_way_to_uv_is_told(bare: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "find_spec", lambda name: None)
    with pytest.raises(FairwayError, match=r"uv.* is not installed") as raised:
        asyncio.run(uv.program(bare))
    assert "pip install uv" in raised.value.hint


def test_what_pip_says_is_told_when_it_finds_no_uv(bare: Workshop) -> None:
    with pytest.raises(FairwayError, match="pip could not fetch it") as raised:
        asyncio.run(uv.program(bare))
    assert "No matching distribution found for uv" in raised.value.message
    assert not list((bare.cache / "tools").iterdir())


def test_pip_fetches_uv_once(bare: Workshop, links: Path) -> None:
    put_wheel(links, "#!/bin/sh\necho uv 9.1\n")
    said: list[str] = []
    tools = msgspec.structs.replace(bare, note=said.append)
    first, second = (asyncio.run(uv.program(tools)) for _ in range(2))
    assert first == second
    assert subprocess.run([first], capture_output=True, text=True, check=True).stdout == "uv 9.1\n"
    assert len(said) == 1


def test_two_commands_that_fetch_uv_at_once_share_one(bare: Workshop, links: Path) -> None:
    put_wheel(links, "#!/bin/sh\necho uv 9.1\n")

    async def both() -> list[str]:
        return await asyncio.gather(uv.program(bare), uv.program(bare))

    first, second = asyncio.run(both())
    assert first == second
    assert [path.name for path in (bare.cache / "tools").iterdir()] == ["uv"]
