"""The least it could cost: save, sha256, map. `handing_limit.py MEGABYTES COUNT FOLDER [sync]` prints the seconds."""

import hashlib
import os
import sys
import time
from pathlib import Path

import numpy as np

MEGABYTES, COUNT, FOLDER, SYNC = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), "sync" in sys.argv


def main() -> None:
    """So many arrays, one after the other."""
    seen: list[float] = []
    for number in range(COUNT):
        array = np.random.default_rng(number).random(MEGABYTES * 125_000)
        path = FOLDER / f"{number}.npy"
        begun = time.monotonic()
        with open(path, "wb") as file:
            np.save(file, array)
            file.flush()
            if SYNC:
                os.fsync(file.fileno())
        with open(path, "rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()
        mapped = np.load(path, mmap_mode="r")
        seen.append(time.monotonic() - begun)
        assert mapped[-1] < 1
    sys.stdout.write(" ".join(map(str, seen)))


if __name__ == "__main__":
    main()
