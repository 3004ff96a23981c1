"""What is installed is what is in the tree, its parts are listed and pinned, and importing it touches no network."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import fairway

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "fairway"
sys.path.insert(0, str(ROOT / "requirements"))

import sbom  # noqa: E402

IMPORTS = """
import importlib, pkgutil, socket, sys

tried = []

def refuse(*arguments, **named):
    tried.append(arguments)
    raise OSError("no network here")

class Closed(socket.socket):
    def connect(self, *arguments): refuse(*arguments)
    connect_ex = bind = sendto = connect

socket.socket = Closed
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
sys.addaudithook(lambda event, arguments: tried.append((event, str(arguments))) if event in (
    "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen",
    "os.system", "os.posix_spawn", "os.exec", "os.fork") else None)
PLANT
import fairway
count = 0
for module in pkgutil.walk_packages(fairway.__path__, "fairway."):
    if module.name.endswith("__main__") or ".templates." in module.name or module.name == "fairway.cli.program":
        continue
    importlib.import_module(module.name)
    count += 1
for name in fairway.__all__:
    getattr(fairway, name)
print(count, len(tried))
print(tried, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as it would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    code = "import hatchling.build as build, sys; print(build.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def differences(wheel: zipfile.ZipFile) -> list[str]:
    """Names that are in the wheel or the tree alone, and those with other bytes."""
    tree = {
        f"fairway/{path.relative_to(SOURCE).as_posix()}": path.read_bytes()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # The lock of the image's packages lies beside the other locks in the tree, and beside its reader in the wheel.
    tree["fairway/cluster/images/image.txt"] = (ROOT / "requirements/image.txt").read_bytes()
    packed = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    return sorted(name for name in tree.keys() | packed.keys() if tree.get(name) != packed.get(name))


def test_the_wheel_is_the_source_tree(wheel: zipfile.ZipFile, measured) -> None:
    changed = differences(wheel)
    assert changed == []
    names = wheel.namelist()
    assert not [name for name in names if name.endswith((".pth", ".so", ".pyc", ".sh", ".exe"))]
    about = [name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name]
    assert set(about) <= {
        "METADATA",
        "WHEEL",
        "RECORD",
        "entry_points.txt",
        "licenses/LICENSE",
        "licenses/NOTICE",
    }
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    said = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert said.split() == ["[console_scripts]", *f"fairway = {scripts['fairway']}".split()]
    components = sum(len(sbom.document(path)["components"]) for path in (ROOT / "requirements").glob("*.txt"))
    measured("T33", "Wheel against source tree, SBOM against locks", goal="exact", files=len(names),
             differences=len(changed), components=components)  # fmt: skip


def test_a_wheel_with_something_added_or_changed_is_caught(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    for name, data in (
        ("evil.pth", b"import os"),
        ("fairway/extra.py", b""),
        ("fairway/__init__.py", b"changed"),
    ):
        with zipfile.ZipFile(tmp_path / "changed.whl", "w") as changed:
            for entry in wheel.namelist():
                if entry != name:
                    changed.writestr(entry, wheel.read(entry))
            changed.writestr(name, data)
        assert differences(zipfile.ZipFile(tmp_path / "changed.whl")) == [name]


def test_importing_every_module_touches_no_network_and_starts_nothing(measured) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.replace("PLANT", "")], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    modules, calls = map(int, done.stdout.split())
    assert calls == 0, done.stderr
    assert modules > 100
    measured("T33-imports", "Every module imported", goal="0 calls to the network, 0 processes started",
             modules=modules, calls=calls)  # fmt: skip


@pytest.mark.parametrize("line", [
    "socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo('localhost', 80)",
    "import subprocess; subprocess.run(['true'])", "socket.socket().connect(('127.0.0.1', 9))",
])  # fmt: skip
def test_an_import_that_reaches_out_is_caught(line: str) -> None:
    planted = f"try:\n    {line}\nexcept OSError:\n    pass"
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.replace("PLANT", planted)], capture_output=True, text=True
    )
    assert int(done.stdout.split()[1]) > 0


@pytest.mark.parametrize("lock", ["core", "demo", "dev", "torch"])
def test_the_bill_of_materials_lists_every_pinned_package_with_its_hashes(lock: str) -> None:
    path = ROOT / "requirements" / f"{lock}.txt"
    made = sbom.document(path)
    pinned = dict(
        re.findall(r"^([a-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    )
    assert {part["name"]: part["version"] for part in made["components"]}.keys() == pinned.keys()
    assert made["bomFormat"] == "CycloneDX"
    assert made["specVersion"] == "1.6"
    for part in made["components"]:
        assert part["purl"].startswith(f"pkg:pypi/{part['name']}@")
        assert part["hashes"]
        assert all(len(one["content"]) == 64 for one in part["hashes"])
    assert sbom.document(path) == made, "it is the same every time"


def test_the_bill_of_materials_is_a_command(tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    command = [sys.executable, "requirements/sbom.py", "requirements/core.txt", str(target)]
    subprocess.run(command, check=True, cwd=ROOT)
    assert json.loads(target.read_text()) == sbom.document(ROOT / "requirements" / "core.txt")


def test_an_install_without_network_takes_what_has_the_hash_of_the_lock_and_nothing_else(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    made = Path(str(wheel.filename))
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    wrong = ("0" if digest[0] != "0" else "1") + digest[1:]
    for given, works in ((f" --hash=sha256:{digest}", True), (f" --hash=sha256:{wrong}", False), ("", False)):
        lock = tmp_path / "lock.txt"
        lock.write_text(f"fairway-ml=={fairway.__version__}{given}\n")
        target = tmp_path / ("good" if works else "bad")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index",
                   "--no-deps", "--find-links", str(made.parent), "--require-hashes", "--target", str(target), "-r",
                   str(lock)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert (done.returncode == 0) is works, done.stderr
        assert works or "hash" in done.stderr.lower()
        assert (target / "fairway" / "__init__.py").exists() is works
