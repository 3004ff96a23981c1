"""The comparison of runs: the facts about each, those that tell most first, and the source files that changed. Pure."""

import difflib
from collections.abc import Mapping, Sequence

from fairway.spec.artifact import Artifact, walk
from fairway.spec.evaluation import Evaluation
from fairway.spec.run import RunStatus

KINDS = ("phase", "metric", "parameter", "data", "code", "environment", "pipeline", "took")
"""The kinds of facts, the most telling first. The name of a fact begins with its kind."""

_MOST_FILES = 20


def facts_of(status: RunStatus, evaluations: Mapping[str, Evaluation | str]) -> dict[str, str]:
    """Return the facts about a run by name, each as a text.

    Args:
        status: the run.
        evaluations: the evaluations that its steps returned, by step, or why one cannot be read.
    """
    facts = {"pipeline": status.spec.pipeline, "phase": status.phase.value}
    facts["code"] = (status.code or status.spec.source)[:12]
    facts["environment"] = status.spec.environment[:12]
    facts |= {f"parameter {key}": value for key, value in status.spec.shown.items()}
    for point in status.metrics:
        facts[f"metric {point.name}"] = f"{point.value:.6g}"
    for step in status.steps:
        for point in step.metrics:
            facts[f"metric {step.spec.name}/{point.name}"] = f"{point.value:.6g}"
    for key, evaluation in evaluations.items():
        if isinstance(evaluation, str):
            facts[f"metric {key}"] = evaluation
            continue
        facts |= {f"metric {key}/{metric}": f"{value:.6g}" for metric, value in evaluation.metrics.items()}
    facts |= _data(status)
    facts["took"] = f"{max(0.0, status.ended - status.started):.1f} s"
    return facts


def ordered(keys: Sequence[str]) -> list[str]:
    """Return the names of facts, the most telling first: what came out, then what went in."""
    return sorted(keys, key=lambda key: KINDS.index(key.partition(" ")[0]))


def differing(facts: Sequence[Mapping[str, str]]) -> tuple[list[str], list[str]]:
    """Return the names of the facts that differ between runs, and of those that are equal, the most telling first."""
    keys = ordered(list(dict.fromkeys(key for one in facts for key in one)))
    differ = [key for key in keys if len({one.get(key, "") for one in facts}) > 1]
    chosen = set(differ)
    return differ, [key for key in keys if key not in chosen]


def changed_files(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> list[str]:
    """Return a line for each source file that differs between the code of two runs."""
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
