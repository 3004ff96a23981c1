"""Events as earlier versions have written them are read."""

import msgspec

from fairway.spec.event import Event, RunResumed, RunStarted
from fairway.stores.folding import RunFold

STARTED = (
    b'{"type":"run.started","spec":{"name":"r1","pipeline":"main","project":"/p/flow.py","source":"ab12"}}'
)
RESUMED = b'{"type":"run.resumed","source":"cd34"}'


def test_a_run_of_before_code_was_kept_has_none() -> None:
    started = msgspec.json.decode(STARTED, type=RunStarted)
    resumed = msgspec.json.decode(RESUMED, type=RunResumed)
    fold = RunFold()
    fold.add([Event(body=started, run="r1"), Event(body=resumed, run="r1")])
    status = fold.status()
    assert status is not None
    assert (status.spec.source, status.spec.code, status.code) == ("ab12", "", "")
