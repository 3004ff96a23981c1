"""The steps of a run as a graph: who uses whose output. Steps of one task are one node if they are many."""

from collections.abc import Sequence

import msgspec

from fairway.evaluation.drawing import escape, picture, text
from fairway.pages.steps import FOLDED, by_task, counts, state_of
from fairway.pages.visit import address
from fairway.spec.artifact import RefData, walk
from fairway.spec.run import RunStatus, StepStatus
from fairway.spec.text import shortened

_WIDTH, _HEIGHT = 168, 40
_GAP_X, _GAP_Y = 44, 12
_TOP, _LEFT = 32, 8
_LETTERS = 22
MOST_NODES = 120
"""The number of nodes above which no graph is drawn."""


class Node(msgspec.Struct, kw_only=True):
    """A node of the graph: a step, or all steps of a task."""

    title: str
    told: str
    state: str
    to: str
    before: set[str]
    column: int = 0
    row: int = 0


def graph(status: RunStatus) -> str:
    """Draw the steps of a run as SVG; empty if there is nothing that a graph would tell, or too much."""
    nodes = nodes_of(status)
    if not 1 < len(nodes) <= MOST_NODES:
        return ""
    _place(nodes)
    columns = 1 + max(node.column for node in nodes.values())
    rows = 1 + max(node.row for node in nodes.values())
    size = (_LEFT * 2 + columns * (_WIDTH + _GAP_X) - _GAP_X, _TOP + rows * (_HEIGHT + _GAP_Y))
    parts = [
        _edge(nodes[before], node)
        for node in nodes.values()
        for before in sorted(node.before)
        if nodes[before].column < node.column
    ]
    parts += map(_box, nodes.values())
    told = ", ".join(f"{node.title} {node.told}" for node in list(nodes.values())[:20])
    return picture("Steps", f"Which step uses the output of which: {told}", parts, size)


def nodes_of(status: RunStatus) -> dict[str, Node]:
    """Return the nodes of the graph by name, in the order of the first calls."""
    node_by_step: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for task, group in by_task(status.steps).items():
        if len(group) >= FOLDED:
            key = f"task {task}"
            nodes[key] = _folded(status.spec.name, task, group)
            node_by_step |= dict.fromkeys((step.spec.name for step in group), key)
            continue
        for step in group:
            nodes[step.spec.name] = _single(status.spec.name, step)
            node_by_step[step.spec.name] = step.spec.name
    for step in status.steps:
        own = node_by_step[step.spec.name]
        nodes[own].before |= {
            node_by_step[leaf.step]
            for node in step.spec.inputs.values()
            for leaf in walk(node)
            if isinstance(leaf, RefData) and node_by_step.get(leaf.step, own) != own
        }
    return nodes


def _single(run: str, step: StepStatus) -> Node:
    return Node(
        title=step.spec.name,
        told=step.spec.label or state_of(step),
        state=state_of(step),
        to=address("runs", run, "steps", step.spec.name),
        before=set(),
    )


def _folded(run: str, task: str, group: Sequence[StepStatus]) -> Node:
    states = counts(group)
    return Node(
        title=f"{task} × {len(group)}",
        told=", ".join(f"{count} {state}" for state, count in states),
        state=states[0][0],
        to=address("runs", run, task=task) + "#steps",
        before=set(),
    )


def _place(nodes: dict[str, Node]) -> None:
    """Give each node a column behind those whose outputs it uses, and a row within it."""
    filled: dict[int, int] = {}
    places = {name: place for place, name in enumerate(nodes)}
    # A folded task may use outputs of a later one, and that the other way round. Only earlier nodes decide the column, so
    # that there is no circle.
    for name, node in nodes.items():
        earlier = [nodes[before].column for before in node.before if places[before] < places[name]]
        node.column = 1 + max(earlier, default=-1)
        node.row = filled.get(node.column, 0)
        filled[node.column] = node.row + 1


def _corner(node: Node) -> tuple[float, float]:
    return _LEFT + node.column * (_WIDTH + _GAP_X), _TOP + node.row * (_HEIGHT + _GAP_Y)


def _edge(before: Node, node: Node) -> str:
    (x, y), (to_x, to_y) = _corner(before), _corner(node)
    x, y, to_y = x + _WIDTH, y + _HEIGHT / 2, to_y + _HEIGHT / 2
    half = _GAP_X / 2
    path = f"M{x:.0f} {y:.0f}C{x + half:.0f} {y:.0f} {to_x - half:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    return f'<path class="edge" d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'


def _box(node: Node) -> str:
    x, y = _corner(node)
    return (
        f'<a href="{escape(node.to)}"><g class="node {node.state}">'
        f"<title>{escape(f'{node.title}: {node.told}')}</title>"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{_WIDTH}" height="{_HEIGHT}" rx="4"/>'
        + text((x + 10, y + 17), shortened(node.title, _LETTERS), anchor="start", size=12, bold=True)
        + text((x + 10, y + 32), shortened(node.told, _LETTERS + 4), anchor="start")
        + "</g></a>"
    )
