"""What the pages show really happens: their files are written, their commands run in order, their output compared.

A python block that begins with a comment of a path is a file. A console block's lines with `$ ` are commands; what follows is
their output, where `...` stands for any lines. `<!-- exit 3 -->` above a block expects that status of its last command,
`<!-- not run -->` leaves it out. What differs from run to run (names of runs, seconds, memory, ports, digests) is masked.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:<!-- ([^\n]*?) -->\n+)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"127\.0\.0\.1:(\d+)")
MASKS = (
    (r"\b[a-z]\d[a-z]\d\b", "RUN"),
    (r"\x1b\[[0-9;]*m", ""),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b(\d+ min )?\d+(\.\d+)? ?(ms|s|min)\b", "SECONDS"),
    (r"\b\d+(\.\d+)? ?(KiB|MiB|GiB|Mi|Gi|B)\b", "SIZE"),
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"\b[0-9a-f]{12,64}\b", "DIGEST"),
    (r"0\.\d+|\b1\.0\b", "NUMBER"),
    (r"[ ]{2,}", "  "),
)


def pages() -> list[Path]:
    """Pages that show commands of ours."""
    left_out = {"commands.md", "project-file.md", "performance.md", "reliability.md"}
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        page
        for page in found
        if page.name not in left_out
        and "decisions" not in page.parts
        and "$ fairway" in page.read_text("utf-8")
    ]


def masked(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"\d+\.\d{9,}", lambda found: str(round(float(found[0]), 6)), line)  # 49.99999999999999
    for pattern, name in MASKS:
        line = re.sub(pattern, name, line)
    return line.strip()


def fits(wanted: list[str], seen: list[str]) -> bool:
    """Whether output is as shown; `...` stands for any lines. Lines of parallel steps may come in any order."""
    if not wanted:
        return not seen
    if wanted[0] == "...":
        return any(fits(wanted[1:], seen[place:]) for place in range(len(seen) + 1))
    if wanted[0] not in seen[:8]:
        return False
    place = seen.index(wanted[0])
    return fits(wanted[1:], seen[:place] + seen[place + 1 :])


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_shows_what_happens(page: Path, tmp_path: Path) -> None:
    kept = dict(os.environ)
    binaries = f"{Path(sys.executable).parent}:{kept['PATH']}"
    environment = {**kept, "PATH": binaries, "HOME": str(tmp_path / "home"), "CI": "1", "COLUMNS": "110"}
    folder = tmp_path / "project"
    folder.mkdir()
    ports: dict[str, str] = {}
    try:
        for note, language, text in BLOCK.findall(page.read_text("utf-8")):
            if note == "not run":
                continue
            if language == "python" and re.match(r"# [\w/]+\.py\n", text):
                file = folder / text[2:].split("\n")[0]
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, "utf-8")
            elif language == "console":
                status = int(note.removeprefix("exit ")) if note.startswith("exit ") else 0
                _play(text, folder, environment, status, ports)
    finally:
        subprocess.run(["fairway", "down"], cwd=folder, env=environment, capture_output=True, check=False)


def _play(text: str, folder: Path, environment: dict[str, str], status: int, ports: dict[str, str]) -> None:
    """Run a block's commands. `ports` are those shown and those seen: others on this machine may have the usual ones."""
    parts = [part for part in re.split(r"^\$ ", text, flags=re.MULTILINE) if part.strip()]
    for number, part in enumerate(parts):
        command, _, shown = part.partition("\n")
        command = ADDRESS.sub(lambda found: f"127.0.0.1:{ports.get(found[1], found[1])}", command)
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
        )  # fmt: skip
        last = number == len(parts) - 1
        assert done.returncode == (status if last else 0), f"$ {command}\n{done.stdout}"
        said = done.stdout.replace(f"{folder}/", "")
        ports.update(zip(ADDRESS.findall(shown), ADDRESS.findall(done.stdout), strict=False))
        wanted = [masked(line) for line in shown.splitlines() if line.strip()]
        seen = [masked(line) for line in said.splitlines() if line.strip()]
        assert fits(wanted, seen), f"$ {command}\n{done.stdout}\nmasked: {seen}\nwanted: {wanted}"
