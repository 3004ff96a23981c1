"""Short names for runs, easy to read out and to type."""

import os

_ALPHABETS = ("abcdefghjkmnpqrstuvwxyz", "23456789")


def new_name(taken: "set[str] | frozenset[str]" = frozenset()) -> str:
    """A name such as "k7m2" that is not taken; one place longer when names of four places run out."""
    places = 4
    for tries in range(1, 1 << 16):
        drawn = os.urandom(places)
        name = "".join(
            _ALPHABETS[place % 2][byte % len(_ALPHABETS[place % 2])] for place, byte in enumerate(drawn)
        )
        if name not in taken:
            return name
        if tries % 64 == 0:
            places += 2
    raise AssertionError("no free name")
