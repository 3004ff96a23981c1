"""What servers printed before they ended is kept, each end once, although the cluster keeps the last one alone."""

import asyncio
from typing import Any

import msgspec

from fairway.cluster.endpoints.ended import EndedOutput
from fairway.cluster.observed import Pod
from fairway.spec.endpoint import ServerLine


def pod(*ends: str, name: str = "fw-churn-r2-x", running: bool = True) -> Pod:
    """Return a pod whose container has ended at some times."""
    states: list[dict[str, Any]] = [{"terminated": {"exitCode": 1, "finishedAt": end}} for end in ends]
    state = {"running": {"startedAt": "t"}} if running else states.pop()
    last = states[-1] if states else {}
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "uid": f"uid of {name}",
                "labels": {"fairway.dev/endpoint": "churn", "fairway.dev/revision": "2"},
            },
            "status": {"containerStatuses": [{"name": "server", "state": state, "lastState": last}]},
        },
        Pod,
    )


def second(number: int) -> str:
    return f"2026-11-29T14:00:{number:02d}"


def watched(*seen: tuple[Pod, dict[bool, list[tuple[str, str]]]]) -> list[ServerLine]:
    """Look at pods one after the other, while the cluster has some logs, and return what is kept."""
    logs: dict[bool, list[tuple[str, str]]] = {}

    async def read(name: str, previous: bool) -> list[tuple[str, str]]:
        return logs.get(previous, [])

    async def work() -> list[ServerLine]:
        output = EndedOutput(read)
        for one, there in seen:
            logs.clear()
            logs.update(there)
            output.look([one])
            for _ in range(5):
                await asyncio.sleep(0)
        return output.lines("churn")

    return asyncio.run(work())


def test_each_of_three_ends_is_kept_once() -> None:
    first, later, last = ([(f"{second(number)}.5Z", f"crash {number}")] for number in (1, 12, 33))
    found = watched(
        (pod(f"{second(1)}Z", running=False), {False: first}),
        (pod(f"{second(1)}Z"), {False: [(f"{second(2)}.1Z", "begins")], True: first}),
        (pod(f"{second(1)}Z", f"{second(12)}Z"), {True: later}),
        (pod(f"{second(12)}Z", f"{second(33)}Z", running=False), {False: last, True: later}),
    )
    assert [line.text for line in found] == ["crash 1", "crash 12", "crash 33"]
    assert {(line.revision, line.pod, line.previous) for line in found} == {(2, "fw-churn-r2-x", True)}


def test_the_output_of_the_next_container_is_not_taken_for_that_of_the_one_that_ended() -> None:
    ended = pod(f"{second(5)}Z", running=False)
    next_one = [(f"{second(6)}.0Z", "begins")]
    before = [(f"{second(4)}.0Z", "crash")]
    assert [line.text for line in watched((ended, {False: next_one, True: before}))] == ["crash"]
    assert watched((ended, {False: next_one})) == []


def test_the_last_lines_of_a_long_output_are_kept() -> None:
    long = [(f"{second(1)}.{number:06d}Z", f"{number:01000d}") for number in range(1000)]
    found = watched((pod(f"{second(1)}Z", running=False), {False: long}))
    assert 60 < len(found) < 70
    assert found[-1].text == long[-1][1]
