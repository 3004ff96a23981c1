"""Messages to webhooks: which one is wanted, its text, its signature, and what an answer means. Pure."""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence

import msgspec

from fairway.spec.run import Failure, Phase, Reason, RunSpec
from fairway.spec.text import legible, one_line, shortened
from fairway.spec.webhook import Answer, Ending, NewWebhook, Notice

TRIES = 3
PAUSES = (1.0, 4.0)
"""Seconds before the second and the third try."""

MOST_WAITING = 100
"""The messages that may wait for one webhook. Older ones are given up."""

OLDEST = 24 * 3600.0
"""Seconds after the end of a run in which it is worth a message."""

_LONGEST = 200
_ENDINGS = {
    Phase.SUCCEEDED: Ending.SUCCESS,
    Phase.FAILED: Ending.FAILURE,
    Phase.CANCELLED: Ending.CANCELLED,
}
_WORDS = {
    Ending.SUCCESS: ("succeeded", "succeeded", Phase.SUCCEEDED),
    Ending.FAILURE: ("failed", "failed", Phase.FAILED),
    Ending.CANCELLED: ("cancelled", "was cancelled", Phase.CANCELLED),
}
"""For each end the word in the type of a message, the words in its sentence, and the phase of the run."""

_TEST = ("test", "did not run: this is a test", "")
_RAISED = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w{0,60}(?:Error|Exception))(?::|$)")


def wanted(hooks: Sequence[NewWebhook], pipeline: str, phase: Phase) -> tuple[str, ...]:
    """Return the names of the webhooks that are told of an end."""
    ending = _ENDINGS.get(phase)
    return tuple(one.name for one in hooks if ending in one.on and one.pipeline in ("", pipeline))


def notice(
    id: str, spec: RunSpec, times: tuple[float, float], phase: Phase, failure: Failure | None
) -> Notice:
    """Return the facts about an end of a run. `times` are those of its start and its end."""
    return Notice(
        id=id,
        run=spec.name,
        pipeline=spec.pipeline,
        project=spec.project.rpartition("/")[2],
        ending=_ENDINGS[phase],
        reason=reason(failure) if failure is not None else "",
        started=times[0],
        ended=times[1],
    )


def reason(failure: Failure) -> str:
    """Return why a run did not succeed, as a sentence.

    The text of an exception often quotes data, so only the exception's name is told.
    """
    said = failure.reason.text or "it did not succeed"
    raised = _RAISED.match(failure.message) if failure.reason is Reason.USER else None
    if raised is not None:
        said = f"the code raised {raised[1]}"
    return f"step {failure.cause}: {said}" if failure.cause else said


def body(one: Notice, url: str, clean: Callable[[str], str]) -> bytes:
    """Return a message as JSON.

    Args:
        url: the address of the run's page; empty if it is not known.
        clean: takes secrets out of a text.
    """

    def safe(text: str) -> str:
        return shortened(one_line(legible(clean(text))), _LONGEST)

    kind, verb, phase = _WORDS[one.ending] if one.ending is not None else _TEST
    why = f": {one.reason}" if one.reason else ""
    message = {
        "id": one.id,
        "type": f"run.{kind}",
        "text": safe(f"run {one.run} of {one.pipeline} {verb}{why}"),
        "run": safe(one.run),
        "pipeline": safe(one.pipeline),
        "project": safe(one.project),
        "phase": str(phase),
        "reason": safe(one.reason),
        "started": _time(one.started),
        "ended": _time(one.ended),
        "seconds": round(max(0.0, one.ended - one.started), 3),
    }
    return msgspec.json.encode({**message, "url": url} if url else message)


def headers(content: bytes, id: str, key: str, moment: float) -> dict[str, str]:
    """Return the headers of a message that is posted at a moment."""
    found = {"content-type": "application/json", "fairway-event-id": id}
    if key:
        at = int(moment)
        found["fairway-signature"] = f"t={at},v1={signature(content, key, at)}"
    return found


def signature(content: bytes, key: str, at: int) -> str:
    """Return the HMAC-SHA256 over the time, a dot and the message, in hexadecimal digits."""
    return hmac.new(key.encode("utf-8", "surrogateescape"), b"%d." % at + content, hashlib.sha256).hexdigest()


def answered(status: int) -> Answer:
    """Return what an answer with a status means."""
    if 200 <= status < 300:
        return Answer(status=status, final=True)
    if 300 <= status < 400:
        return Answer(status=status, why=f"it answered {status}, and redirects are not followed", final=True)
    again = status >= 500 or status in (408, 425, 429)
    return Answer(status=status, why=f"it answered {status}", final=not again)


def _time(seconds: float) -> str:
    """Return a time in UTC as RFC 3339 has it; empty for 0."""
    if not seconds:
        return ""
    import datetime as dt  # most programs that load this module send no message

    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
