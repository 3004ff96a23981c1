"""A user with the command line and a kubeconfig."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Person:
    """A user with the command line and one namespace."""

    kubeconfig: Path
    namespace: str
    home: Path
    folder: str = "."

    def run(self, *words: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run the command line in a fresh process."""
        direct = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
        return subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=self.home / self.folder,
            env=direct | {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def does(self, *words: str) -> str:
        """Run a command that has to succeed, and return what it told."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def fails(self, *words: str) -> str:
        """Run a command that has to fail with a sentence, and return what it told."""
        done = self.run(*words)
        assert done.returncode not in (0, -9), done.stderr
        assert "error: " in done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr
