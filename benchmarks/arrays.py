"""A hundred megabytes from one step to the next, beside Ray and the least that keeping them could cost."""

import re
import statistics
import sys
from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import Sample, alternate, command, milliseconds, of, ratio, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

COUNT = 3


def measure(bench: Bench) -> Figures:
    """From the moment the first function returns to the moment the second one is called."""
    megabytes = bench.size(100, 10)
    folder = bench.folder
    sides = {
        "Fairway": partial(_fairway, folder, megabytes),
        "save, sha256, map": partial(_limit, folder, megabytes, "plain"),
        "save, fsync, sha256, map": partial(_limit, folder, megabytes, "sync"),
    }
    ray = bench.peer("Ray")
    if ray:
        steps = bench.size(10, 2)
        sides["Ray"] = partial(_ray, ray, folder, megabytes, steps)
    bench.say(f"arrays of {megabytes} MB")
    return {"megabytes": megabytes, "handing": alternate(sides, bench.size(4, 1))}


def _fairway(folder: Path, megabytes: int) -> Sample:
    own = counting.fresh(folder)
    words = [counting.FAIRWAY, "run", counting.PROJECTS / "handing.py", "--out", own / "seen"]
    sizes = ["--megabytes", str(megabytes), "--count", str(COUNT)]
    command([*words, *sizes], own, {"FAIRWAY_HOME": str(own / "store")})
    seen = _median((own / "seen").read_text())
    command(["rm", "-r", own / "store"], own)
    return {"wall": seen}


def _limit(folder: Path, megabytes: int, how: str) -> Sample:
    own = counting.fresh(folder)
    words = [sys.executable, counting.PROJECTS / "handing_limit.py", str(megabytes), str(COUNT), own, how]
    command(words, own)
    for path in own.glob("*.npy"):
        path.unlink()
    return {"wall": _median((own / "command.log").read_text())}


def _ray(python: Path, folder: Path, megabytes: int, steps: int) -> Sample:
    own = counting.fresh(folder)
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    sizes = [str(megabytes), str(COUNT), str(steps)]
    command([python, counting.PROJECTS / "handing_ray.py", *sizes], own, settings)
    said = dict(re.findall(r"^(SEEN|WARM|STEP) (.*)$", (own / "command.log").read_text(), re.MULTILINE))
    return {"wall": _median(said["SEEN"]), "warm": _median(said["WARM"]), "step": float(said["STEP"])}


def _median(text: str) -> float:
    return statistics.median(map(float, text.split()))


def tell(figures: Figures) -> Told:
    """One row, and all sides."""
    handing = figures["handing"]
    limit = ratio(handing, "Fairway", "save, sha256, map")
    beside = f"save, sha256 and map {milliseconds(of(handing, 'save, sha256, map').middle)}"
    rows = [
        (name, milliseconds(of(handing, name).middle), times(ratio(handing, "Fairway", name)))
        for name in handing
    ]
    if "Ray" in handing:
        beside += f", Ray {milliseconds(of(handing, 'Ray').middle)}"
        rows[-1] = ("Ray, fresh process for each task", *rows[-1][1:])
        warm = of(handing, "Ray", "warm").middle
        rows.append(
            ("Ray, processes used again", milliseconds(warm), times(of(handing, "Fairway").middle / warm))
        )
        rows.append(("Ray, a step in a fresh process", milliseconds(of(handing, "Ray", "step").middle), ""))
    return Told(
        (
            Seen(
                milliseconds(of(handing, "Fairway").middle),
                beside,
                times(limit),
                limit.middle <= 1.5,
                "The content is on the disk before the next step begins (decision 0013); beside the same work with a sync it is "
                f"{times(ratio(handing, 'Fairway', 'save, fsync, sha256, map'))}.",
            ),
        ),
        (Table(("Side", f"{figures['megabytes']} MB", "Fairway beside it"), tuple(rows)),),
        (
            "From the return of one function to the call of the next, so with the start of the second step's process. "
            "Fairway stores the array under its digest, durably; Ray keeps it in memory only.",
        ),
    )


SUBJECT = Subject(
    name="arrays",
    title="An array between steps",
    says="100 MB of random numbers made in one step and used in the next, both isolated.",
    goals=(Goal("100 MB array between steps", "≤ 1.5× save + sha256 + map"),),
    measure=measure,
    tell=tell,
)
