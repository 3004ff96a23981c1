"""Makes docs/performance.md from the results: goals, what was seen beside peers and limits, and where the time goes."""

from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.subjects import Seen, Subject, Table, Told, subjects

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
README = Path(__file__).parent.parent / "README.md"
BEGINS, ENDS = "<!-- figures, made by `python -m benchmarks report` -->\n", "<!-- end of figures -->"

FRONT = (
    "`import fairway`",
    "a run of one step, whole command, durable",
    "a step of a chain of 200, isolated and durable",
    "a re-run of 100 cached steps",
    "a small ONNX model, one core, JSON, 32 clients",
    "zero to served, installed with uv",
)
"""The goals whose figures stand in the README; docs/performance.md has all of them."""

HEAD = """# Performance, as measured

Made by `make bench`, which measures everything below; `python -m benchmarks NAME` measures one subject and
`python -m benchmarks report` makes this page from the results in `benchmarks/results`. Do not edit it.

Every comparison takes turns within one run: each round measures every side once, and a ratio is the median of the rounds'
ratios, with the lowest and the highest behind it. Seconds depend on the machine and on what else it does; ratios
much less. Peers run in environments of their own from locks in `benchmarks/requirements`, set up as their documentation
says, each doing the same work. A goal that is not met says so, and below the table why.

"""


def page() -> str:
    """The whole page."""
    shown = [(subject, results.read(subject.name)) for subject in subjects()]
    told = [(subject, kept, subject.tell(kept["figures"]) if kept else None) for subject, kept in shown]
    rows = [row for subject, kept, said in told for row in _rows(subject, kept, said)]
    columns = ("What", "Goal", "Fairway", "Beside", "Ratio", "Date")
    parts = [HEAD, table(Table(columns, tuple(rows)))]
    parts.append(_short([(subject, said) for subject, _, said in told if said is not None]))
    parts += [_section(*one) for one in told if not one[0].profile]
    parts.append("## Where the time goes\n\n")
    parts += [_section(*one, level=3) for one in told if one[0].profile]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def readme(text: str) -> str:
    """Return the text of the README with the present figures of the goals in `FRONT`."""
    kept = [(subject, results.read(subject.name)) for subject in subjects()]
    rows = [
        row[:4]
        for subject, found in kept
        for row in _rows(subject, found, subject.tell(found["figures"]) if found else None)
        if row[0] in FRONT
    ]
    before, _, rest = text.partition(BEGINS)
    made = table(Table(("What", "Goal", "Fairway", "Beside"), tuple(rows)))
    return f"{before}{BEGINS}{made}{ENDS}{rest.partition(ENDS)[2]}"


def write() -> Path:
    """Write the page, and the table of the README."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
    README.write_text(readme(README.read_text("utf-8")), "utf-8")
    return PAGE


def table(told: Table) -> str:
    """A table in Markdown."""
    lines = [told.columns, tuple("---" for _ in told.columns), *told.rows]
    text = "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)
    return f"{told.title}:\n\n{text}\n" if told.title else f"{text}\n"


def _rows(subject: Subject, kept: dict[str, Any] | None, told: Told | None) -> list[tuple[str, ...]]:
    if kept is None or told is None:
        return [(goal.what, goal.goal, "not measured yet", "", "", "") for goal in subject.goals]
    pairs = zip(subject.goals, told.seen, strict=True)
    return [(goal.what, goal.goal, *_cells(seen), kept["about"]["date"]) for goal, seen in pairs]


def _cells(seen: Seen) -> tuple[str, str, str]:
    verdict = {True: "", False: " (**not met**)", None: ""}[seen.met]
    return seen.fairway + verdict, seen.beside, seen.ratio


def _short(told: list[tuple[Subject, Told]]) -> str:
    """What does not meet its goal, each with its cause."""
    lines = [
        f"- {goal.what}: {seen.fairway} where {goal.goal} is the goal. {seen.cause}\n"
        for subject, said in told
        for goal, seen in zip(subject.goals, said.seen, strict=True)
        if seen.met is False
    ]
    return "".join(
        ["## What is short, and why\n\n", *lines, *([] if lines else ["Nothing: every goal is met.\n"])]
    )


def _section(subject: Subject, kept: dict[str, Any] | None, told: Told | None, level: int = 2) -> str:
    lines = [f"{'#' * level} {subject.title}\n", f"{subject.says}\n"]
    if kept is None or told is None:
        return "\n".join([*lines, f"Not measured yet: `python -m benchmarks {subject.name}` does it.\n"])
    about = kept["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    lines.append(
        f"`python -m benchmarks {subject.name}` made this on {about['date']}: Fairway {about['fairway']} "
        f"({about['commit']}), Python {about['python']}, {about['machine']}, load average {about['load']}"
        f"{f'; {versions}' if versions else ''}.\n"
    )
    lines += [table(one) for one in told.tables]
    lines += [f"- {note}" for note in told.notes]
    lines += [f"- {name} is missing here: {why}" for name, why in kept["missing"].items()]
    return "\n".join(lines)
