"""The meaning of what a cluster shows of a pod that does not run yet. Pure functions: nothing is asked or waited for here.

Some findings are final: no waiting helps, and another attempt would find the same. The others are waited for, with a text
that says for what.
"""

import re

import msgspec

from fairway.cluster import placing
from fairway.cluster.fetching import PACKAGES
from fairway.cluster.observed import ContainerStatus, Event, Pod
from fairway.spec.run import Failure, Reason

_PULL_FINAL = re.compile(
    r"not ?found|manifest unknown|repository does not exist|name unknown|denied|unauthorized|forbidden"
    r"|authentication required|no match for platform|invalid reference",
    re.IGNORECASE,
)
_PULL_DENIED = re.compile(r"denied|unauthorized|forbidden|authentication required|\b40[13]\b", re.IGNORECASE)
_PULL_LIMITED = re.compile(r"toomanyrequests|too many requests|\b429\b", re.IGNORECASE)
_PULL_WAITS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "RegistryUnavailable",
)
_CONFIG_WAITS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<wanted>.+?), used: (?P<used>.+?), limited: (?P<hard>.+)$"
)
_AMOUNT = re.compile(r"([\w./-]+)=([\d.]+)([A-Za-z]*)")
_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{unit}i": 2.0 ** (10 * power) for power, unit in enumerate("KMGT", start=1)
}
_INSUFFICIENT = re.compile(r"(\d+) Insufficient ([\w./-]*\w)")
_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_TAINT = re.compile(r"(\d+) node\(s\) had untolerated taint(?:\(s\))? ?\{?([^},]*)")
_UNHELPED = re.compile(r"preemption: 0/(\d+) nodes are available: (\d+) Preemption is not helpful")
_GROWS = ("TriggeredScaleUp", "Nominated")
"""The reasons of events with which autoscalers say that they make a node for a pod."""

_NEVER_GROWS = "NotTriggerScaleUp"
_LOOK_SECONDS = 10.0
"""Seconds after which an autoscaler has looked at a pod with everything that it knows."""

_HOPELESS_SECONDS = 60.0
"""Seconds that a pod waits although it fits on no node that is there. An autoscaler says within this time that it makes one."""
_PULL_SECONDS = 30.0
"""Seconds after which a pull that the registry refuses counts as refused. The kubelet has tried it again by then."""
_CONFIG_SECONDS = 60.0
_TURN_SECONDS = 20.0
"""Seconds that a Job waits in a queue before it is said that the queue may be missing."""
_UNHEARD = "its pod runs and does not reach the control plane; a network policy may be in the way"
_UNHEARD_SECONDS = 30.0
_UNMADE = "its pod is not made yet"
_DOCTOR = "`fairway doctor` shows what the namespace allows"


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A finding about a pod that does not run yet.

    Attributes:
        text: what it waits for, for people. It is empty if nothing is known.
        failure: why it will never run.
        unplaced: True when no node has room for it now.
        over_quota: True when the quota of the namespace has no room for it now.
        again: True when the Job should be made anew after a pause, because Kubernetes would wait longer and longer itself.
    """

    text: str = ""
    failure: Failure | None = None
    unplaced: bool = False
    over_quota: bool = False
    again: bool = False

    @property
    def is_unmade(self) -> bool:
        """True when nothing is known of a pod, nor of a reason why there is none."""
        return self.text == _UNMADE


def in_queue(found: Pending, queue: str, waited: float) -> Pending:
    """Explain a Job without a pod that was put into a queue. It has none until it is its turn.

    Kueue tells nobody who may not read its own objects that a queue is missing, and a Job waits for that as well.
    """
    if not queue or not found.is_unmade:
        return found
    text = f"its turn in queue {queue}"
    if waited > _TURN_SECONDS:
        text += f"; if `kubectl get localqueue {queue}` does not find that queue, it waits for ever"
    return Pending(text=text)


def without_pod(events: tuple[Event, ...]) -> Pending:
    """Explain why a Job has no pod. Only the events of the Job tell it."""
    for event in reversed(events):
        if event.reason == "FailedCreate":
            return _refused(event.message)
    return Pending(text=_UNMADE)


def of_pod(pod: Pod, waited: float, events: tuple[Event, ...] = ()) -> Pending:
    """Explain why a pod is not of use yet, `waited` seconds after it was asked for."""
    if pod.status.phase == "Running":
        return Pending(text=_UNHEARD if waited > _UNHEARD_SECONDS else "")
    scheduled = pod.condition("PodScheduled")
    if scheduled.status == "False":
        asked = pod.metadata.annotations.get(placing.ASKED, "")
        return _unscheduled(scheduled.message or scheduled.reason, waited, events, asked)
    for container in pod.containers:
        found = _of_container(container, waited)
        if found is not None:
            return found
    if any(one.name == PACKAGES and one.state.running is not None for one in pod.containers):
        return Pending(text="its packages are fetched")
    mounts = [event.message for event in events if event.reason in ("FailedMount", "FailedAttachVolume")]
    if mounts:
        return _configured(f"a volume cannot be mounted: {_short(mounts[-1])}", waited)
    return Pending(text="its pod starts")


def _unscheduled(message: str, waited: float, events: tuple[Event, ...], asked: str) -> Pending:
    """Tell a pod that waits for others to end from one that would not fit if all of them did."""
    text = unschedulable(message, asked)
    claim = _CLAIM.search(message)
    if claim is not None:
        return _configured(f"there is no volume claim {claim[1]}", waited)
    unhelped = _UNHELPED.search(message)
    hopeless = unhelped is not None and unhelped[1] == unhelped[2]
    grows = any(event.reason in _GROWS for event in events)
    # An autoscaler that says that no new node would help spares the wait for one.
    patience = _LOOK_SECONDS if any(event.reason == _NEVER_GROWS for event in events) else _HOPELESS_SECONDS
    if hopeless and not grows and waited > patience:
        hint = "ask for less, or for what the nodes have: `kubectl describe nodes`"
        failure = Failure(
            reason=Reason.UNSCHEDULABLE, message=f"{Reason.UNSCHEDULABLE.text}: {text}", hint=hint
        )
        return Pending(text=text, failure=failure)
    return Pending(text=f"{text}; a new node is on its way" if grows else text, unplaced=not grows)


def unschedulable(message: str, asked: str = "") -> str:
    """Return what the scheduler says about all nodes, in words. `asked` is the choice of nodes, as it was written."""
    total = re.match(r"0/(\d+) nodes are available", message)
    parts = [f"too little {_resource(name)} on {count}" for count, name in _INSUFFICIENT.findall(message)]
    parts += [
        f"the taint {taint.strip().rstrip(':') or '(unnamed)'} on {count}"
        for count, taint in _TAINT.findall(message)
    ]
    selected = re.search(
        r"(\d+) node\(s\) didn't match (?:Pod's node affinity/selector|node selector)", message
    )
    if selected:
        parts.append(
            f"not {asked} on {selected[1]}" if asked else f"other labels than asked for on {selected[1]}"
        )
    if total and parts:
        return f"no node fits: {', '.join(parts)} of {total[1]} nodes"
    return f"no node fits: {_short(message)}"


def _refused(message: str) -> Pending:
    """Explain the refusal of a pod by the API server."""
    quota = _QUOTA.search(message)
    if quota is not None:
        return _quota(quota)
    if "failed calling webhook" in message or "timeout" in message.lower():
        return Pending(text=f"a webhook of the cluster does not answer: {_short(message)}", again=True)
    priority = re.search(r"no PriorityClass with name (\S+) was found", message)
    if priority is not None:
        hint = "name one that is there: `kubectl get priorityclasses`"
        return _final(Reason.ADMISSION, f"there is no class of priority {priority[1]}", hint)
    if "violates PodSecurity" in message:
        rule = message[message.index("violates PodSecurity") :]
        return _final(
            Reason.ADMISSION, _short(rule), "ask the administrator of the namespace which pods it allows"
        )
    limit = re.search(r"(?:maximum|minimum) .+? (?:usage )?per (?:Container|Pod) is .+", message)
    if limit is not None:
        return _final(
            Reason.ADMISSION,
            f"a limit range says: {_short(limit[0])}",
            "ask for as much as it allows: `kubectl get limitrange -o yaml`",
        )
    hook = re.search(r'admission webhook "(?P<name>[^"]+)" denied the request: ?(?P<why>.*)', message)
    if hook is not None:
        return _final(Reason.ADMISSION, f"{hook['name']} denied it: {_short(hook['why'])}", _DOCTOR)
    if "forbidden" in message:
        return _final(Reason.ADMISSION, _short(message), _DOCTOR)
    return Pending(text=f"its pod cannot be made: {_short(message)}", again=True)


def _quota(found: re.Match[str]) -> Pending:
    """Tell a quota that is used up from one that is too small even when nobody uses it."""
    wanted, used, hard = (_amounts(found[part]) for part in ("wanted", "used", "hard"))
    for name, (amount, text) in wanted.items():
        if name in hard and amount > hard[name][0]:
            why = f"quota {found['name']} allows {hard[name][1]} {_resource(name)} in all, and the pod needs {text}"
            return _final(Reason.QUOTA, why, "ask for less, or let an administrator raise the quota")
    full = [
        f"{_resource(name)} {used[name][1]} of {hard[name][1]}"
        for name in wanted
        if name in used and name in hard
    ]
    return Pending(text=f"quota {found['name']} is used up: {', '.join(full)}", again=True, over_quota=True)


def _amounts(text: str) -> dict[str, tuple[float, str]]:
    return {
        name: (float(number) * _UNITS.get(unit, 1.0), f"{number}{unit}")
        for name, number, unit in _AMOUNT.findall(text)
    }


def _of_container(container: ContainerStatus, waited: float) -> Pending | None:
    waiting = container.state.waiting
    if waiting is None:
        return None
    if waiting.reason in _PULL_WAITS:
        return _pull(container.image, waiting.reason, waiting.message, waited)
    if waiting.reason in _CONFIG_WAITS:
        return _configured(
            f"its container cannot be made: {_short(waiting.message or waiting.reason)}", waited
        )
    return None


def _configured(text: str, waited: float) -> Pending:
    """Return a fault of what a pod refers to. Somebody may be making that just now, so it is final only after a while."""
    if waited <= _CONFIG_SECONDS:
        return Pending(text=text)
    hint = "make what it names, or leave it out: `kubectl get secrets,configmaps,pvc`"
    return Pending(text=text, failure=Failure(reason=Reason.ENVIRONMENT, message=text, hint=hint))


def _pull(image: str, reason: str, message: str, waited: float) -> Pending:
    """Explain a pull that fails. What the registry itself refuses is final once it was tried again."""
    if _PULL_LIMITED.search(message):
        return Pending(text=f"the registry limits pulls of {image}: {_short(message)}")
    final = reason in ("InvalidImageName", "ErrImageNeverPull") or bool(_PULL_FINAL.search(message))
    if not final:
        # The image and its address stand before the cause, in quotes and several times.
        cause = message.rpartition('": ')[2] or message
        return Pending(text=f"its image {image} is not pulled yet: {_short(cause) or reason}")
    if _PULL_DENIED.search(message):
        why, hint = (
            f"the registry denies {image}",
            "name a Secret with its credentials: `fairway install --pull-secret NAME`",
        )
    else:
        why, hint = f"there is no image {image}", "push it: `fairway image push REGISTRY`"
    if waited < _PULL_SECONDS and reason != "InvalidImageName":
        return Pending(text=why)
    return _final(Reason.IMAGE, why, hint)


def _final(reason: Reason, why: str, hint: str) -> Pending:
    return Pending(text=why, failure=Failure(reason=reason, message=f"{reason.text}: {why}", hint=hint))


def _resource(name: str) -> str:
    """Return the name of a resource for people."""
    return {"cpu": "CPU"}.get(name.removeprefix("requests.").removeprefix("limits."), name)


def _short(text: str, most: int = 300) -> str:
    """Return a text in one line, cut where it grows too long."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= most else f"{line[:most]}…"
