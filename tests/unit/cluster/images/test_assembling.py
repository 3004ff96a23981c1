"""The image of Fairway: found again, the same to the bit, sent once, and understood by another program."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

import fairway
from fairway.cluster.images import packing
from fairway.cluster.images.assembling import Order, Pushed, push_fairway
from fairway.cluster.images.credentials import Login
from fairway.cluster.images.documents import (
    Index,
    Manifest,
    digest_of,
)
from fairway.cluster.images.names import parse_image
from fairway.cluster.images.refusals import NoSuchImage
from fairway.cluster.images.registry import Registry
from fairway.cluster.images.workshop import Workshop
from fairway.spec.errors import UsageError

from .between import relay
from .conftest import Served, put_base, put_index, soon

PYTHON = ".".join(map(str, sys.version_info[:2]))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all tests of this file, because the packages of Fairway are fetched from an index."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def tools(workshop: Workshop, shared: Path) -> Workshop:
    """Tools with packages in their cache."""
    return msgspec.structs.replace(workshop, cache=shared)


def base(registry: Served, path: str, folder: Path, **more: Any) -> str:
    """Makes a base and returns its name."""
    variables = more.pop("variables", ("PATH=/usr/bin", f"PYTHON_VERSION={PYTHON}.2"))
    soon(put_base(registry.repository(path), folder, variables=variables, **more))
    return f"{registry.host}/{path}:3.11"


def push(registry: str, base: str, tools: Workshop, **more: Any) -> Pushed:
    return soon(push_fairway(Order(registry=registry, base=base, **more), tools))


async def read(name: str) -> tuple[Manifest, dict[str, Any]]:
    """Reads manifest and configuration of an image."""
    image = parse_image(name)
    async with Registry(image.repository.place, Login()) as client:
        document = await client.manifest(image)
        manifest = msgspec.json.decode(document.content, type=Manifest)
        config = await client.blob(image.repository, manifest.config.digest, 2**20)
    return manifest, json.loads(config)


def unpack(tools: Workshop, pushed: Pushed, folder: Path) -> Path:
    """Unpacks the layers of an image, without its base, as a node does."""
    manifest, _ = soon(read(pushed.image))
    files = {digest_of(file.read_bytes()): file for file in tools.layers.iterdir()}
    for layer in manifest.layers[1:]:
        with tarfile.open(files[layer.digest]) as tar:
            for member in tar.getmembers():
                tar.extract(member, folder, set_attrs=not member.isdir())
    return folder


def run(root: Path, program: str, **variables: str) -> str:
    """Runs a program in the Python of the tests with nothing but the folders of an image."""
    done = subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), "-c", program],
        env={"PYTHONPATH": str(root / "opt/fairway/start"), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_an_image_is_sent_once_and_found_again(registry: Served, tools: Workshop, tmp_path: Path) -> None:
    name = base(registry, "once/python", tmp_path)
    first = push(f"{registry.host}/once", name, tools)
    with relay(registry.place) as between:
        again = push(f"{between.place.host}/once", name, tools)
        assert between.sent < 10_000
    assert (first.sent > 1_000_000, again.sent) == (True, 0)
    assert again.image.partition("@")[2] == first.image.partition("@")[2]
    assert first.tag.endswith(first.image.partition("sha256:")[2][:12])


def test_an_image_starts_a_program_as_pods_need_it(registry: Served, tools: Workshop, tmp_path: Path) -> None:
    name = base(
        registry, "config/python", tmp_path, variables=("PATH=/x/bin", f"PYTHON_VERSION={PYTHON}.2", "LANG=C")
    )
    manifest, config = soon(read(push(f"{registry.host}/config", name, tools).image))
    started = config["config"]
    variables = dict(line.split("=", 1) for line in started["Env"])
    assert started["User"].isdigit()
    assert int(started["User"]) > 0
    assert (started["Entrypoint"], "Cmd" in started, started["WorkingDir"]) == (
        ["python3"],
        False,
        "/fairway",
    )
    assert variables["PATH"].split(":")[1:] == ["/x/bin", "/opt/fairway/bin"]
    assert (variables["PYTHONPATH"], variables["HOME"], variables["LANG"]) == (
        "/opt/fairway/start",
        "/tmp/home",
        "C",
    )
    assert len(config["rootfs"]["diff_ids"]) == len(manifest.layers) == len(config["history"]) == 3


def test_the_same_version_gives_the_same_image_in_another_place(
    registry: Served, tools: Workshop, tmp_path: Path
) -> None:
    name = base(registry, "same/python", tmp_path)
    elsewhere = msgspec.structs.replace(tools, cache=tmp_path / "some" / "other cache")
    old = os.umask(0o077)
    try:
        other = push(f"{registry.host}/same-too", name, elsewhere)
    finally:
        os.umask(old)
    one = push(f"{registry.host}/same", name, tools)
    assert one.image.partition("@")[2] == other.image.partition("@")[2]


def test_the_layers_run_fairway_after_everything_else(
    registry: Served, tools: Workshop, tmp_path: Path
) -> None:
    pushed = push(f"{registry.host}/runs", base(registry, "runs/python", tmp_path), tools)
    root = unpack(tools, pushed, tmp_path / "root")
    told = json.loads(
        run(
            root,
            "import fairway, httpx2, importlib.metadata as m, json, sys\n"
            "print(json.dumps([fairway.__file__, httpx2.__cached__, m.version('fairway-ml'), sys.path[-2:]]))",
        )
    )
    own = root / "opt/fairway"
    assert told[0] == str(own / "own/fairway/__init__.py")
    assert told[1].startswith(str(own / f"lib/python{PYTHON}/site-packages/httpx2/__pycache__"))
    assert told[2] == packing.version()
    assert told[3] == [str(own / f"lib/python{PYTHON}/site-packages"), str(own / "own")]
    program = (
        "import runpy, sys\n"
        "sys.argv = ['fairway', '--version']\n"
        "runpy.run_module('fairway', run_name='__main__')"
    )
    assert "fairway, version" in run(root, program)


def test_the_projects_packages_come_before_those_of_fairway(
    registry: Served, tools: Workshop, tmp_path: Path
) -> None:
    pushed = push(f"{registry.host}/first", base(registry, "first/python", tmp_path), tools)
    root = unpack(tools, pushed, tmp_path / "root")
    packages = root / f"opt/fairway/env/python{PYTHON}/site-packages"
    packages.mkdir(parents=True)
    (packages / "msgspec.py").write_text("mine = True\n")
    (packages / "sitecustomize.py").write_text("import sys; sys.marked = True\n")
    (packages / "extra.pth").write_text("more\n")
    (packages / "more").mkdir()
    (packages / "more/extra.py").write_text("\n")
    program = (
        "import msgspec, site, sys, extra\n"
        f"own, base = sys.path.index({str(packages)!r}), sys.path.index(site.getsitepackages()[0])\n"
        "print(msgspec.mine, sys.marked, 'sitecustomize' in sys.modules, own < base)"
    )
    assert run(root, program) == "True True True True"


def test_an_image_from_a_wheel_is_the_same_as_from_a_checkout(tmp_path: Path) -> None:
    """The lock of Fairway's packages travels in its wheel."""
    root = Path(fairway.__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").iterdir()
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    program = (
        "import sys, json\n"
        "from fairway.cluster.images import packing\n"
        "print(json.dumps([str(packing._PACKAGE), packing._digest(packing._own_entries())]))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path / "installed")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert json.loads(told) == [str(tmp_path / "installed/fairway"), packing._digest(packing._own_entries())]


def test_a_base_of_another_registry_is_copied(registry: Served, tools: Workshop, tmp_path: Path) -> None:
    name = base(registry, "elsewhere/python", tmp_path)
    with relay(registry.place) as between:
        other = name.replace(registry.host, between.place.host)
        pushed = push(f"{registry.host}/copied", other, tools)
    manifest, _ = soon(read(pushed.image))
    image = parse_image(pushed.image)

    async def first() -> bytes:
        async with Registry(registry.place, Login()) as client:
            return await client.blob(image.repository, manifest.layers[0].digest, 2**20)

    assert soon(first())


def test_several_platforms_are_one_image(registry: Served, tools: Workshop, tmp_path: Path) -> None:
    place = registry.repository("both/python")
    digests: dict[str, str] = {}
    for architecture in ("amd64", "arm64"):
        more = {"architecture": architecture}
        digests[architecture] = soon(
            put_base(place, tmp_path, tag=architecture, more=more, variables=(f"PYTHON_VERSION={PYTHON}.2",))
        )
    soon(put_index(place, digests))
    pushed = push(f"{registry.host}/both", f"{place}:all", tools, platforms=("linux/amd64", "linux/arm64"))

    async def index() -> Index:
        async with Registry(registry.place, Login()) as client:
            return msgspec.json.decode((await client.manifest(parse_image(pushed.image))).content, type=Index)

    assert [str(one.platform) for one in soon(index()).manifests] == ["linux/amd64", "linux/arm64"]
    soon(put_index(place, {"amd64": digests["amd64"]}))
    with pytest.raises(NoSuchImage, match="nothing for linux/arm64; the platforms are linux/amd64"):
        push(f"{registry.host}/both", f"{place}:all", tools, platforms=("linux/arm64",))


@pytest.mark.parametrize(
    ("variables", "python", "kind", "words"),
    [
        (("PATH=/usr/bin",), "", UsageError, "does not say which version of Python"),
        (("PYTHON_VERSION=3.12.1",), "3.11", UsageError, "has Python 3.12.1, and Python 3.11 is wanted"),
        (("PYTHON_VERSION=3.9.1",), "", UsageError, "needs Python 3.11 or newer"),
        (("PATH=/usr/bin",), "three", UsageError, "not a version of Python"),
    ],
)
def test_a_base_whose_python_does_not_fit_is_refused(
    registry: Served,
    tools: Workshop,
    tmp_path: Path,
    variables: tuple[str, ...],
    python: str,
    kind: type,
    words: str,
) -> None:
    name = base(registry, "odd/python", tmp_path, variables=variables)
    with pytest.raises(kind, match=words) as raised:
        push(f"{registry.host}/odd", name, tools, python=python)
    assert raised.value.hint


@pytest.mark.parametrize("platform", ["windows/amd64", "linux/riscv64", ""])
def test_a_platform_that_no_image_is_made_for_is_refused(
    registry: Served, tools: Workshop, tmp_path: Path, platform: str
) -> None:
    name = base(registry, "platform/python", tmp_path)
    with pytest.raises(UsageError, match="no image can be made for the platform"):
        push(f"{registry.host}/platform", name, tools, platforms=(platform,))


def test_another_program_reads_the_image(registry: Served, tools: Workshop, tmp_path: Path) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is missing: `apt-get install skopeo`")
    pushed = push(f"{registry.host}/judged", base(registry, "judged/python", tmp_path), tools)
    source = ["--tls-verify=false", f"docker://{pushed.image}"]
    told = subprocess.run(["skopeo", "inspect", *source], check=True, capture_output=True, timeout=60)
    assert json.loads(told.stdout)["Digest"] == pushed.image.partition("@")[2]
    copied = ["skopeo", "copy", "-q", "--src-tls-verify=false", source[1], f"oci:{tmp_path}/copy:x"]
    subprocess.run(copied, check=True, capture_output=True, timeout=60)
    assert (tmp_path / "copy/index.json").exists()


def test_the_command_prints_the_image_alone(registry: Served, tools: Workshop, tmp_path: Path) -> None:
    name = base(registry, "command/python", tmp_path)
    environment = os.environ | {
        "XDG_CACHE_HOME": str(tmp_path / "cli"),
        "FAIRWAY_HOME": str(tmp_path / "store"),
    }
    command = [sys.executable, "-m", "fairway", "image", "push", f"{registry.host}/command", "--base", name]
    shutil.copytree(tools.cache, tmp_path / "cli/fairway")
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == push(f"{registry.host}/command", name, tools).image
    assert "pushed" in done.stderr
    assert not (tmp_path / "store").exists()
