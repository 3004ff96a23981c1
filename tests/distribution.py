"""The distribution of the tests over the workers of the test runner: what stays together, and what begins first."""

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

TOGETHER = ("tests/cluster/", "tests/browser/")
"""Folders whose tests go to one worker. Those of the cluster share one lab, and some of them harm its nodes. Those in a browser
share stores that take long to make."""

APART = ("tests/docs/test_blocks.py",)
"""Files whose tests share nothing and take long each, so that each goes to the next worker that is free."""

FIRST = (
    "tests/cluster/",
    "tests/browser/",
    "tests/docs/test_blocks.py",
    "tests/e2e/",
    "tests/faults/",
    "tests/security/",
    "tests/plane/",
    "tests/contract/",
)
"""Folders by how long their files take. A long file that begins last is what every other worker waits for."""


def unit_of(nodeid: str) -> str:
    """Return the name of the unit that a test belongs to. The tests of a unit go to one worker, in order."""
    if nodeid.startswith(APART):
        return nodeid
    folder = next((folder for folder in TOGETHER if nodeid.startswith(folder)), "")
    return folder or nodeid.partition("::")[0]


def turn_of(unit: str) -> int:
    """Return the turn of a unit: the smaller, the earlier it begins."""
    return next((turn for turn, part in enumerate(FIRST) if unit.startswith(part)), len(FIRST))


class Distribution(LoadFileScheduling):
    """A distribution by units, of which the longest begin first. Among equals, those with the most tests do."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=turn_of), last=False)
        super()._assign_work_unit(node)
