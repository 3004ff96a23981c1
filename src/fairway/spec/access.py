"""The people who ask a platform for something, and what each of them may do."""

import enum
from contextvars import ContextVar

import msgspec

from fairway.spec.errors import UsageError

acting: ContextVar[str] = ContextVar("fairway.acting", default="")
"""The name of the person for whom the present work is done. It is empty if that is the user of this process."""


class Role(enum.IntEnum):
    """The rights of a person. Each role includes those below it.

    A viewer looks. A runner starts and stops runs. A deployer decides what serves. An administrator gives and takes rights.
    """

    VIEWER = 1
    RUNNER = 2
    DEPLOYER = 3
    ADMINISTRATOR = 4

    @property
    def word(self) -> str:
        """The role as a word, such as "viewer"."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "Role":
        """Return the role that a word names. Raises UsageError."""
        found = next((role for role in cls if role.word == word), None)
        if found is None:
            raise UsageError(f"{word[:40]!r} is no role", hint=f"the roles are {', '.join(map(_word, cls))}")
        return found


def _word(role: Role) -> str:
    return role.word


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """A person whose request has passed the gate.

    Attributes:
        name: the name of the token, or of the user on this machine.
        role: the rights of the person.
        proof: the text that each form of this session carries. Another site cannot read it. It is empty for a client that
            shows its token in a header, which another site cannot make a browser send.
    """

    name: str
    role: Role
    proof: str = ""


def lacking(actor: Actor, needed: Role) -> tuple[str, str]:
    """Return why a person may not do something, and the hint."""
    return (
        f"this needs the role {needed.word}, and {actor.name} has {actor.role.word}",
        "an administrator gives it: `fairway tokens`",
    )


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """The name and the role of whoever asks a platform."""

    name: str
    role: str


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """The token of a person, without the text that the person keeps.

    Attributes:
        name: the name of the person, or of the program that uses it.
        role: the rights of whoever shows it, as a word.
        given: the time when it was given, in seconds since the epoch.
        used: the time of its last use, to the minute. It is 0 for a token that was never used.
    """

    name: str
    role: str
    given: float
    used: float = 0.0


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was just given. Its text is shown this once, because only a hash of it is kept."""

    name: str
    role: str
    token: str
