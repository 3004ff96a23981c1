"""The deeds of people on a platform: every change that somebody asked for, with time and name, as the log has it."""

from typing import Annotated, Literal, get_args

import msgspec

Kind = Literal["run", "model", "endpoint", "store", "token", "webhook"]
"""The kind of a thing that people change."""

KINDS: tuple[Kind, ...] = get_args(Kind)


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A change that a person asked for.

    Attributes:
        number: the place in the log.
        time: the time of the change in seconds since the epoch.
        who: the name of the person. It is empty for a change that an earlier version recorded.
        did: the change as a word, such as "deployed".
        kind: the kind of the thing.
        name: the name of the thing. It is empty for the store.
        detail: more about the change, such as the revision that was deployed.
    """

    number: int
    time: float
    who: str
    did: str
    kind: Kind
    name: str = ""
    detail: str = ""


class DeedQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deeds that somebody wants, newest first.

    Attributes:
        who: only those of this person.
        kind: only those on things of this kind.
        name: only those on the thing of this name.
        limit: at most so many.
        before: only those with a lower number; 0 for the newest.
    """

    who: str = ""
    kind: Kind | None = None
    name: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    before: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0
