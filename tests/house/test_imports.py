"""What is loaded for a step that uses little, and for `--help`, by the list of modules and not by seconds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "asyncio",
    "httpx2",
    "numpy",
    "pandas",
    "prometheus_client",
    "sqlite3",
    "starlette",
    "uvicorn",
    "click",
}
FOR_SOME = {"html", "json", "pickle", "shutil", "sysconfig", "tempfile", "zipfile", "zoneinfo"}
"""Of Python's own library, what only some values, secrets or reports need: a host starts without them."""


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import fairway", set()),
        ("import fairway as fw; fw.task; fw.pipeline; fw.register", set()),
        ("from fairway.cli.main import main; main(['--help'])", {"click"}),
    ],
)
def test_little_is_loaded(code: str, allowed: set[str]) -> None:
    script = f"import sys\n{code}\nprint('LOADED', *sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True
    )
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "fairway" in loaded
    assert loaded & (HEAVY - allowed) == set()


FOREIGN = {
    "import fairway": set[str](),
    "from fairway.cli.main import main; main(['--help'])": {"click"},
    "from fairway.runner import host": {"msgspec", "typing_extensions"},
}
"""All that is loaded beyond Python's own library and Fairway."""


def foreign(loaded: set[str]) -> set[str]:
    """The packages among modules that neither Python brings nor this project is."""
    given = {"fairway", "sitecustomize", "usercustomize", "probe"}
    tops = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - given
    return {name for name in tops if not name.startswith(("__", "_distutils", "_sysconfig", "_virtualenv"))}


@pytest.mark.parametrize("code", FOREIGN)
def test_exactly_these_packages_are_loaded(code: str) -> None:
    script = f"import sys\n{code}\nprint('LOADED', *sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True
    )
    assert foreign(set(done.stdout.rpartition("LOADED")[2].split())) == FOREIGN[code]


def test_a_host_starts_without_what_only_some_need() -> None:
    script = "import sys\nbefore = set(sys.modules)\nfrom fairway.runner import host\nprint(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True
    )
    assert set(done.stdout.split()) & FOR_SOME == set()


def test_a_command_starts_the_host_before_it_loads_more() -> None:
    script = (
        "import sys\nbefore = set(sys.modules)\nimport fairway.cli.program\nprint(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=True
    )
    loaded = set(done.stdout.split())
    assert {"fairway.wiring.headstart", "fairway.local.launching", "socket"} <= loaded
    assert (
        loaded & {*HEAVY, *FOR_SOME, "contextlib", "inspect", "msgspec", "pathlib", "threading", "typing"}
        == set()
    )
    assert len(loaded) <= 36


PROBE = """
import sys
import fairway as fw

@fw.task
def loaded(number: int) -> list[str]:
    return sorted(sys.modules)

@fw.pipeline
def main(out: str):
    with open(out, "w") as file:
        file.write(" ".join(fw.value(loaded(1))))
"""


def test_a_step_that_uses_little_finds_little_loaded(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE, "utf-8")
    subprocess.run(
        [sys.executable, "-m", "fairway", "run", "probe.py", "--out", "out"],
        cwd=tmp_path, env={**os.environ, "FAIRWAY_HOME": str(tmp_path / "store")}, capture_output=True,
        timeout=240, check=True,
    )  # fmt: skip
    loaded = set((tmp_path / "out").read_text("utf-8").split())
    assert "fairway.runner.host" in loaded
    assert loaded & HEAVY == set()
    assert foreign(loaded) == {"msgspec", "typing_extensions"}
    assert len([name for name in loaded if name.startswith("fairway.")]) <= 97
    assert not any(name.startswith(("fairway.cli", "fairway.engine", "fairway.server")) for name in loaded)
