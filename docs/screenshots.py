"""The program that takes the pictures in docs/pictures: `make screenshots` runs the template and opens the pages in Chromium."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 800


class Project:
    """A folder with the template for supervised learning."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A home of its own, because the pictures are of a fresh installation and not of whoever takes them.
        self.environment = {**os.environ, "HOME": str(folder.parent / "home"), "CI": "1"}

    def fairway(self, *words: str) -> str:
        """Run a command and return what it printed."""
        command = [sys.executable, "-m", "fairway", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def fill(self) -> dict[str, str]:
        """Make runs, two versions and an endpoint. Return the addresses of the pages by the names of their pictures."""
        self.fairway("init")
        self.fairway("run", "cancer.py", "--quiet")
        self.fairway("deploy", "cancer:1")
        self.fairway("run", "cancer.py", "--test-share", "0.3", "--quiet")
        newest, before = (run["name"] for run in json.loads(self.fairway("runs", "--json"))[:2])
        return {
            "home": "/", "runs": "/runs", "run": f"/runs/{newest}", "compare": f"/compare?run={newest}&run={before}",
            "version": "/models/cancer/2", "deploy": "/models/cancer/2/deploy", "endpoint": "/endpoints/cancer",
            "try": "/endpoints/cancer/try",
        }  # fmt: skip


def take(page: Page, address: str, name: str) -> None:
    """Open a page and keep its picture."""
    page.goto(address)
    page.screenshot(path=PICTURES / f"{name}.png")


def main() -> int:
    """Take all pictures."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), "")
    if not program:
        print("there is no Chromium on this machine: `apt-get install chromium`", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="fairway-pictures-") as temporary,
        sync_playwright() as playwright,
    ):
        project = Project(Path(temporary) / "cancer")
        project.folder.mkdir()
        try:
            pages = project.fill()
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(project.fairway("ui", "--no-browser").strip())
            origin = page.url.partition("//")[0] + "//" + page.url.split("/")[2]
            for name, path in pages.items():
                take(page, origin + path, name)
            page.emulate_media(color_scheme="dark")
            take(page, origin + pages["run"], "run-dark")
            browser.close()
        finally:
            project.fairway("down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
