"""Makes docs/reliability.md from tests/results: what was tried at full size, what was seen, and the goal beside it."""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "reliability.md"

HEAD = """# Reliability, as measured

Made by `make faults`, which runs every test below at full size and writes what it saw; `make test` runs the same tests
at small sizes. A row is written only when its checks passed, and those that give the harness a planted bug and look
whether it is found. Do not edit: `python tests/report.py` makes this page.

| Test | What is done to it | Goal | Seen | When, on what |
|---|---|---|---|---|
"""

CLUSTER = """
## On a cluster

Made by `make test-cluster` on a real Kubernetes of three nodes, all of them on the one machine that is named. Other work shared
its two cores, so durations are those of a busy machine.

| Test | What is done to it | Goal | Seen | When, on what |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    told = [
        json.loads(path.read_text("utf-8")) for path in sorted((HERE / "results").glob("*.json"), key=_order)
    ]
    here = [_row(row) for row in told if not _is_of_cluster(row)]
    there = [_row(row) for row in told if _is_of_cluster(row)]
    return HEAD + "".join(here) + (CLUSTER + "".join(there) if there else "")


def _is_of_cluster(row: dict[str, object]) -> bool:
    return str(row["id"]).startswith(("C", "E"))


def _order(path: Path) -> tuple[str, int, str]:
    digits = re.search(r"\d+", path.stem)
    return path.stem[:1], int(digits[0]) if digits is not None else 0, path.stem


def _row(told: dict[str, object]) -> str:
    seen = ", ".join(
        f"{name.replace('_', ' ')} {_figure(value)}" for name, value in dict(told["seen"]).items()
    )  # type: ignore[call-overload]
    where = f"{told['date']}, {told['commit']}, Python {told['python']}, SQLite {told['sqlite']}, {told['machine']}"
    return f"| {told['id']} | {told['title']} | {told['goal']} | {seen} | {where} |\n"


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE.relative_to(HERE.parent)} written\n")
