"""What an installation of the core brings: packages and megabytes, beside peers."""

import subprocess
import sys
from pathlib import Path

from benchmarks import counting
from benchmarks.environments import ROOT, uv
from benchmarks.measuring import Sample, command
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

COUNTED = ("pip", "setuptools")
_CAUSE = (
    "uvloop, which answers requests, has 14 MB, and PyYAML, which reads kubeconfigs, 3 MB (decision 0020)."
)


def measure(bench: Bench) -> Figures:
    """An empty environment with the core in it, and the environments of the peers."""
    own = counting.fresh(bench.folder)
    python = core(own)
    found = {"Fairway": size(python)}
    for name in ("Metaflow", "Luigi", "Ray", "MLflow"):
        peer = bench.peer(name)
        if peer:
            found[name] = size(peer)
    return {"found": found}


def core(folder: Path) -> Path:
    """The interpreter of a new environment with Fairway's core, from the lock and a wheel of this source."""
    python = folder / "core" / "bin" / "python"
    command([uv(), "venv", "--quiet", "--python", sys.executable, folder / "core"], folder)
    locked = ["--require-hashes", "-r", ROOT / "requirements" / "core.txt"]
    command([uv(), "pip", "install", "--quiet", "--python", python, *locked], folder)
    command([uv(), "pip", "install", "--quiet", "--python", python, "--no-deps", wheel(folder)], folder)
    return python


def wheel(folder: Path) -> Path:
    """A wheel of this source tree."""
    build = [uv(), "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    command([*build, "--out-dir", folder / "wheel", ROOT], folder)
    return next((folder / "wheel").glob("*.whl"))


def size(python: Path) -> Sample:
    """Packages of an environment, and MB of their files without compiled ones."""
    code = (
        "from importlib.metadata import distributions as d; import os\n"
        f"found = [one for one in d() if one.name not in {COUNTED}]\n"
        "paths = {str(one.locate_file(file)) for one in found for file in one.files or ()}\n"
        "sizes = [os.path.getsize(path) for path in paths if os.path.isfile(path) and not path.endswith('.pyc')]\n"
        "print(len(found), sum(sizes))"
    )
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    packages, size = said.stdout.split()
    return {"packages": int(packages), "mb": int(size) / 1e6}


def tell(figures: Figures) -> Told:
    """One row, and every environment."""
    found = figures["found"]
    own = found["Fairway"]
    rows = tuple((name, f"{one['packages']}", f"{one['mb']:.0f} MB") for name, one in found.items())
    others = ", ".join(f"{name} {one} / {mb}" for name, one, mb in rows[1:])
    least = min((one["mb"] for name, one in found.items() if name != "Fairway"), default=0)
    return Told(
        (Seen(f"{own['packages']} packages, {own['mb']:.1f} MB", others,
              f"{own['mb'] / least:.2f}× the smallest of them in MB" if least else "",
              own["packages"] <= 24 and own["mb"] <= 25, _CAUSE),),
        (Table(("Core of", "Packages", "Installed, without compiled files"), rows),),
    )  # fmt: skip


SUBJECT = Subject(
    name="installing",
    title="Installing",
    says="A new virtual environment with nothing but the package and what it depends on, itself counted.",
    goals=(Goal("an installation of the core", "≤ 24 packages, ≤ 25 MB"),),
    measure=measure,
    tell=tell,
)
