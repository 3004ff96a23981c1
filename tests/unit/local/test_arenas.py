"""The allocator of the system: one pool for all threads where a process asks for that."""

import subprocess
import sys

import pytest

from fairway.control import process

_THREADS = """
import re, sys, threading
from fairway.local import arenas
if sys.argv[1] == "shared":
    arenas.share_one()
inside = threading.Barrier(5)
def allocate():
    held = [bytes(2000) for _ in range(100)]
    inside.wait(60)
    inside.wait(60)
threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
inside.wait(60)
heaps = 0
for line in open("/proc/self/maps"):
    first, last, rights = re.match(r"(\\w+)-(\\w+) (\\S+)", line).groups()
    # GNU libc reserves 64 MiB for the pool of a thread, and uses the beginning.
    heaps += rights == "---p" and 60 << 20 < int(last, 16) - int(first, 16) <= 64 << 20
inside.wait(60)
print(heaps)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has this library")
def test_threads_share_one_pool_of_memory_where_the_process_asks_for_it():
    def heaps(way: str) -> int:
        words = [sys.executable, "-c", _THREADS, way]
        return int(subprocess.run(words, capture_output=True, check=True, timeout=120).stdout)

    if not heaps("apart"):
        pytest.skip("the library of this system has no pools for threads")
    assert heaps("shared") == 0


def test_the_platform_asks_for_one_pool_before_it_opens_its_store(tmp_path, monkeypatch):
    order: list[str] = []

    class Opened(Exception):
        pass

    def opened(root: object) -> None:
        order.append("store")
        raise Opened

    monkeypatch.setattr(process.arenas, "share_one", lambda: order.append("pool"))
    monkeypatch.setattr(process.machine, "LocalStores", opened)
    with pytest.raises(Opened):
        process.serve(tmp_path, print)
    assert order == ["pool", "store"]
