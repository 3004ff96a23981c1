"""The requests that the workers of this machine counted, read from the files in which they share their counters.

The workers do nothing for it. Each process of a revision has files of its own there, and those of a worker that has ended stay
until its revision ends.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from fairway import confined
from fairway.spec.errors import StorageError
from fairway.spec.serving import LATENCIES, Counts

_ASKED = ("infer", "predict")
_MOST = 16 * 2**20
_PLACE = {**{str(bound): place for place, bound in enumerate(LATENCIES)}, "+Inf": len(LATENCIES)}


def counted(root: Path) -> dict[tuple[str, str], Counts]:
    """Return what workers counted since their start, by endpoint and by the number of the revision."""
    found: dict[tuple[str, str], Counts] = {}
    if not confined.folder(str(root / "endpoints")):
        return found
    for folder in sorted((root / "endpoints").glob("*/r*/metrics")):
        counts = Counts(latencies=[0] * len(_PLACE))
        for path in (*folder.glob("counter_*.db"), *folder.glob("histogram_*.db")):
            with suppress(OSError, StorageError, ValueError):
                for name, labels, value in _values(confined.read_below(str(root), str(path), _MOST)):
                    _count(counts, name, labels, value)
        found[unquote(folder.parent.parent.name), folder.parent.name] = counts
    return found


def _count(counts: Counts, name: str, labels: dict[str, str], value: float) -> None:
    """Add one value of a counter. The buckets of a histogram lie apart in these files, and not one in the other."""
    if name == "fairway_batch_rows_sum":
        counts.rows += int(value)
    elif name == "fairway_batch_rows_bucket":
        counts.batches += int(value)
    elif labels.get("route") not in _ASKED:
        return
    elif name == "fairway_requests_total":
        counts.requests += int(value)
        counts.errors += int(value) if labels.get("code", "").startswith("5") else 0
        counts.refused += int(value) if labels.get("code", "").startswith("4") else 0
    elif name == "fairway_request_seconds_sum":
        counts.seconds += value
    elif name == "fairway_request_seconds_bucket" and labels.get("le", "") in _PLACE:
        counts.latencies[_PLACE[labels["le"]]] += int(value)


def _values(data: bytes) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield name, labels and value of each counter in a file of the metrics library.

    The file begins with the bytes in use and four bytes of room. An entry is the length of a text, the text, room to a multiple
    of eight bytes, and two numbers of which the first is the value. The text is a JSON list of metric, name, labels and
    description. Raises ValueError for anything else.
    """
    used = int.from_bytes(data[:4], "little")
    at = 8
    while at + 4 <= min(used, len(data)):
        length = int.from_bytes(data[at : at + 4], "little")
        text = data[at + 4 : at + 4 + length]
        behind = at + 4 + length + 8 - (length + 4) % 8
        value = memoryview(data)[behind : behind + 8]
        if len(value) < 8:
            raise ValueError("the file ends within an entry")
        key: Any = msgspec.json.decode(text)
        yield key[1], key[2], value.cast("d")[0]
        at = behind + 16
