"""Enforcement of NetworkPolicies, which the lab has only while a test asks for it."""

from pathlib import Path

from . import processes
from .building import programs
from .control_plane import config
from .lab import Lab
from .processes import inside, run, start, wait

_QUEUE = 98
_RULES = (
    ["-o", "lo", "-j", "RETURN"],
    ["-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE", "--queue-num", str(_QUEUE)],
)
"""Rules that hand every new connection to the enforcer. It makes its own where the kernel lets nftables do so."""


def enforce(lab: Lab) -> None:
    """Start an enforcer on every node, and wait until all of them judge connections."""
    for node in _nodes(lab):
        words = [f"--kubeconfig={config('operator')}", f"--node={node}", f"--queue={_QUEUE}"]
        start(f"policies-{node}", node, [programs() / "policies", *words])
    for node in _nodes(lab):
        wait(f"queue of {node}", lambda: _has_queue(node), daemon=f"policies-{node}")  # noqa: B023
        for rule in _RULES:
            _iptables(node, "-A", rule)


def relax(lab: Lab) -> None:
    """Let all connections pass again."""
    for node in _nodes(lab):
        # First the rules: what waits in a queue without a reader is lost.
        for rule in _RULES:
            _iptables(node, "-D", rule)
        processes.stop(f"policies-{node}")


def _nodes(lab: Lab) -> list[str]:
    """Return the names of all nodes."""
    return [f"n{number}" for number in range(1, lab.nodes + 1)]


def _has_queue(node: str) -> bool:
    """Tell whether a process of the node reads the queue."""
    try:
        process = processes.main_process(f"policies-{node}")
        lines = Path(f"/proc/{process}/net/netfilter/nfnetlink_queue").read_text().splitlines()
    except OSError:
        return False
    return any(line.split()[0] == str(_QUEUE) for line in lines)


def _iptables(node: str, verb: str, rule: list[str]) -> None:
    """Change one rule of a node."""
    run([*inside(node), "iptables", "-w", "-t", "mangle", verb, "POSTROUTING", *rule])
