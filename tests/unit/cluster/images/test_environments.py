"""Environments: layers from a lock, found again by everybody, and requirements from what is installed here."""

import base64
import hashlib
import json
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import msgspec
import pytest

from fairway.cluster.images.environments import environment_image, environment_layers
from fairway.cluster.images.installed import installed_requirements
from fairway.cluster.images.locking import Lock, environment_lock, locked, parse_lock, pins
from fairway.cluster.images.wheels import Target, make_target
from fairway.cluster.images.workshop import Workshop
from fairway.spec.errors import FairwayError
from fairway.spec.project import EnvironmentSpec

from .between import relay
from .conftest import Served, put_base, put_index, soon

PYTHON = ".".join(map(str, sys.version_info[:2]))
TARGET = Target(PYTHON)


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: dict[str, bytes],
    *,
    tag: str = "py3-none-any",
    needs: str = "",
) -> str:
    """Makes a wheel and returns the line of a lock for it."""
    listed = f"{name}-{version}.dist-info"
    own = {
        **files,
        f"{listed}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}".encode(),
        f"{listed}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
    }
    rows = [f"{path},sha256={encoded(content)},{len(content)}" for path, content in own.items()]
    own[f"{listed}/RECORD"] = "\n".join([*rows, f"{listed}/RECORD,,", ""]).encode()
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for path, content in own.items():
            packed.writestr(path, content)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def program(name: str) -> bytes:
    return f"[console_scripts]\n{name} = {name}:main\n".encode()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of wheels, which is all that uv gets to see."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def offline(workshop: Workshop, index: Path) -> Workshop:
    """Tools whose packages come from the folder of wheels alone."""
    more = {"UV_FIND_LINKS": str(index), "UV_NO_INDEX": "1", "UV_CACHE_DIR": str(index.parent / "uv")}
    return msgspec.structs.replace(workshop, environment={**workshop.environment, **more})


@pytest.fixture
def lock(index: Path) -> Lock:
    """A lock of a small package with a program, and a large one."""
    lines = [
        make_wheel(
            index,
            "small",
            "1.0",
            {
                "small.py": b"def main(): print('small')\n",
                "small-1.0.dist-info/entry_points.txt": program("small"),
            },
        ),
        make_wheel(
            index, "large", "2.0", {"large/__init__.py": b"big = 1\n", "large/data.bin": bytes(200_000)}
        ),
    ]
    return parse_lock("\n".join(lines))


def names(file: str) -> set[str]:
    with tarfile.open(file) as tar:
        return {member.name for member in tar.getmembers() if not member.isdir()}


def test_a_large_package_has_a_layer_of_its_own_that_other_locks_share(
    index: Path, lock: Lock, offline: Workshop
) -> None:
    layers = soon(environment_layers(lock, TARGET, offline, large=100_000))
    assert [layer.comment.split(",")[0] for layer in layers] == ["large 2.0", "1 packages"]
    other = make_wheel(index, "other", "1.0", {"other.py": b"\n"})
    again = soon(environment_layers(parse_lock(f"{lock.text}{other}"), TARGET, offline, large=100_000))
    assert again[0].digest == layers[0].digest
    assert again[1].digest != layers[1].digest
    at = f"opt/fairway/env/python{PYTHON}/site-packages"
    assert {f"{at}/large/__init__.py", f"{at}/large/data.bin", f"{at}/large-2.0.dist-info/RECORD"} <= names(
        layers[0].file
    )
    assert {f"{at}/small.py", f"{at}/bin/small"} <= names(layers[1].file)


def test_a_file_of_two_packages_is_once_in_the_layers(index: Path, offline: Workshop) -> None:
    lines = [
        make_wheel(index, name, "1.0", {"nest/__init__.py": b"", f"nest/{name}.bin": bytes(200_000)})
        for name in ("one", "two")
    ]
    layers = soon(environment_layers(parse_lock("\n".join(lines)), TARGET, offline, large=100_000))
    found = [name for layer in layers for name in names(layer.file)]
    assert len(found) == len(set(found))
    assert len(layers) == 3


def test_a_lock_gives_the_same_layers_in_another_place(lock: Lock, offline: Workshop, tmp_path: Path) -> None:
    elsewhere = msgspec.structs.replace(
        offline,
        cache=tmp_path / "else" / "where",
        environment={**offline.environment, "UV_CACHE_DIR": str(tmp_path / "uv2")},
    )
    one = soon(environment_layers(lock, TARGET, offline))
    two = soon(environment_layers(lock, TARGET, elsewhere))
    assert [layer.digest for layer in one] == [layer.digest for layer in two]


def test_programs_and_lists_of_files_name_no_path_of_this_machine(
    lock: Lock, offline: Workshop, tmp_path: Path
) -> None:
    (layer,) = soon(environment_layers(lock, TARGET, offline))
    with tarfile.open(layer.file) as tar:
        tar.extractall(tmp_path / "root", filter="tar")
    packages = tmp_path / f"root/opt/fairway/env/python{PYTHON}/site-packages"
    text = (packages / "bin/small").read_bytes()
    assert text.startswith(b"#!/usr/bin/env python3\n")
    record = (packages / "small-1.0.dist-info/RECORD").read_text()
    assert f"bin/small,sha256={encoded(text)},{len(text)}" in record
    for path in packages.rglob("*"):
        if path.is_file() and path.suffix != ".bin":
            assert str(tmp_path).encode() not in path.read_bytes()


def test_layers_are_made_once_on_a_machine(lock: Lock, offline: Workshop) -> None:
    notes: list[str] = []
    tools = msgspec.structs.replace(offline, note=notes.append)
    first = soon(environment_layers(lock, TARGET, tools))
    made = len(notes)
    assert soon(environment_layers(lock, TARGET, tools)) == first
    assert len(notes) == made > 0
    Path(first[0].file).unlink()
    assert soon(environment_layers(lock, TARGET, tools)) == first


def test_what_was_not_used_for_longest_goes_first(lock: Lock, offline: Workshop, tmp_path: Path) -> None:
    import os

    offline.layers.mkdir(parents=True)
    for number in range(4):
        file = offline.layers / f"{number}.tar.gz"
        file.write_bytes(bytes(100))
        os.utime(file, (1000 + number, 1000 + number))
    offline.make_room(250)
    assert sorted(file.name for file in offline.layers.iterdir()) == ["2.tar.gz", "3.tar.gz"]


async def image(registry: Served, path: str, lock: Lock, tools: Workshop, tag: str = "3.11") -> str:
    """Makes a base if need be, and the image of an environment on it."""
    pushed = await environment_image(
        f"{registry.host}/{path}/fairway:{tag}", lock, f"{registry.host}/{path}", "linux/amd64", tools
    )
    return pushed.image


def test_an_environment_is_pushed_once_for_everybody(
    registry: Served, lock: Lock, offline: Workshop, tmp_path: Path
) -> None:
    variables = (f"PYTHON_VERSION={PYTHON}.1",)
    for tag in ("3.11", "next"):
        place = registry.repository("everybody/fairway")
        soon(put_base(place, tmp_path / tag, tag=tag, variables=(*variables, f"VERSION={tag}")))
    first = soon(image(registry, "everybody", lock, offline))
    nowhere = {"PATH": str(tmp_path / "nothing"), "HOME": str(tmp_path)}
    # A colleague has no cache, and no uv that could fetch anything.
    colleague = msgspec.structs.replace(offline, cache=tmp_path / "colleague", environment=nowhere)
    with relay(registry.place) as between:
        served = msgspec.structs.replace(registry, place=between.place)
        again = soon(image(served, "everybody", lock, colleague))
        assert between.sent < 10_000
        # The next version of Fairway takes over the layers.
        other = soon(image(served, "everybody", lock, colleague, "next"))
        assert between.sent < 30_000
    assert again.partition("@")[2] == first.partition("@")[2] != other.partition("@")[2]


def test_another_lock_is_another_image(
    registry: Served, index: Path, lock: Lock, offline: Workshop, tmp_path: Path
) -> None:
    soon(put_base(registry.repository("locks/fairway"), tmp_path, variables=(f"PYTHON_VERSION={PYTHON}.1",)))
    other = parse_lock(make_wheel(index, "other", "1.0", {"other.py": b"\n"}))
    assert soon(image(registry, "locks", lock, offline)) != soon(image(registry, "locks", other, offline))


def test_layers_that_the_registry_lost_are_made_again(
    registry: Served, lock: Lock, offline: Workshop, tmp_path: Path
) -> None:
    place = registry.repository("lost/fairway")
    for tag in ("3.11", "next"):
        soon(
            put_base(
                place, tmp_path / tag, tag=tag, variables=(f"PYTHON_VERSION={PYTHON}.1", f"VERSION={tag}")
            )
        )
    soon(image(registry, "lost", lock, offline))
    (layer,) = soon(environment_layers(lock, TARGET, offline))
    digest = layer.digest.removeprefix("sha256:")
    for link in registry.content.rglob(f"lost/fairway-env/_layers/sha256/{digest}/link"):
        link.unlink()
    assert soon(image(registry, "lost", lock, offline, "next"))


@pytest.mark.parametrize(
    "tag", [f"cp{PYTHON.replace('.', '')}-abi3-macosx_11_0_arm64", "cp39-cp39-manylinux2014_x86_64"]
)
def test_a_package_without_a_wheel_for_the_nodes_is_named(index: Path, offline: Workshop, tag: str) -> None:
    line = make_wheel(index, "elsewhere", "1.5", {"elsewhere.py": b"\n"}, tag=tag)
    for work in (
        environment_layers(parse_lock(line), TARGET, offline),
        locked(["elsewhere==1.5"], TARGET, offline),
    ):
        with pytest.raises(
            FairwayError, match=r"requirement elsewhere(==1\.5)? has no wheel for Python"
        ) as raised:
            soon(work)
        assert "linux/amd64" in raised.value.message
        assert raised.value.hint


def test_a_package_that_is_nowhere_is_named(offline: Workshop) -> None:
    with pytest.raises(FairwayError, match="nothing-of-this-name"):
        soon(locked(["nothing-of-this-name==1"], TARGET, offline))


def test_a_package_that_changed_is_refused(index: Path, offline: Workshop) -> None:
    make_wheel(index, "changed", "1.0", {"changed.py": b"evil = 1\n"})
    line = f"changed==1.0 --hash=sha256:{'0' * 64}"
    with pytest.raises(FairwayError, match=r"changed==1\.0 is not what the lock says"):
        soon(environment_layers(parse_lock(line), TARGET, offline))


def test_requirements_are_locked_with_what_they_need(index: Path, offline: Workshop) -> None:
    make_wheel(index, "needed", "3.0", {"needed.py": b"\n"})
    make_wheel(index, "asked", "1.0", {"asked.py": b"\n"}, needs="Requires-Dist: needed>=2\n")
    first = soon(locked(["asked==1.0"], TARGET, offline))
    assert pins(first) == {"asked": "1.0", "needed": "3.0"}
    make_wheel(index, "needed", "4.0", {"needed.py": b"\n"})
    assert soon(locked(["asked==1.0"], TARGET, offline)) == first


def test_an_environment_with_hashes_is_taken_as_it_is(lock: Lock, offline: Workshop) -> None:
    spec = EnvironmentSpec(requirements=lock.lines, hashed=True)
    assert soon(environment_lock(spec, TARGET, offline)) == lock


def test_a_lock_is_read_as_uv_writes_it() -> None:
    text = "# made by uv\nb==1 \\\n    --hash=sha256:2 \\\n    --hash=sha256:1\n    # via a\na==1 --hash=sha256:3\n--index-url https://x\n"
    assert parse_lock(text) == Lock(
        ("a==1 --hash=sha256:3", "b==1 --hash=sha256:2 --hash=sha256:1"), ("--index-url https://x",)
    )


def test_fairway_in_a_lock_is_left_to_the_image() -> None:
    assert parse_lock("Fairway_ML==0.0.1 --hash=sha256:1\na==1 --hash=sha256:2").lines == (
        "a==1 --hash=sha256:2",
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [("a==1", "has no hash"), ("msgspec==0.1.5 --hash=sha256:1", "is older than Fairway can use")],
)
def test_a_lock_that_cannot_be_used_is_refused(line: str, words: str) -> None:
    with pytest.raises(FairwayError, match=words) as raised:
        parse_lock(line)
    assert raised.value.hint


def test_what_modules_need_is_pinned_as_it_is_installed_here() -> None:
    found = installed_requirements(["sklearn.linear_model", "os", "fairway", "no_such_module_of_mine"])
    assert f"scikit-learn=={metadata.version('scikit-learn')}" in found
    assert f"scipy=={metadata.version('scipy')}" in found
    assert not [line for line in found if line.startswith(("fairway", "pandas"))]
    assert found == sorted(found)


def install(folder: Path, name: str, version: str, needs: list[str], module: str, url: str = "") -> None:
    """Installs a package into a folder, as far as others can see."""
    listed = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    listed.mkdir()
    lines = "".join(f"Requires-Dist: {line}\n" for line in needs)
    (listed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}")
    (listed / "RECORD").write_text(f"{module}.py,,\n")
    (listed / "top_level.txt").write_text(module.partition("/")[0])
    if url:
        (listed / "direct_url.json").write_text(json.dumps({"url": url}))


def test_markers_and_extras_of_installed_packages_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path,
        "top",
        "1.0",
        [
            "plain_one (>=1)",
            "only-mac>=1; sys_platform == 'darwin'",
            "with-extra[fast]>=1; python_version >= '3.8' or sys_platform == 'linux'",
            "unasked; extra == 'docs'",
            "absent; sys_platform == 'win32'",
        ],
        "top",
    )
    install(tmp_path, "plain.one", "2.0", ["top"], "plain_one")
    install(tmp_path, "only_mac", "3.0", ["deep"], "only_mac")
    # These two need each other under conditions.
    install(tmp_path, "deep", "3.1", ["only-mac; os_name == 'posix'"], "deep")
    install(
        tmp_path,
        "with_extra",
        "4.0",
        ["quick; extra == 'fast'", "q2; (extra == \"fast\") and os_name == 'posix'"],
        "w",
    )
    for name in ("quick", "q2", "unasked"):
        install(tmp_path, name, "5.0", [], name)
    monkeypatch.syspath_prepend(str(tmp_path))
    either = "python_version >= '3.8' or sys_platform == 'linux'"
    assert installed_requirements(["top.inner"]) == [
        "deep==3.1 ; sys_platform == 'darwin'",
        "only-mac==3.0 ; sys_platform == 'darwin'",
        "plain-one==2.0",
        f"q2==5.0 ; os_name == 'posix' and ({either})",
        f"quick==5.0 ; {either}",
        "top==1.0",
        f"with-extra==4.0 ; {either}",
    ]


def test_of_a_shared_namespace_only_the_package_with_the_module_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "space-one", "1.0", [], "space/one")
    install(tmp_path, "space-two", "1.0", [], "space/two")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_requirements(["space.two"]) == ["space-two==1.0"]


def test_a_package_from_a_folder_of_this_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "mine", "1.0", [], "mine", url="file:///home/ada/mine")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        FairwayError, match="imports mine, which is installed from file:///home/ada/mine"
    ) as raised:
        installed_requirements(["mine"])
    assert raised.value.hint


@pytest.mark.parametrize(
    ("platform", "architecture"), [("linux/amd64", "amd64"), ("arm64", "arm64"), ("linux/aarch64", "arm64")]
)
def test_a_target_has_one_spelling(platform: str, architecture: str) -> None:
    assert make_target("3.12.4", platform) == Target("3.12", architecture)


@pytest.mark.parametrize("place", ["project", "project/src/mine", "."])
def test_a_package_of_the_project_itself_brings_only_what_it_needs(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "with space"
    (folder / "project/src/mine").mkdir(parents=True)
    install(tmp_path, "mine", "1.0", ["needed"], "mine", url=(folder / place).as_uri())
    install(tmp_path, "needed", "2.0", [], "needed")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_requirements(["mine"], folder / "project") == ["needed==2.0"]
    with pytest.raises(FairwayError, match="imports mine"):
        installed_requirements(["mine"], tmp_path / "elsewhere")


@pytest.mark.parametrize("several", [False, True], ids=["of one platform", "of several platforms"])
def test_an_environment_is_for_the_platform_of_its_base(
    registry: Served, lock: Lock, offline: Workshop, tmp_path: Path, several: bool
) -> None:
    name = "several" if several else "arm"
    place = registry.repository(f"{name}/fairway")
    variables, digests = (f"PYTHON_VERSION={PYTHON}.1",), dict[str, str]()
    for architecture in ("arm64", "amd64") if several else ("arm64",):
        base = tmp_path / architecture
        more = {"architecture": architecture}
        digests[architecture] = soon(put_base(place, base, tag=architecture, more=more, variables=variables))
    soon(put_index(place, digests))
    for tag in ("all",) if several else ("all", "arm64"):
        wanted = environment_image(f"{place}:{tag}", lock, f"{registry.host}/{name}", "", offline)
        assert soon(wanted).tag.endswith("-amd64" if several else "-arm64")
    wanted = environment_image(f"{place}:all", lock, f"{registry.host}/{name}", "linux/arm64", offline)
    assert soon(wanted).tag.endswith("-arm64")
