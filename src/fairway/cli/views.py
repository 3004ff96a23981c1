"""Runs, steps and models as lines of aligned text for the command line."""

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from fairway.cli.curves import of_points, sparkline
from fairway.spec.artifact import Artifact, Node
from fairway.spec.quantities import format_duration, format_memory
from fairway.spec.run import MetricPoint, Phase, Reason, RunStatus, RunSummary, StepStatus
from fairway.spec.text import one_line
from fairway.spec.webhook import Delivery

_MOST_METRICS = 12


def table(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with columns that are aligned by spaces. The last column is not padded."""
    rows = [[one_line(cell) for cell in row] for row in cells]
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]


def when(seconds: float) -> str:
    """Return the local date and time to the second. Return "" for 0 and for a number that is no time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else ""
    except (OverflowError, ValueError, OSError):
        return ""


def clock(text: str) -> str:
    """Return the local time of day of a time in RFC 3339, in UTC. Return "" for another text."""
    try:
        return datetime.datetime.fromisoformat(f"{text[:19]}+00:00").astimezone().strftime("%H:%M:%S")
    except (ValueError, OverflowError):
        return ""


def run_word(phase: Phase, *, alive: bool) -> str:
    """Return the phase of a run for people. A Running run without an engine was interrupted."""
    return "interrupted" if phase is Phase.RUNNING and not alive else phase.word


def runs(summaries: Sequence[RunSummary]) -> list[str]:
    """Return the table of runs."""
    rows = [
        (
            run.name,
            run.pipeline,
            run_word(run.phase, alive=run.alive),
            str(run.steps),
            when(run.started),
            format_duration(max(0.0, run.ended - run.started)) if run.ended else "",
            run.message[:60],
        )
        for run in summaries
    ]
    return table(("run", "pipeline", "phase", "steps", "started", "took", ""), rows)


def run(status: RunStatus, *, alive: bool) -> list[str]:
    """Return a run with its steps, the newest facts last."""
    spec = status.spec
    lines = [f"{spec.pipeline}  run {spec.name}  {run_word(status.phase, alive=alive)}"]
    lines += [f"  started   {when(status.started)}"]
    if status.ended:
        lines.append(
            f"  ended     {when(status.ended)}  ({format_duration(max(0.0, status.ended - status.started))})"
        )
    if spec.shown:
        lines.append("  with      " + "  ".join(f"{name}={value}" for name, value in spec.shown.items()))
    if spec.repeats is not None:
        lines.append(f"  repeats   {spec.repeats.run}/{spec.repeats.step.name}, this step alone")
    if status.code:
        resumed = f", then {status.code[:16]}" if status.code != spec.code else ""
        lines.append(f"  code      sha256 {spec.code[:16] or 'unknown'}{resumed}")
    if spec.git is not None:
        lines.append(f"  git       {spec.git}")
    if status.models:
        lines.append("  models    " + ", ".join(status.models))
    if status.tags:
        lines.append("  tags      " + " ".join(status.tags))
    if status.note:
        lines.append(f"  note      {status.note}")
    lines += [f"  webhook   {one.hook} {delivery(one)}" for one in status.deliveries]
    lines += _kept(status.metrics, status.shown)
    lines += _kept_by_steps(status)
    if status.steps:
        lines += [
            "",
            *table(
                ("step", "phase", "took", "peak", "attempts", ""), [_step_row(step) for step in status.steps]
            ),
        ]
    if status.failure is not None:
        lines += ["", f"error: {status.failure.message}"]
        if status.failure.hint:
            lines.append(f"hint: {status.failure.hint}")
    elif status.phase is Phase.RUNNING and not alive:
        lines += ["", f"hint: `fairway resume {spec.name}` goes on where it stopped"]
    return lines


def delivery(one: Delivery) -> str:
    """Return what became of a message to a webhook."""
    if not one.time:
        return "is not told yet"
    tries = f" after {one.tries} tries" if one.tries > 1 else ""
    if one.delivered:
        return f"told at {when(one.time)}{tries}"
    return f"not told{tries}: {one.why}"


def sources(texts: Mapping[str, str]) -> list[str]:
    """Return source files one after the other, each below its name."""
    return [line for name, text in texts.items() for line in (f"# {name}", *text.split("\n"))]


def step(status: StepStatus) -> list[str]:
    """Return a step in full: inputs, outputs with their formats, attempts, metrics, failure."""
    spec = status.spec
    lines = [f"{spec.name}  {'cached' if status.cached else status.phase.word}  {spec.label}".rstrip()]
    if status.why:
        lines.append(f"  why       {status.why}")
    for name, node in spec.inputs.items():
        lines.append(f"  input     {name}: {_node(node)}")
    for output in status.outputs:
        note = (
            " (kept as a pickle: read only by this project's own steps)" if output.format == "pickle" else ""
        )
        lines.append(
            f"  output    {output.kind} {output.note}  {output.format}, {format_memory(output.size)}, "
            f"sha256 {output.digest[:16]}{note}"
        )
    for attempt in status.attempts:
        usage = attempt.usage
        lines.append(
            f"  attempt {attempt.number} {attempt.phase.word}  {format_duration(usage.wall)} wall, "
            f"{format_duration(usage.cpu)} CPU, peak {format_memory(usage.memory)}"
        )
    lines += _kept(status.metrics, status.shown)
    if status.failure is not None:
        lines += [f"  error     {status.failure.message}"]
        if status.failure.details:
            lines += ["", *status.failure.details.split("\n")]
    return lines


def is_nothing(node: Node | None) -> bool:
    """Tell whether a pipeline returned nothing that could be shown."""
    return node is None or (isinstance(node, Artifact) and node.inline == b"null" and node.format == "json")


def _kept_by_steps(status: RunStatus) -> list[str]:
    """Return a line for each metric that steps logged, as far as they are few."""
    lines = [
        line.replace("  metric    ", f"  metric    {step.spec.name}/", 1)
        for step in status.steps
        for line in _kept(step.metrics, {})
    ]
    left = len(lines) - _MOST_METRICS
    return lines if left <= 0 else [*lines[:_MOST_METRICS], f"  … {left} more metrics of steps"]


def _kept(metrics: Sequence[MetricPoint], shown: Mapping[str, Artifact]) -> list[str]:
    """Return a line for each logged metric and for each shown picture or table."""
    series = of_points(metrics)
    last: dict[str, tuple[float, int]] = {}
    for point in metrics:
        last[point.name] = (point.value, last.get(point.name, (0.0, 0))[1] + 1)
    return [
        *(
            f"  metric    {name} {value:.6g}"
            + (f"  (last of {count})  {sparkline(series[name])}" if count > 1 else "")
            for name, (value, count) in last.items()
        ),
        *(f"  shown     {title}  {one.format}, {format_memory(one.size)}" for title, one in shown.items()),
    ]


def _node(node: object) -> str:
    builtin = cast("dict[str, object]", msgspec.to_builtins(node))
    kind = builtin.get("type")
    if kind == "ref":
        item = cast("int", builtin.get("item", -1))
        return f"output of {builtin['step']}" + (f"[{item}]" if item >= 0 else "")
    if kind == "group":
        return f"{builtin['container']} of {len(cast('list[object]', builtin.get('items', [])))}"
    return (
        f"{builtin.get('kind', '')} {builtin.get('note', '')}".strip()
        + f"  sha256 {str(builtin['digest'])[:16]}"
    )


def _step_row(status: StepStatus) -> tuple[str, ...]:
    usage = status.attempts[-1].usage if status.attempts else None
    said = status.failure.message if status.failure is not None else status.spec.label
    given_up = status.failure is not None and status.failure.reason is Reason.GIVEN_UP
    if given_up:
        # The label tells what was given up, which the reason alone does not.
        said = f"{status.spec.label}  {said}".strip()
    if status.phase is Phase.PENDING and status.why:
        said = f"{said}  {status.why}".strip()
    took = usage.wall if usage else 0.0
    if status.phase is Phase.RUNNING and status.attempts:
        took = max(0.0, time.time() - status.attempts[-1].started)
    return (
        status.spec.name,
        "cached" if status.cached else "given up" if given_up else status.phase.word,
        format_duration(took) if usage else "",
        format_memory(usage.memory) if usage and usage.memory else "",
        str(len(status.attempts)) if status.attempts else "",
        said.splitlines()[0][:120] if said else "",
    )
