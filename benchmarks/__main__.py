"""`python -m benchmarks [NAME…]` measures; `report` only makes the page; `--list` names the subjects."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import report, results
from benchmarks.environments import Environments
from benchmarks.subjects import Bench, Subject, subjects


def main(words: list[str]) -> int:
    """Measure what is asked for, one subject after the other, and write results and page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="subjects; all when none is named; or report"
    )
    parser.add_argument("--list", action="store_true", help="name the subjects")
    parser.add_argument("--quick", action="store_true", help="small sizes, printed and not kept")
    asked = parser.parse_args(words)
    known = {subject.name: subject for subject in subjects()}
    if asked.list:
        for subject in known.values():
            _say(f"{subject.name:12} {subject.title}")
        return 0
    failed: list[str] = []
    if asked.names != ["report"]:
        unknown = [name for name in asked.names if name not in known]
        if unknown:
            parser.error(f"no subject {', '.join(unknown)}; there are {', '.join(known)}")
        failed = [name for name in asked.names or known if not _measured(known[name], asked.quick)]
    if not asked.quick:
        _say(f"{report.write()} written")
    return 1 if failed else 0


def _measured(subject: Subject, quick: bool) -> bool:
    """Whether it could be measured; when not, its earlier result stays and the others are measured all the same."""
    try:
        _measure(subject, quick)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        _say(f"  {subject.name} could not be measured: {error}")
        return False
    return True


def _measure(subject: Subject, quick: bool) -> None:
    begun = time.monotonic()
    _say(f"{subject.title} …")
    with tempfile.TemporaryDirectory(prefix="fairway-bench-") as folder:
        bench = Bench(quick, Path(folder), Environments(), lambda text: _say(f"  {text}"))
        figures = subject.measure(bench)
    if not quick:
        results.write(subject.name, figures, bench.versions, bench.missing)
    told = subject.tell(figures)
    for goal, seen in zip(subject.goals, told.seen, strict=True):
        verdict = {True: "met", False: "not met", None: ""}[seen.met]
        _say(f"  {goal.what}: {seen.fairway}; {seen.beside}; {seen.ratio} (goal {goal.goal}) {verdict}")
    for one in told.tables if quick else ():
        _say(report.table(one))
    _say(f"  {time.monotonic() - begun:.0f} s")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
