"""`helm` with one kubeconfig, and the chart of this checkout."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from .building import tool

CHART = Path(__file__).parents[2] / "charts" / "fairway"


@dataclass(frozen=True, kw_only=True)
class Helm:
    """`helm` with a home of its own and, if they are given, a kubeconfig and a namespace."""

    home: Path
    kubeconfig: str = ""
    namespace: str = ""

    def run(self, *words: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run a command and return its status and output."""
        direct = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        where = ["--namespace", self.namespace] if self.namespace else []
        return subprocess.run(
            [str(tool("helm")), *words, *where],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            env=direct | {"HOME": str(self.home), "KUBECONFIG": self.kubeconfig or "/dev/null"},
        )

    def __call__(self, *words: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fails(self, *words: str) -> str:
        """Run a command that has to fail, and return what it told."""
        done = self.run(*words)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def rendered(self, *words: str, chart: Path = CHART) -> list[dict]:
        """Return the objects of the chart for settings on the command line."""
        text = self("template", "fairway", str(chart), *words)
        return [one for one in yaml.safe_load_all(text) if one]
