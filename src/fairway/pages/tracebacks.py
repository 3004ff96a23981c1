"""The place in a person's own code that a traceback leads to."""

import re

_FRAME = re.compile(r'^  File "(.+)", line (\d+), in (.+)$', re.MULTILINE)
_FOREIGN = ("/site-packages/", "/dist-packages/", "<frozen ", "/lib/python")


def frame_of(details: str) -> str:
    """Return the last frame of a person's own code, such as "churn.py:42 in train"; empty without one."""
    frames = [found.groups() for found in _FRAME.finditer(details)]
    own = [frame for frame in frames if not any(mark in frame[0] for mark in _FOREIGN)]
    if not own:
        return ""
    path, line, function = own[-1]
    return f"{path.rpartition('/')[2]}:{line} in {function}"
