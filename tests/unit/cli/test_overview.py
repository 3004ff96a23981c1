"""The overview's next commands, from what is here."""

import msgspec
import pytest

from fairway.cli.outline import Outline
from fairway.cli.overview import Found, lines, next_commands
from fairway.spec.endpoint import EndpointStatus
from fairway.spec.run import Phase, RunSummary

RUN = RunSummary(name="k7m2", pipeline="churn", phase=Phase.SUCCEEDED, started=1.0)
FILES = {"churn.py": Outline({"churn": ()}, ())}


def commands(found: Found) -> list[str]:
    return [command for command, _ in next_commands(found)]


def test_a_new_project_is_run_first() -> None:
    assert commands(Found(FILES)) == ["fairway run churn.py", "fairway plan churn.py", "fairway doctor"]


@pytest.mark.parametrize(
    ("phase", "alive", "first"),
    [
        (Phase.FAILED, False, "fairway show k7m2"),
        (Phase.CANCELLED, False, "fairway resume k7m2"),
        (Phase.RUNNING, False, "fairway resume k7m2"),
        (Phase.RUNNING, True, "fairway follow k7m2"),
        (Phase.SUCCEEDED, False, "fairway run churn.py"),
    ],
)
def test_the_newest_run_decides_what_comes_first(phase: Phase, alive: bool, first: str) -> None:
    run = msgspec.structs.replace(RUN, phase=phase, alive=alive)
    assert commands(Found(FILES, run))[0] == first
    assert len(commands(Found(FILES, run))) == 3


def test_one_of_several_pipelines_is_named() -> None:
    found = Found({"two.py": Outline({"a": (), "b": ()}, ())})
    assert commands(found)[0] == "fairway run two.py:a"


def test_endpoints_are_told_of() -> None:
    found = Found(FILES, RUN, (), (EndpointStatus(name="churn", wanted=3),))
    assert "endpoint churn: revision 3" in lines(found)
    assert "fairway endpoints" in commands(found)


def test_a_folder_without_anything_is_no_project() -> None:
    assert not Found().is_project
