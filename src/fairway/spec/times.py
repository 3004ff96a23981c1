"""Points in time as people write them: "7d" for seven days ago, or a date."""

import datetime as dt

from fairway.spec.errors import UsageError
from fairway.spec.quantities import parse_duration


def parse_moment(text: str, now: float) -> float:
    """Return the seconds since the epoch of "7d", "2h30m" (so long ago), "2026-11-01" or "2026-11-01 12:00".

    Without a zone, the time is local.

    Raises:
        UsageError: it is none of these.
    """
    try:
        return now - parse_duration(text.strip())
    except UsageError:
        pass
    try:
        return dt.datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{text[:40]!r} is no time",
            hint='write "7d" or "2h" for so long ago, or a date such as "2026-11-01"',
        ) from None
