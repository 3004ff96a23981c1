"""axe-core, which finds what shuts people out of a page. It is fetched once, for these tests alone."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

VERSION = "4.14.1"
INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
MEMBER = "package/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def program() -> str:
    """Return the text of axe-core, from the cache or from the registry of npm. Leave the test out where neither has it."""
    kept = Path.home() / ".cache" / "fairway-tests" / f"axe-core-{VERSION}.js"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{id(kept)}")
        unfinished.write_bytes(_fetched())
        unfinished.replace(kept)
    return kept.read_text("utf-8")


def _fetched() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core cannot be fetched: `apt-get install npm`")
    with tempfile.TemporaryDirectory() as folder:
        words = [npm, "pack", f"axe-core@{VERSION}", "--silent"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
        packed = Path(folder) / f"axe-core-{VERSION}.tgz"
        if done.returncode or not packed.exists():
            pytest.skip(f"axe-core cannot be fetched: {done.stderr.strip()[-200:]}")
        found = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        assert found == INTEGRITY, "axe-core is not what it was"
        with tarfile.open(packed) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None
            return member.read()


def found(page: Page) -> list[str]:
    """Return what axe-core finds on a page, a line for each place."""
    page.evaluate(program())
    told: Any = page.evaluate(
        "(tags) => axe.run(document, { runOnly: { type: 'tag', values: tags } })", RULES
    )
    return [
        f"{violation['id']}: {node['html'][:160]} ({node.get('failureSummary', '')})"
        for violation in told["violations"]
        for node in violation["nodes"]
    ]
