"""The meaning of what is known about a host that may have ended: its own report, and what the cluster shows of its pod.

Pure functions. Unknown is not dead: without positive evidence there is no verdict. A pod that succeeded is no evidence of
success, because only the record of an attempt is. The engine reads that first.
"""

import re

import msgspec

from fairway.cluster.fetching import PACKAGES
from fairway.cluster.observed import Event, Pod, Terminated
from fairway.spec.link import HostEnded
from fairway.spec.quantities import format_memory
from fairway.spec.run import Failure, Reason

NODE_LOST_SECONDS = 300.0
"""Seconds without any sign of a pod on a lost node, after which its host is given up and fenced."""
TERMINATING_SECONDS = 60.0
"""Seconds that a pod may stay in deletion over its time before its host is given up and fenced."""
_NEVER_RAN = frozenset(
    {
        "UnexpectedAdmissionError",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfpods",
        "OutOfephemeral-storage",
        "NodeAffinity",
    }
)
_NO_FAULT = (75, 137, 143)
"""The statuses of a container that was told to end, or could not reach the control plane. Another try may do better."""

_OWN_DISK = re.compile(
    r"(?:total limit of containers|local ephemeral storage limit|exceeds the limit) \"?([\d.]+[A-Za-z]*)"
)
"""The kubelet's words for a pod that exceeded a bound of its own, and not the disk of its node."""

_SHUT_DOWN = frozenset({"NodeShutdown", "Shutdown", "Terminated", "NodeLost"})


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known about a host and its pod at one moment.

    Attributes:
        pod: the pod as it was seen last. None if none was ever seen.
        absent: True when a full list of pods, which was asked for after the host was last heard of, does not have the pod.
        silent: the seconds since the host was last connected. 0 while it is.
        ending: the seconds since the pod was first seen in deletion. The clock of the cluster may be another one, so its
            times are not compared with the own.
        alone: True when the host has one attempt only.
        events: the events about the pod, as far as they were asked for.
    """

    pod: Pod | None = None
    absent: bool = False
    silent: float = 0.0
    ending: float = 0.0
    alone: bool = False
    events: tuple[Event, ...] = ()


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict that a host is gone. If it is `fenced`, its pod may still run, and must be refused if it comes back."""

    failure: Failure
    fenced: bool = False


def verdict(seen: Sighting) -> Lost | None:
    """Return the verdict about a host that has not reported its end, or None if nothing certain is known."""
    pod = seen.pod
    if seen.silent <= 0:
        # The host itself is heard, which counts more than anything that is said about it.
        return None
    if pod is None:
        return Lost(failure=_lost("its pod was deleted")) if seen.absent else None
    if pod.has_ended:
        return Lost(failure=of_pod(pod, seen.events, alone=seen.alone))
    if seen.absent:
        return Lost(failure=of_pod(pod, seen.events, alone=seen.alone), fenced=True)
    if seen.ending > pod.spec.termination_grace_period_seconds + TERMINATING_SECONDS:
        return Lost(failure=of_pod(pod, seen.events, alone=seen.alone), fenced=True)
    if on_lost_node(pod, seen.events) and (_has_to_leave(pod) or seen.silent > NODE_LOST_SECONDS):
        return Lost(failure=_node_lost(), fenced=True)
    return None


def on_lost_node(pod: Pod, events: tuple[Event, ...] = ()) -> bool:
    """Tell whether the node of a pod does not answer the cluster. The node itself cannot be asked without a right for it."""
    ready, containers = pod.condition("Ready"), pod.condition("ContainersReady")
    by_conditions = ready.status == "False" and containers.status == "True" and not ready.reason
    return by_conditions or any(event.reason == "NodeNotReady" for event in events)


def _has_to_leave(pod: Pod) -> bool:
    """Tell whether the cluster itself has given a pod up, because its node did not answer for as long as the pod tolerates."""
    target = pod.condition("DisruptionTarget")
    return target.status == "True" and target.reason == "DeletionByTaintManager"


def says_why(pod: Pod) -> bool:
    """Tell whether the cluster has said why a pod has to end."""
    disrupted = pod.condition("DisruptionTarget").status == "True"
    return disrupted or bool(pod.status.reason or pod.metadata.deletion_timestamp)


def of_report(report: HostEnded, pod: Pod | None = None, *, alone: bool = False) -> Failure:
    """Return the failure that the report of a pod's first process means for the attempts of its host.

    Args:
        report: the report.
        pod: the pod as it was seen last.
        alone: True when the host has one attempt only, so that the memory it used is the attempt's.
    """
    disrupted = _disruption(pod, alone=alone) if pod is not None else None
    if disrupted is not None:
        return disrupted
    if pod is not None and report.drained and pod.status.reason:
        return of_pod(pod, alone=alone)
    if report.out_of_memory and report.signal == "SIGKILL":
        return _out_of_memory(report.peak, report.limit, alone=alone)
    if report.drained:
        deleted = pod is not None and bool(pod.metadata.deletion_timestamp)
        return _lost("its pod was deleted" if deleted else "its pod was told to end")
    return _lost(report.text)


def of_pod(pod: Pod, events: tuple[Event, ...] = (), *, alone: bool = False) -> Failure:
    """Return the failure that the state of a pod means. The pod has ended, or is given up."""
    found = _disruption(pod, alone=alone)
    if found is not None:
        return found
    status = pod.status
    if status.reason == "Evicted":
        return _evicted(status.message, alone=alone)
    if status.reason == "DeadlineExceeded":
        return _failure(Reason.TIMEOUT, "its pod ran for as long as it may")
    if status.reason in _NEVER_RAN:
        return _lost(f"its node did not take the pod ({status.reason}): {status.message}".rstrip(": "))
    if status.reason in _SHUT_DOWN:
        return _failure(Reason.NODE, f"the node was shut down: {status.message}".rstrip(": "))
    if on_lost_node(pod, events):
        return _node_lost()
    if any(event.reason == "Preempted" for event in events):
        return _failure(Reason.PREEMPTED, "")
    ended = pod.ended
    if ended is not None and pod.failed_before == PACKAGES and ended.exit_code not in _NO_FAULT:
        last = ended.message.strip().splitlines()[-1:] or [f"status {ended.exit_code}"]
        return Failure(
            reason=Reason.ENVIRONMENT,
            message=f"its packages could not be put into its pod: {last[0]}",
            hint="start the run again from the project's folder, so that the packages are sent",
        )
    if ended is not None and ended.reason != "Completed":
        return _of_container(ended, alone=alone)
    if pod.metadata.deletion_timestamp or ended is None:
        return _lost("its pod was deleted")
    # The process ended with status 0 and left no report. A process that handles SIGTERM in this way does so.
    return _lost("its pod ended without a report")


def _of_container(ended: Terminated, *, alone: bool) -> Failure:
    if ended.reason == "OOMKilled":
        return _out_of_memory(0, 0, alone=alone)
    if ended.reason in ("StartError", "ContainerCannotRun"):
        return _failure(Reason.ENVIRONMENT, f"its container did not start: {ended.message}")
    if ended.exit_code == 143:
        return _lost("its pod was told to end")
    last = f": {ended.message.strip().splitlines()[-1]}" if ended.message.strip() else ""
    return _lost(f"its pod ended with status {ended.exit_code}{last}")


def _disruption(pod: Pod, *, alone: bool) -> Failure | None:
    """Return the failure for the disruption that the cluster has noted at a pod."""
    target = pod.condition("DisruptionTarget")
    if target.status != "True":
        return None
    if target.reason == "PreemptionByScheduler":
        return _failure(Reason.PREEMPTED, target.message)
    if target.reason == "EvictionByEvictionAPI":
        return _failure(Reason.EVICTED, "its node is being emptied")
    if target.reason == "DeletionByPodGC":
        return _failure(Reason.NODE, "the node does not exist any more")
    if target.reason == "DeletionByTaintManager":
        return _node_lost() if on_lost_node(pod) else _failure(Reason.EVICTED, "its node got a taint")
    message = pod.status.message or target.message
    if pod.status.reason == "Evicted":
        return _evicted(message, alone=alone)
    return _failure(Reason.EVICTED, message)


def _evicted(message: str, *, alone: bool) -> Failure:
    """Return the failure of an eviction by the kubelet, which says in its words which resource ran out."""
    text = " ".join(message.split()).rstrip(".")
    bound = _OWN_DISK.search(text)
    if bound is None:
        return _failure(Reason.EVICTED, text)
    why = f"{Reason.DISK.text}: the limit is {bound[1]} ({text})"
    if not alone:
        # Several attempts shared the disk. The one that wrote too much is not known, so none of them is blamed.
        return _failure(Reason.EVICTED, why)
    return Failure(reason=Reason.DISK, message=why, hint='give it more: `@fw.task(disk="…")`')


def _out_of_memory(peak: int, limit: int, *, alone: bool) -> Failure:
    used = f": {format_memory(peak)} were in use" if peak else ""
    of = f" of {format_memory(limit)}" if limit and peak else ""
    if not alone:
        # Several attempts shared the memory. The one that took too much is not known, so none of them is blamed.
        return _lost(f"its pod ran {Reason.OOM.text}{used}{of}")
    return Failure(
        reason=Reason.OOM,
        message=f"{Reason.OOM.text}{used}{of}",
        hint='give it more: `@fw.task(memory="…")`',
    )


def _node_lost() -> Failure:
    return _failure(Reason.NODE, "nothing was heard from it any more")


def _lost(text: str) -> Failure:
    return _failure(Reason.HOST, text)


def _failure(reason: Reason, text: str) -> Failure:
    return Failure(reason=reason, message=f"{reason.text}: {text}" if text else reason.text)
