"""A real browser that opens a page and tells what that cost: until the content is seen, on the line, and in processes."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measuring import Sample

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 90
_TICKS = os.sysconf("SC_CLK_TCK")
_SHIFT = """
window.__shift = 0;
new PerformanceObserver((list) => { for (const one of list.getEntries()) window.__shift += one.value; })
  .observe({ type: "layout-shift", buffered: true });
"""


def program() -> str:
    """Return the browser of this machine. Raises RuntimeError without one."""
    found = next((path for name in _PROGRAMS if (path := shutil.which(name))), "")
    if not found:
        raise RuntimeError("there is no Chromium on this machine: `apt-get install chromium`")
    return found


class Window:
    """A browser with nothing in its cache, unless it has opened a page before.

    Args:
        browser: Playwright's browser.
        headers: are sent with every request.
    """

    def __init__(self, browser: Any, headers: dict[str, str]) -> None:
        self._context = browser.new_context(
            viewport={"width": 1280, "height": 850}, extra_http_headers=headers
        )
        self._context.add_init_script(_SHIFT)

    def open(self, url: str, seen: str, server: list[int]) -> Sample:
        """Open an address, wait until an element is seen, and return what it cost. `server` are processes to watch."""
        page = self._context.new_page()
        wire = self._context.new_cdp_session(page)
        sizes: list[float] = []
        wire.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
        wire.send("Network.enable")
        wire.send("Performance.enable")
        before, begun = cpu(server), time.perf_counter()
        page.goto(url, wait_until="commit", timeout=1000 * _SECONDS)
        page.locator(seen).first.wait_for(state="visible", timeout=1000 * _SECONDS)
        wall = time.perf_counter() - begun
        page.wait_for_timeout(400)
        spent = cpu(server) - before
        metrics = {one["name"]: one["value"] for one in wire.send("Performance.getMetrics")["metrics"]}
        script = page.evaluate(
            "() => performance.getEntriesByType('resource').filter((one) => one.initiatorType === 'script')"
            ".reduce((sum, one) => sum + one.decodedBodySize, 0)"
        )
        seconds: Sample = {
            "wall": wall, "requests": float(len(sizes)), "kb": sum(sizes) / 1000, "script_kb": script / 1000,
            "browser_cpu": float(metrics["TaskDuration"]), "server_cpu": spent,
            "heap_mb": float(metrics["JSHeapUsedSize"]) / 1e6, "shift": float(page.evaluate("() => window.__shift")),
        }  # fmt: skip
        page.close()
        return seconds

    def close(self) -> None:
        """Forget everything."""
        self._context.close()


@contextmanager
def browsing() -> Iterator[Any]:
    """Give a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program(), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


def family(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found = [root]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu(processes: list[int]) -> float:
    """Return the seconds of CPU that processes have taken."""
    total = 0
    for one in processes:
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def memory(processes: list[int]) -> float:
    """Return the MB that processes hold, what they share counted once."""
    total = 0
    for one in processes:
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1000
