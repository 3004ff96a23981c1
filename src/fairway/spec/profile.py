"""The profile of an attempt: where its time and its memory went."""

import msgspec


class Frame(msgspec.Struct, kw_only=True):
    """A function in the calls of an attempt, with the functions that it called.

    Attributes:
        name: the function with its file, such as "train (churn.py:12)".
        samples: the number of looks at which it was being called, itself or a function below it.
        own: the number of looks at which it worked itself.
        calls: the functions that it called, by name.
    """

    name: str
    samples: int = 0
    own: int = 0
    calls: "dict[str, Frame]" = msgspec.field(default_factory=lambda: dict[str, Frame]())


class Profile(msgspec.Struct, kw_only=True):
    """The profile of an attempt.

    Attributes:
        root: stands for the whole attempt.
        seconds: the time that the function of the step took.
        peak: the most bytes that Python objects held at a time; 0 when memory was not looked at.
        lines: the bytes that were held near that moment, by the line that made them, the most first.
    """

    root: Frame
    seconds: float = 0.0
    peak: int = 0
    lines: list[tuple[str, int]] = msgspec.field(default_factory=lambda: list[tuple[str, int]]())

    def busiest(self, most: int) -> list[tuple[str, int, int]]:
        """Return name, own and whole looks of the functions that worked most themselves, wherever they were called."""
        own: dict[str, int] = {}
        whole: dict[str, int] = {}
        _gather(self.root, own, whole, ())
        named = sorted((name for name in own if own[name]), key=lambda name: -own[name])
        return [(name, own[name], whole[name]) for name in named[:most]]


def _gather(frame: Frame, own: dict[str, int], whole: dict[str, int], above: tuple[str, ...]) -> None:
    for name, called in frame.calls.items():
        own[name] = own.get(name, 0) + called.own
        if name not in above:  # a function that calls itself counts once
            whole[name] = whole.get(name, 0) + called.samples
        _gather(called, own, whole, (*above, name))
