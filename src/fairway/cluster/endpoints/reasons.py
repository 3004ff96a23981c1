"""The reasons why a revision is not ready, in sentences. Pure functions.

Some reasons are final, because no waiting helps. A server that ends is started again by the kubelet, and may work then. If it
ends twice with the same last words, it will do so again.
"""

from collections.abc import Iterable

import msgspec

from fairway.cluster import pending
from fairway.cluster.endpoints.observed import Deployment, is_crashing, is_ready
from fairway.cluster.observed import Event, Pod, Terminated

START_SECONDS = 120.0
"""Seconds that a server may take from the start of its process until it is ready."""

PENDING_SECONDS = 300.0
"""Seconds that a pod may wait for a node, its image or its volumes."""

MOST_CRASHES = 5
_LONGEST = 300
_OUT_OF_MEMORY = "it ran out of memory"
_LOADS = "its server loads what it serves"


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why a revision is not ready. If it is `final`, waiting does not help."""

    text: str
    hint: str = ""
    details: str = ""
    final: bool = False


class Crashes:
    """The ends of the servers of a revision, as they were seen one after the other."""

    def __init__(self) -> None:
        self._words: dict[tuple[str, str], str] = {}

    def note(self, pods: Iterable[Pod]) -> None:
        """Note the ends that pods show. Each one counts once."""
        for pod in pods:
            for ended in _ends(pod):
                if ended.finished_at:
                    self._words[pod.metadata.uid, ended.finished_at] = last_words(ended)

    @property
    def are_certain(self) -> bool:
        """True when another start would end in the same way."""
        words = list(self._words.values())
        return len(words) >= MOST_CRASHES or len(set(words)) < len(words)


def why(
    pods: tuple[Pod, ...], deployment: Deployment | None, waited: float, events: tuple[Event, ...] = ()
) -> Reason:
    """Return the reason why the pods of a revision are not all ready, `waited` seconds after it was asked for."""
    crashing = next((pod for pod in pods if is_crashing(pod)), None)
    if crashing is not None:
        return _crashing(crashing)
    if deployment is not None and deployment.refusal:
        refused = Event(reason="FailedCreate", message=deployment.refusal)
        return _pending(pending.without_pod((refused,)))
    if not pods:
        return Reason(text="its pods are not made yet")
    waiting = next((pod for pod in pods if not is_ready(pod)), None)
    if waiting is None:
        return Reason(text="more of its pods are on their way")
    if waiting.status.phase == "Running":
        return Reason(text=_LOADS)
    return _pending(pending.of_pod(waiting, waited, events))


def late(reason: Reason, waited: float) -> Reason:
    """Return the reason for giving up, because the time of a revision is over."""
    return msgspec.structs.replace(
        reason, text=f"it was not ready after {waited:.0f} seconds: {reason.text}", final=True
    )


def last_words(ended: Terminated) -> str:
    """Return how a server ended, in its own words if it said any."""
    if ended.reason == "OOMKilled":
        return _OUT_OF_MEMORY
    lines = [line.strip() for line in ended.message.splitlines() if line.strip()]
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if said or lines:
        return (said or lines)[-1][:_LONGEST]
    if ended.reason in ("StartError", "ContainerCannotRun"):
        return f"its container did not start ({ended.reason})"
    if ended.signal:
        return f"its server was ended by signal {ended.signal}"
    return f"its server ended with status {ended.exit_code}"


def _crashing(pod: Pod) -> Reason:
    ended = _ends(pod)
    times = sum(one.restart_count + (one.state.terminated is not None) for one in pod.containers)
    if not ended:
        return Reason(text=f"its server ended {_times(times)}")
    last = ended[0]
    words = last_words(last)
    hint = f"what it printed: `kubectl logs {pod.metadata.name} --previous`"
    if words == _OUT_OF_MEMORY:
        hint = "the memory of a server follows from the size of its model: deploy a smaller one"
    return Reason(text=f"its server ended {_times(times)}: {words}", hint=hint, details=last.message)


def _ends(pod: Pod) -> list[Terminated]:
    """Return the ends that a pod shows, the last one first."""
    states = [state for one in pod.containers for state in (one.state, one.last_state)]
    return [state.terminated for state in states if state.terminated is not None]


def _pending(found: pending.Pending) -> Reason:
    if found.failure is not None:
        return Reason(text=found.failure.message, hint=found.failure.hint, final=True)
    return Reason(text=found.text or _LOADS)


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"
