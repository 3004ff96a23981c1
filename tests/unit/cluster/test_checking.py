"""The check of a cluster, as far as it needs none."""

import pytest

from fairway.cluster import checking
from fairway.cluster.readiness import (
    ContainerState,
    ContainerView,
    EndedState,
    PodStatus,
    PodView,
    WaitingState,
    judge_pull,
)


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Thu, 01 Jan 2026 00:05:00 GMT", 300.0),
        ("Wed, 31 Dec 2025 23:55:00 GMT", -300.0),
        ("", 0.0),
        ("yesterday", 0.0),
    ],
)
def test_the_clock_of_the_server_is_read_from_its_answer(date: str, ahead: float) -> None:
    assert checking._skew(date, 1767225600.0) == ahead


def pod(state: ContainerState) -> PodView:
    """Return a pod with one container."""
    return PodView(status=PodStatus(phase="Pending", container_statuses=(ContainerView(state=state),)))


@pytest.mark.parametrize(
    ("state", "pulled"),
    [
        (ContainerState(waiting=WaitingState(reason="ContainerCreating")), False),
        (ContainerState(waiting=WaitingState(reason="ErrImagePull", message="not found")), False),
        (ContainerState(waiting=WaitingState(reason="CreateContainerError")), True),
        (ContainerState(terminated=EndedState(exit_code=128, reason="StartError")), True),
        (ContainerState(), True),
    ],
)
def test_a_container_that_fails_to_start_shows_that_its_image_was_pulled(
    state: ContainerState, pulled: bool
) -> None:
    assert judge_pull(pod(state)).ready == pulled
