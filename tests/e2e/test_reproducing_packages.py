"""A run that is made again with the packages that it had, in an environment that is built for it from a folder of wheels."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest
from projects import Project

import fairway

NEEDED = [
    "anyio", "click", "cloudpickle", "h11", "httpcore2", "httptools", "httpx2", "idna", "jinja2", "markupsafe", "msgspec",
    "prometheus-client", "python-multipart", "pyyaml", "starlette", "truststore", "typing-extensions", "uvicorn", "uvloop",
]  # fmt: skip

STORY = """
import toolbox

@fw.task
def priced(x: int) -> float:
    return x * toolbox.VALUE

@fw.pipeline
def main(x: int = 3) -> float:
    return priced(x)
"""


def encoded(content: bytes) -> str:
    """The hash of a file as a list of a wheel has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def make_wheel(folder: Path, name: str, version: str, *, text: str = "", needs: str = "") -> Path:
    """Make a package of one module."""
    info = f"{name}-{version}.dist-info"
    metadata_text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {needs}\n" if needs else ""
    )
    files = {
        # Versions differ in size, because Python takes bytecode for a source of the same size and second.
        f"{name}.py": (text or f"VALUE = {version}\n{'#' * int(version[0])}\n").encode(),
        f"{info}/METADATA": metadata_text.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={encoded(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for path, content in files.items():
            packed.writestr(path, content)
    return wheel


def pack(folder: Path, name: str) -> None:
    """Make a wheel of a package that is installed here, so that nothing is fetched."""
    found = metadata.distribution(name)
    lines = (found.read_text("WHEEL") or "").splitlines()
    tag = next(line.partition(": ")[2] for line in lines if line.startswith("Tag: "))
    files = [file for file in found.files or () if ".." not in file.parts and "__pycache__" not in file.parts]
    info = next(file.parts[0] for file in files if file.name == "METADATA")
    own = [file for file in files if file.name not in ("INSTALLER", "REQUESTED", "direct_url.json")]
    with zipfile.ZipFile(folder / f"{info.removesuffix('.dist-info')}-{tag}.whl", "w") as packed:
        for file in own:
            packed.write(str(file.locate()), str(file))


class Shop(Project):
    """A project in a small environment of its own, and the folder of wheels that is its only index."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        super().__init__(folder)
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        for wheel in wheels.iterdir():
            os.link(wheel, self.wheels / wheel.name)
        self.python = str(folder / "own" / "bin" / "python")
        settings = folder / "uv.toml"
        settings.write_text(f'no-index = true\nfind-links = ["{self.wheels}"]\n')
        self.environment |= {
            "UV_CONFIG_FILE": str(settings),
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
        }
        self.environment["XDG_CACHE_HOME"] = str(folder / "cache")
        self.uv("venv", "--python", sys.executable, str(folder / "own"))
        self.install(*NEEDED)
        package = Path(fairway.__file__).parents[1]
        (folder / "own" / "lib").joinpath(
            f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages", "fairway.pth"
        ).write_text(f"{package}\n")
        self.write(STORY)

    def uv(self, *words: str) -> None:
        """Call uv."""
        command = [str(Path(sys.executable).parent / "uv"), *words, "--quiet"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        assert not done.returncode, done.stderr

    def install(self, *packages: str) -> None:
        """Install packages to the letter, as a person does who knows better than their requirements."""
        self.uv("pip", "install", "--python", self.python, "--no-deps", *packages)

    def command(self, *words: str) -> list[str]:
        return [self.python, "-m", "fairway", *words]

    def reproduced(self, *words: str, expect: int = 0) -> dict[str, object]:
        """The comparison of the newest run with its repetition."""
        return json.loads(self.fairway("reproduce", self.newest(), "--json", *words, expect=expect).stdout)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name in NEEDED:
        pack(folder, name)
    return folder


@pytest.fixture
def shop(tmp_path: Path, wheels: Path) -> Shop:
    """A project whose environment has the first of two versions of a package."""
    made = Shop(tmp_path, wheels)
    for version in ("1.0", "2.0"):
        make_wheel(made.wheels, "toolbox", version)
    made.install("toolbox==1.0")
    path = Path(sys.executable).parent
    made.environment["PATH"] = f"{path}{os.pathsep}{made.environment['PATH']}"
    return made


def without_uv(shop: Shop) -> None:
    """Leave pip as the only installer."""
    folders = shop.environment["PATH"].split(os.pathsep)
    shop.environment["PATH"] = os.pathsep.join(one for one in folders if not (Path(one) / "uv").exists())


def refused(shop: Shop) -> str:
    """The words with which the newest run is not made again."""
    run = shop.newest()
    said = shop.fairway("reproduce", run, expect=1).stderr
    assert f"error: run {run} used packages that cannot be had again for this machine: " in said
    assert f"hint: `fairway reproduce {run} --as-is` uses those that are installed now" in said
    return said


def packages_of(shop: Shop) -> Sequence[str]:
    """The differences between the present environment and that of the newest run."""
    return shop.reproduced("--as-is", expect=1)["differences"]  # type: ignore[return-value]


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_run_has_its_packages_again_after_an_update(shop: Shop, installer: str) -> None:
    if installer == "pip":
        without_uv(shop)
    shop.fairway("run", "project.py")
    shop.install("toolbox==2.0")
    assert packages_of(shop) == ["toolbox 1.0 → 2.0"]
    found = shop.reproduced()
    assert found["same"] == "equal"
    assert found["differences"] == []


def test_a_package_that_is_gone_comes_back_and_a_new_one_stays_out(shop: Shop) -> None:
    make_wheel(shop.wheels, "newcomer", "0.5")
    shop.fairway("run", "project.py")
    shop.uv("pip", "uninstall", "--python", shop.python, "toolbox")
    shop.install("newcomer")
    found = shop.reproduced()
    assert (found["same"], found["differences"]) == ("equal", [])


def test_packages_that_contradict_each_other_are_installed_as_they_were(shop: Shop) -> None:
    make_wheel(shop.wheels, "picky", "1.0", needs="toolbox>=2")
    shop.install("picky")
    shop.fairway("run", "project.py")
    shop.install("toolbox==2.0")
    assert shop.reproduced()["differences"] == []


def test_every_version_that_no_index_has_is_named(shop: Shop) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(shop.wheels, "gadget_box", version)
    shop.install("gadget_box==1.0")
    shop.fairway("run", "project.py")
    shop.install("toolbox==2.0", "gadget_box==2.0")
    for name in ("toolbox", "gadget_box"):
        (shop.wheels / f"{name}-1.0-py3-none-any.whl").unlink()
    assert "again for this machine: gadget-box 1.0, toolbox 1.0\n" in refused(shop)


def test_pip_names_the_version_that_no_index_has_too(shop: Shop) -> None:
    without_uv(shop)
    shop.fairway("run", "project.py")
    shop.install("toolbox==2.0")
    (shop.wheels / "toolbox-1.0-py3-none-any.whl").unlink()
    assert "again for this machine: toolbox 1.0\n" in refused(shop)


def test_a_package_from_a_folder_is_installed_from_there_and_asked_from_no_index(shop: Shop) -> None:
    near = shop.folder / "near"
    near.mkdir()
    near_wheel = make_wheel(near, "helper", "0.1", text="VALUE = 7.0\n")
    make_wheel(shop.wheels, "helper", "0.1", text="VALUE = 'of a stranger'\n")
    shop.install(str(near_wheel))
    shop.write(STORY.replace("toolbox", "helper"))
    shop.fairway("run", "project.py")
    shop.install("toolbox==2.0")
    assert shop.reproduced()["same"] == "equal"
    later = make_wheel(near, "helper", "0.2", text="VALUE = 8.0\n")
    shop.install(str(later))
    said = f"again for this machine: helper 0.1 (installed from {later}, which is 0.2 now)\n"
    assert said in refused(shop)


def test_modules_on_the_path_of_python_are_there_in_the_environment_too(shop: Shop) -> None:
    beside = shop.folder.with_name(f"{shop.folder.name}-beside")
    beside.mkdir()
    (beside / "toys.py").write_text("VALUE = 3.0\n")
    shop.environment["PYTHONPATH"] = str(beside)
    shop.write(
        STORY.replace("import toolbox", "import toolbox, toys").replace("* tool", "* toys.VALUE * tool")
    )
    shop.fairway("run", "project.py")
    shop.install("toolbox==2.0")
    assert shop.reproduced()["same"] == "equal"


def test_an_index_that_cannot_be_reached_is_told_with_the_words_of_the_installer(shop: Shop) -> None:
    shop.fairway("run", "project.py")
    shop.install("toolbox==2.0")
    (shop.folder / "uv.toml").write_text('[[index]]\nurl = "http://127.0.0.1:9/simple"\ndefault = true\n')
    shop.environment["UV_HTTP_RETRIES"] = "0"
    run = shop.newest()
    said = shop.fairway("reproduce", run, expect=1).stderr
    assert f"error: the packages of run {run} cannot be installed again" in said
    assert "http://127.0.0.1:9" in said


def test_the_version_that_python_imports_is_the_one_on_record(shop: Shop) -> None:
    first = shop.folder.with_name(f"{shop.folder.name}-first")
    shop.uv("pip", "install", "--python", shop.python, "--target", str(first), "--no-deps", "toolbox==1.0")
    shop.install("toolbox==2.0")
    shop.environment["PYTHONPATH"] = str(first)
    shop.fairway("run", "project.py")
    assert shop.reproduced()["same"] == "equal"
    del shop.environment["PYTHONPATH"]
    assert packages_of(shop) == ["toolbox 1.0 → 2.0"]
    assert shop.reproduced()["same"] == "equal"
