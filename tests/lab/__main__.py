"""The command line of the lab."""

import argparse
import sys

from .building import UnobtainableError, build, tool
from .lab import MOST_NODES, current, down, is_well, up
from .programs import TOOLS


def main() -> int:
    """Carry out one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build everything that is not built yet")
    building.add_argument(
        "--if-possible", action="store_true", help="print one line where it cannot be built, without failing"
    )
    raising = commands.add_parser("up", help="bring the lab up, or add nodes to it")
    raising.add_argument("--nodes", type=int, default=1, choices=range(1, MOST_NODES + 1))
    commands.add_parser("down", help="remove the lab from this machine")
    commands.add_parser("status", help="print the lines that lead to the lab, if it is up")
    asked = parser.parse_args()
    try:
        return _COMMANDS[asked.command](asked)
    except (RuntimeError, PermissionError) as problem:
        sys.stderr.write(f"lab: {problem}\n")
        return 1


def _build(asked: argparse.Namespace) -> int:
    """Build everything, or print why that cannot be done here."""
    try:
        build()
        for program in TOOLS:
            tool(program.name)
    except UnobtainableError as problem:
        if not asked.if_possible:
            raise
        sys.stdout.write(f"lab: not built, so the tests of tests/cluster are skipped: {problem}\n")
    return 0


def _up(asked: argparse.Namespace) -> int:
    """Bring the lab up and print the lines that lead to it."""
    sys.stdout.write(up(asked.nodes).exports())
    return 0


def _down(asked: argparse.Namespace) -> int:
    """Remove the lab."""
    down()
    return 0


def _status(asked: argparse.Namespace) -> int:
    """Print the lines that lead to the lab if it is up."""
    lab = current()
    if lab is None or not is_well(lab):
        sys.stdout.write("lab: down, or not well: `make cluster-up` brings it up\n")
        return 1
    sys.stdout.write(f"lab: {lab.nodes} node(s) up\n{lab.exports()}")
    return 0


_COMMANDS = {"build": _build, "up": _up, "down": _down, "status": _status}

if __name__ == "__main__":
    sys.exit(main())
