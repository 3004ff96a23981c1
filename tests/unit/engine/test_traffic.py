"""Requests counted over time, in bounded space and across restarts."""

import asyncio

from fairway.engine.traffic import TrafficKeeper
from fairway.spec.serving import LATENCIES, Counts


class Clock:
    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class File:
    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.writes = 0

    def read(self) -> bytes:
        return self.content

    def write(self, content: bytes) -> None:
        self.content = content
        self.writes += 1


class Ground:
    """A keeper whose servers count what a test says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.file = File()
        self.servers: dict[tuple[str, str], Counts] = {}
        self.keeper = self.made()

    def made(self) -> TrafficKeeper:
        return TrafficKeeper(lambda: dict(self.servers), self.file, self.clock)

    def count(self, name: str, requests: int) -> None:
        self.servers["churn", name] = Counts(requests=requests, batches=requests, rows=requests)

    def look(self, after: float) -> None:
        self.clock.time += after
        self.keeper.look()

    def seen(self, endpoint: str = "churn") -> list[int]:
        traffic = asyncio.run(self.keeper.traffic(endpoint))
        return [one.counts.requests for one in traffic.hour]


def test_what_came_before_the_first_look_belongs_to_no_minute() -> None:
    ground = Ground()
    ground.count("r1", 500)
    ground.look(0)
    ground.count("r1", 507)
    ground.look(10)
    assert ground.seen() == [7]


def test_each_minute_has_its_own_count_and_those_of_several_servers_are_added() -> None:
    ground = Ground()
    ground.look(0)
    for minute in range(3):
        ground.count("r1", 10 * (minute + 1))
        ground.count("r2", minute + 1)
        ground.look(60)
    assert ground.seen() == [11, 11, 11]


def test_a_server_that_began_anew_is_counted_from_zero() -> None:
    ground = Ground()
    ground.look(0)
    ground.count("r1", 100)
    ground.look(10)
    ground.count("r1", 3)
    ground.look(10)
    assert sum(ground.seen()) == 103


def test_counts_survive_the_end_of_the_platform() -> None:
    ground = Ground()
    ground.look(0)
    ground.count("r1", 5)
    ground.keeper.close()
    ground.keeper = ground.made()
    ground.count("r1", 9)
    ground.look(20)
    assert sum(ground.seen()) == 9


def test_requests_of_a_time_without_a_platform_are_put_into_no_minute() -> None:
    ground = Ground()
    ground.look(0)
    ground.count("r1", 5)
    ground.keeper.close()
    ground.keeper = ground.made()
    ground.count("r1", 100_000)
    ground.look(3000)
    ground.count("r1", 100_001)
    ground.look(10)
    assert sum(ground.seen()) == 6


def test_what_is_old_is_forgotten_so_the_book_stays_small() -> None:
    ground = Ground()
    for number in range(3000):
        ground.count("r1", number + 1)
        ground.look(60)
    traffic = asyncio.run(ground.keeper.traffic("churn"))
    assert (len(traffic.hour), len(traffic.day)) == (60, 96)
    ground.keeper.keep()
    assert len(ground.file.content) < 50_000


def test_an_idle_endpoint_writes_nothing() -> None:
    ground = Ground()
    for _ in range(10):
        ground.look(60)
        ground.keeper.keep()
    assert ground.file.writes == 0


def test_a_damaged_book_is_begun_anew() -> None:
    ground = Ground()
    ground.file.content = b"\xff{not json"
    ground.look(0)
    ground.count("r1", 2)
    ground.look(10)
    assert ground.seen() == [2]


def test_a_quantile_lies_within_the_class_that_holds_it() -> None:
    latencies = [0] * (len(LATENCIES) + 1)
    latencies[1], latencies[4] = 90, 10
    counts = Counts(requests=100, latencies=latencies)
    assert 0.0005 < (counts.quantile(0.5) or 0) < 0.001
    assert 0.005 < (counts.quantile(0.99) or 0) < 0.01
    assert Counts().quantile(0.5) is None
    assert Counts(latencies=[*[0] * len(LATENCIES), 4]).quantile(0.5) == LATENCIES[-1]
