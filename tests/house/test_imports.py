"""What is loaded for a step that uses little, and for `--help`, by the list of modules and not by seconds."""

import subprocess
import sys

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
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "fairway" in loaded
    assert loaded & (HEAVY - allowed) == set()
