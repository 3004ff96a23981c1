"""Webhooks: addresses that are told of the end of runs, and the outcome of each message."""

from enum import StrEnum

import msgspec


class Ending(StrEnum):
    """The end of a run, as a webhook asks for it."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook with all that is needed to post to it. It holds secrets, so it is in no log and in no answer.

    Attributes:
        url: the address. It may be a secret by itself, as with most chat services.
        on: the ends of runs that it is told of.
        pipeline: the pipeline whose runs it is told of. An empty name means all of them.
        key: the key that signs each message. It is empty if messages are not signed.
    """

    name: str
    url: str
    on: tuple[Ending, ...] = (Ending.FAILURE,)
    pipeline: str = ""
    key: str = ""

    def __repr__(self) -> str:
        """Return a text without the address and the key."""
        return f"NewWebhook({self.name!r})"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as it may be shown.

    Attributes:
        place: scheme and host of the address.
        signed: true if a key signs its messages.
    """

    name: str
    place: str
    on: tuple[Ending, ...]
    pipeline: str = ""
    signed: bool = False


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about the end of a run that webhooks are told. There is no value, parameter, output or secret among them.

    Attributes:
        id: an identifier of this end of this run. A repeated message has the same one.
        project: the name of the project file.
        ending: the kind of the end; None for a test.
        reason: one sentence that says why the run did not succeed. It is empty after a success.
        started, ended: seconds since the epoch.
    """

    id: str
    run: str
    pipeline: str
    project: str
    ending: Ending | None
    reason: str = ""
    started: float = 0.0
    ended: float = 0.0


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the message about an end of a run to a webhook.

    Attributes:
        notice: the identifier of the end.
        time: the time of the outcome in seconds since the epoch; 0 while there is none.
        delivered: true once the receiver has taken the message.
        status: the HTTP status of the last answer; 0 without one.
        tries: the number of tries.
        why: why the message was not taken.
    """

    hook: str
    notice: str
    time: float = 0.0
    delivered: bool = False
    status: int = 0
    tries: int = 0
    why: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one try to post a message.

    Attributes:
        status: the HTTP status of the answer; 0 without one.
        why: why the message was not taken. It is empty if it was.
        final: true if another try cannot do better.
    """

    status: int = 0
    why: str = ""
    final: bool = False
