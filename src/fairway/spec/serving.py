"""Endpoints over time: their deployments, what their servers printed, their traffic, and a request sent for somebody."""

from typing import Annotated

import msgspec

from fairway.spec.quantities import Bounds

LATENCIES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds, in seconds, of the classes into which the times of answers are counted."""

LONGEST_REQUEST = 2**19
"""The most bytes of a request that is sent for somebody."""

LONGEST_REPLY = 4 * 2**20
"""The most bytes of its answer that are read."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The fact that an endpoint was pointed to a revision, or was taken away.

    Attributes:
        endpoint: the name of the endpoint.
        revision: the number of the revision that answers from then on. It is 0 when the endpoint was taken away.
        time: the time in seconds since the epoch.
        who: the person or program that did it, if that is known.
        reason: the cause in words, such as "deployed" or "rolled back from 4".
        model: the name of the model that the revision serves. It is empty for a function.
        version: the version of the model.
        function: the function that the revision serves. It is empty for a model.
        replicas: the number of replicas of the revision.
        private: True when requests need a key.
    """

    endpoint: str
    revision: int
    time: float
    who: str = ""
    reason: str = ""
    model: str = ""
    version: int = 0
    function: str = ""
    replicas: Bounds = Bounds()
    private: bool = False

    @property
    def serves(self) -> str:
        """The thing that the revision serves, in words."""
        if self.function:
            return f"function {self.function}"
        return f"{self.model} version {self.version}" if self.model else ""


class ServerOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The last lines that one server of an endpoint printed.

    Attributes:
        revision: the number of the revision that the server serves.
        server: the name of the server: the number of a worker of this machine, or the name of a pod.
        lines: the lines, oldest first.
        cut: True when there were lines before these.
    """

    revision: int
    server: str
    lines: tuple[str, ...] = ()
    cut: bool = False


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that the platform sends to one of its endpoints.

    Attributes:
        method: the method of HTTP.
        path: the path below the address of the endpoint.
        body: the content.
        kind: the media type of the content.
        key: the key of a private endpoint. It is sent and not kept.
    """

    method: Annotated[str, msgspec.Meta(pattern="^(GET|POST)$")] = "POST"
    path: Annotated[str, msgspec.Meta(pattern="^/[!-~]*$", max_length=2000)] = "/"
    body: bytes = b""
    kind: Annotated[str, msgspec.Meta(pattern="^[!-~ ]*$", max_length=200)] = "application/json"
    key: Annotated[str, msgspec.Meta(pattern="^[!-~]*$", max_length=500)] = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of an endpoint to a `Question`.

    Attributes:
        status: the status of HTTP.
        kind: the media type of the content.
        body: the content, at most `LONGEST_REPLY` bytes.
        seconds: the time from the request to the whole answer.
        cut: True when the answer was longer.
    """

    status: int
    kind: str = ""
    body: bytes = b""
    seconds: float = 0.0
    cut: bool = False


class Counts(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The requests for predictions within a length of time.

    Attributes:
        requests: the number of answered requests.
        errors: those of them with a status from 500.
        refused: those of them with a status from 400 to 499.
        seconds: the time of all answers together.
        latencies: the number of answers by class of `LATENCIES`, and in the last place of those that took longer.
        batches: the number of batches that were computed.
        rows: the number of rows in them.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    seconds: float = 0.0
    latencies: list[int] = []
    batches: int = 0
    rows: int = 0

    def add(self, other: "Counts") -> None:
        """Add the requests of another length of time."""
        self.requests += other.requests
        self.errors += other.errors
        self.refused += other.refused
        self.seconds += other.seconds
        self.batches += other.batches
        self.rows += other.rows
        wide = max(len(self.latencies), len(other.latencies))
        padded = [one + [0] * (wide - len(one)) for one in (self.latencies, other.latencies)]
        self.latencies = [here + there for here, there in zip(*padded, strict=True)]

    def since(self, earlier: "Counts") -> "Counts":
        """Return the requests since an earlier count of the same servers. Counts that went back began anew."""
        if earlier.requests > self.requests or earlier.batches > self.batches:
            return self
        before = earlier.latencies + [0] * (len(self.latencies) - len(earlier.latencies))
        return Counts(
            requests=self.requests - earlier.requests,
            errors=max(0, self.errors - earlier.errors),
            refused=max(0, self.refused - earlier.refused),
            seconds=max(0.0, self.seconds - earlier.seconds),
            latencies=[max(0, now - then) for now, then in zip(self.latencies, before, strict=False)],
            batches=self.batches - earlier.batches,
            rows=max(0, self.rows - earlier.rows),
        )

    def quantile(self, share: float) -> float | None:
        """Estimate the time within which a share of the answers came; None without any answer.

        Within its class, a time is taken to be spread evenly. Times beyond the last class count as its bound.
        """
        whole = sum(self.latencies)
        if not whole:
            return None
        wanted, passed, low = share * whole, 0, 0.0
        for bound, count in zip(LATENCIES, self.latencies, strict=False):
            if count and passed + count >= wanted:
                return low + (bound - low) * (wanted - passed) / count
            passed, low = passed + count, bound
        return LATENCIES[-1]


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """The requests in one stretch of time, which begins at `start` in seconds since the epoch."""

    start: float
    counts: Counts


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """The requests that an endpoint answered lately. Stretches without any are left out.

    Attributes:
        until: the time of the last look in seconds since the epoch; 0 when nobody has looked yet.
        hour: the last hour by minutes.
        day: the last day by quarters of an hour.
    """

    until: float = 0.0
    hour: tuple[Stretch, ...] = ()
    day: tuple[Stretch, ...] = ()
