"""What was seen, kept as `results/<name>.json` with date, versions, machine, commit and Python."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fairway

RESULTS = Path(__file__).parent / "results"


def write(name: str, figures: dict[str, Any], versions: dict[str, str], missing: dict[str, str]) -> Path:
    """Keep the figures of a subject."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    told = {"about": about(versions), "missing": missing, "figures": _rounded(figures)}
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def read(name: str) -> dict[str, Any] | None:
    """What was kept; None when nothing was."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def about(versions: dict[str, str]) -> dict[str, Any]:
    """When and on what."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "fairway": fairway.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{_processor()}",
        "load": round(os.getloadavg()[1], 1),
        "versions": versions,
    }


def _processor() -> str:
    """ " of Intel Xeon", where the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next(
        (f" of {line.partition(':')[2].strip()}" for line in lines if line.startswith("model name")), ""
    )


def _commit() -> str:
    """The commit, and whether the package differs from it."""
    root = RESULTS.parent.parent
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    changed = subprocess.run(
        ["git", "diff", "--quiet", "HEAD", "--", "src"], check=False, cwd=root
    ).returncode
    return (done.stdout.strip() or "unknown") + (", changed" if changed == 1 else "")


def _rounded(value: Any) -> Any:
    """Six significant digits: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
