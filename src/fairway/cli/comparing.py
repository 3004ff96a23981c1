"""The facts about a run that are compared with those of other runs."""

from collections.abc import Sequence

from fairway.cli import curves as drawing
from fairway.cli import looking
from fairway.cli.asking import ask
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, walk
from fairway.spec.errors import FairwayError
from fairway.spec.run import RunStatus

_ORDER = ("phase", "metric", "parameter", "data", "code", "environment", "pipeline", "took")
_MOST_CURVES = 3
_MOST_FILES = 20


def facts_of(platform: Platform, name: str) -> dict[str, str]:
    """Return the facts about a run by name, each as a text."""
    status = ask(platform.run(name))
    facts = {"pipeline": status.spec.pipeline, "phase": status.phase.value}
    facts["code"] = (status.code or status.spec.source)[:12]
    facts["environment"] = status.spec.environment[:12]
    facts |= {f"parameter {key}": value for key, value in status.spec.shown.items()}
    for point in status.metrics:
        facts[f"metric {point.name}"] = f"{point.value:.6g}"
    for step in status.steps:
        for point in step.metrics:
            facts[f"metric {step.spec.name}/{point.name}"] = f"{point.value:.6g}"
    for key, evaluation in looking.evaluations_of(platform, status).items():
        if isinstance(evaluation, str):
            facts[f"metric {key}"] = evaluation
            continue
        facts |= {f"metric {key}/{metric}": f"{value:.6g}" for metric, value in evaluation.metrics.items()}
    facts |= _data(status)
    facts["took"] = f"{max(0.0, status.ended - status.started):.1f} s"
    return facts


def ordered(keys: Sequence[str]) -> list[str]:
    """Return the names of facts, the most telling first: what came out, then what went in."""
    return sorted(keys, key=lambda key: _ORDER.index(key.partition(" ")[0]))


def curves(platform: Platform, names: Sequence[str]) -> list[str]:
    """Return the curves of metrics that several of the runs logged, one below the other."""
    statuses = [ask(platform.run(name)) for name in names]
    logged = [drawing.series_of(status) for status in statuses]
    shared = [title for title in logged[0] if all(title in one for one in logged[1:])] if logged else []
    lines: list[str] = []
    for title in shared[:_MOST_CURVES]:
        lines.append(title)
        lines += [
            f"  {name}  {drawing.sparkline(one[title])}" for name, one in zip(names, logged, strict=True)
        ]
    return lines


def changed_files(platform: Platform, names: Sequence[str]) -> list[str]:
    """Return the source files that differ between the first and the last run; none if the code of one is not on record."""
    try:
        before, after = (ask(platform.code(name)) for name in (names[0], names[-1]))
    except FairwayError:
        return []
    words: list[str] = []
    for path in sorted({*before, *after}):
        if path not in after:
            words.append(f"{path} is gone")
        elif path not in before:
            words.append(f"{path} is new")
        elif before[path] != after[path]:
            words.append(f"{path} changed: {_lines(before[path], after[path])}")
    left = len(words) - _MOST_FILES
    return words[:_MOST_FILES] + ([f"… {left} more files"] if left > 0 else [])


def _lines(before: str | None, after: str | None) -> str:
    """Return how many lines of a file came and went."""
    import difflib

    old, new = (before or "").splitlines(), (after or "").splitlines()
    came = went = 0
    for word, low, high, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if word != "equal":
            went, came = went + high - low, came + end - start
    return f"{came} lines came, {went} went"


def _data(status: RunStatus) -> dict[str, str]:
    """Return the digests of the inputs of steps that no other step made and that are no parameters."""
    given = {one.digest for one in status.spec.parameters.values()}
    found: dict[str, str] = {}
    for step in status.steps:
        for name, node in step.spec.inputs.items():
            digests = [
                leaf.digest for leaf in walk(node) if isinstance(leaf, Artifact) and leaf.digest not in given
            ]
            large = [leaf for leaf in walk(node) if isinstance(leaf, Artifact) and leaf.inline is None]
            if digests and large:
                found[f"data {step.spec.name}/{name}"] = large[0].digest[:12]
    return found
