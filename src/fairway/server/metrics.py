"""The metrics of a worker in the Prometheus text format, shared with the other workers of its revision.

A request only changes plain numbers. A timer adds these to the shared counters four times a second, so the cost of sharing
does not grow with the number of requests. Knows nothing about the meaning of a route.
"""

import asyncio
import os
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Metric,
    generate_latest,
    mmap_dict,
    multiprocess,
)
from prometheus_client.values import ValueClass

from fairway.server.answers import Answer

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0)
_PAUSE = 0.25
_ASKED = ("infer", "predict")
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


def _open_private(path: str, mode: str) -> IO[Any]:
    """Open a shared file of the library, which anybody may read otherwise if the mask of this process allows it."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600))


# The library has no setting for it, and the mask belongs to the whole process, which runs the user's code.
mmap_dict.open = _open_private  # pyright: ignore[reportAttributeAccessIssue]


class Inferences(NamedTuple):
    """The totals of all workers: requests that succeeded and that failed, rows and batches that were computed.

    `seconds` is the time of all requests together. `last_ms` is the time of this worker's last answer, in milliseconds
    since 1970.
    """

    good: int
    bad: int
    seconds: float
    rows: int
    batches: int
    last_ms: int


class Observed:
    """The observations since the last sharing: the count of each bucket, and the sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, amount: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.total += amount


class SharedHistogram:
    """A histogram in the files that workers share. The library's own histogram costs 3 µs for each observation."""

    def __init__(self, name: str, about: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self._bounds = bounds
        self._values: dict[tuple[str, ...], tuple[list[Any], Any]] = {}
        self._waiting: dict[tuple[str, ...], Observed] = {}

    def at(self, *labelled: str) -> Observed:
        """Return the observations for these labels. Add to them before the next `share`."""
        waiting = self._waiting.get(labelled)
        if waiting is None:
            waiting = self._waiting[labelled] = Observed(self._bounds)
        return waiting

    def share(self) -> None:
        """Add the observations to the shared counters."""
        waiting, self._waiting = self._waiting, {}
        for labelled, observed in waiting.items():
            buckets, total = self._values.get(labelled) or self._made(labelled)
            for bucket, count in zip(buckets, observed.counts, strict=True):
                if count:
                    bucket.inc(count)
            total.inc(observed.total)

    def _made(self, labelled: tuple[str, ...]) -> tuple[list[Any], Any]:
        def value(suffix: str, labels: tuple[str, ...], labelled: tuple[str, ...]) -> Any:
            return ValueClass("histogram", self._name, self._name + suffix, labels, labelled, self._about)

        bounds = [*map(str, self._bounds), "+Inf"]
        buckets = [value("_bucket", (*self._labels, "le"), (*labelled, bound)) for bound in bounds]
        made = self._values[labelled] = buckets, value("_sum", self._labels, labelled)
        return made


class Metrics:
    """The metrics of one worker. `endpoint` and `version` are the labels of `fairway_revision_info`."""

    def __init__(self, endpoint: str, version: str) -> None:
        own = CollectorRegistry()
        names = ("endpoint",)
        self._requests = Counter(
            "fairway_requests", "Requests answered", (*names, "route", "code"), registry=own
        )
        self._seconds = SharedHistogram(
            "fairway_request_seconds", "Time to answer", (*names, "route"), _SECONDS
        )
        self._rows = SharedHistogram("fairway_batch_rows", "Rows computed at once", names, _ROWS)
        self._queue = Gauge(
            "fairway_queue_depth", "Requests waiting", names, registry=own, multiprocess_mode="livesum"
        )
        self._flight = Gauge(
            "fairway_in_flight", "Requests being answered", names, registry=own, multiprocess_mode="livesum"
        )
        info = Gauge(
            "fairway_revision_info",
            "What is served",
            (*names, "version"),
            registry=own,
            multiprocess_mode="livemax",
        )
        info.labels(endpoint, version).set(1)
        self._endpoint = endpoint
        self._tally: Tally[tuple[str, int]] = Tally()
        self._pending = False
        self._last_ms = 0
        self.in_flight = 0
        self.depth = 0

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._tally[route, code] += 1
        self._seconds.at(self._endpoint, route).add(seconds)
        if not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_later(_PAUSE, self._share)

    def batch(self, rows: int) -> None:
        """Count a batch that was computed."""
        self._rows.at(self._endpoint).add(rows)

    def text(self) -> Answer:
        """Return the metrics of all workers together."""
        self._share()
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return Answer(200, generate_latest(registry), _TEXT)

    def inferences(self) -> Inferences:
        """Return the totals of requests for predictions. Health checks and descriptions do not count."""
        self._share()
        good = bad = 0
        seconds = rows = batches = 0.0
        registry = CollectorRegistry()
        families = cast("Iterable[Metric]", multiprocess.MultiProcessCollector(registry).collect())
        for family in families:
            for sample in family.samples:
                asked = sample.labels.get("route") in _ASKED
                if sample.name == "fairway_requests_total" and asked:
                    served = sample.labels["code"] == "200"
                    good, bad = good + int(sample.value) * served, bad + int(sample.value) * (not served)
                elif sample.name == "fairway_request_seconds_sum" and asked:
                    seconds += sample.value
                elif sample.name == "fairway_batch_rows_sum":
                    rows += sample.value
                elif sample.name == "fairway_batch_rows_count":
                    batches += sample.value
        return Inferences(good, bad, seconds, int(rows), int(batches), self._last_ms)

    def _share(self) -> None:
        self._pending = False
        tally, self._tally = self._tally, Tally()
        if any(route in _ASKED and code == 200 for route, code in tally):
            self._last_ms = int(time.time() * 1000)
        for (route, code), count in tally.items():
            self._requests.labels(self._endpoint, route, str(code)).inc(count)
        self._seconds.share()
        self._rows.share()
        self._queue.labels(self._endpoint).set(self.depth)
        self._flight.labels(self._endpoint).set(self.in_flight)


def forget_dead(folder: Path) -> None:
    """Remove the live gauges of workers that have ended from the shared folder. Their counters stay."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not _alive(int(pid)):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
