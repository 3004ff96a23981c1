"""Counts and times of a worker, shared with the other workers of its revision, in the Prometheus text format.

Requests only touch plain numbers; those go into the shared counters a few times a second. Knows no route's meaning.
"""

import asyncio
import os
from collections import Counter as Tally
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from fairway.server.answers import Answer

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
_PAUSE = 0.25
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one worker. `endpoint`, `version` and `runtime` label the build information."""

    def __init__(self, endpoint: str, version: str) -> None:
        own = CollectorRegistry()
        names = ("endpoint",)
        self._requests = Counter(
            "fairway_requests", "Requests answered", (*names, "route", "code"), registry=own
        )
        self._seconds = Histogram(
            "fairway_request_seconds", "Time to answer", (*names, "route"), buckets=_SECONDS, registry=own
        )
        self._rows = Histogram(
            "fairway_batch_rows", "Rows computed at once", names, buckets=_ROWS, registry=own
        )
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
        self._times: dict[str, list[float]] = {}
        self._batches: list[int] = []
        self._pending = False
        self.in_flight = 0
        self.depth = 0

    def answered(self, route: str, code: int, seconds: float) -> None:
        """A request is over."""
        self._tally[route, code] += 1
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = []
        times.append(seconds)
        if not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_later(_PAUSE, self._share)

    def batch(self, rows: int) -> None:
        """A batch was computed."""
        self._batches.append(rows)

    def text(self) -> Answer:
        """All workers' metrics together."""
        self._share()
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return Answer(200, generate_latest(registry), _TEXT)

    def _share(self) -> None:
        self._pending = False
        tally, self._tally = self._tally, Tally()
        times, self._times = self._times, {}
        batches, self._batches = self._batches, []
        for (route, code), count in tally.items():
            self._requests.labels(self._endpoint, route, str(code)).inc(count)
        for route, spent in times.items():
            histogram = self._seconds.labels(self._endpoint, route)
            for seconds in spent:
                histogram.observe(seconds)
        for rows in batches:
            self._rows.labels(self._endpoint).observe(rows)
        self._queue.labels(self._endpoint).set(self.depth)
        self._flight.labels(self._endpoint).set(self.in_flight)


def forget_dead(folder: Path) -> None:
    """Take the live gauges of workers that are gone out of the shared folder; their counts stay."""
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
