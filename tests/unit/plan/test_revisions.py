"""The past of an endpoint."""

from fairway.plan.revisions import before, last_times, times
from fairway.spec.serving import Deployment


def pointed(revision: int, time: float, version: int = 0, function: str = "") -> Deployment:
    model = "" if function or not revision else "churn"
    return Deployment(
        endpoint="churn", revision=revision, time=time, model=model, version=version, function=function
    )


PAST = [pointed(1, 40, 1), pointed(0, 30), pointed(2, 20, 2), pointed(1, 10, 1)]
"""Version 1, then version 2, then nothing, then version 1 again."""


def test_each_time_ends_with_the_next_deployment() -> None:
    assert [(one.deployment.revision, one.deployment.time, one.until) for one in times(PAST)] == [
        (1, 40, 0),
        (0, 30, 40),
        (2, 20, 30),
        (1, 10, 20),
    ]


def test_a_revision_that_served_twice_is_listed_with_its_last_time() -> None:
    found = [(one.deployment.revision, one.deployment.time, one.until) for one in last_times(PAST)]
    assert found == [(2, 20, 30), (1, 40, 0)]


def test_a_rollback_leads_to_the_version_before() -> None:
    past = [pointed(3, 30, 3), pointed(2, 20, 2), pointed(1, 10, 1)]
    found = before(past, 3)
    assert found is not None
    assert (found.deployment.version, found.until) == (2, 30)


def test_other_replicas_of_the_same_version_are_no_way_back() -> None:
    past = [pointed(4, 40, 2), pointed(3, 30, 2), pointed(2, 20, 2), pointed(1, 10, 1)]
    found = before(past, 4)
    assert found is not None
    assert found.deployment.revision == 1
    assert before([pointed(2, 20, 1), pointed(1, 10, 1)], 2) is None


def test_an_earlier_revision_of_a_function_is_a_way_back() -> None:
    past = [pointed(2, 20, function="price"), pointed(1, 10, function="price")]
    found = before(past, 2)
    assert found is not None
    assert found.deployment.revision == 1


def test_there_is_no_way_back_from_the_first() -> None:
    assert before([pointed(1, 10, 1)], 1) is None
    assert before([], 0) is None
