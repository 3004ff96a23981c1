"""A map of 1,000 items on a cluster, beside what its items need and beside an Indexed Job by hand."""

from benchmarks import bare_job
from benchmarks.cluster import namespace_for
from benchmarks.measuring import Samples, alternate, milliseconds, of, spread, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

_SECONDS = 0.2
_OURS, _JOB = "Fairway", "Indexed Job"


def measure(bench: Bench) -> Figures:
    """The same items in turns. The Job has as many pods as Fairway had items at work at once."""
    items = bench.size(1000, 100)
    with namespace_for(bench) as there:
        there.prepare()
        words = ("--items", str(items), "--seconds", str(_SECONDS))
        bench.say("how many items are at work at once")
        pods = int(there.run("mapped", *words)["most"])
        bench.say(f"{items} items, {pods} at once")
        sides = {
            _OURS: lambda: there.run("mapped", *words),
            _JOB: lambda: bare_job.indexed(
                there.kubectl, there.namespace, there.job(), there.image, there.folder,
                pods=pods, items=items, seconds=_SECONDS,
            ),
        }  # fmt: skip
        return {"items": items, "pods": pods, "mapped": alternate(sides, bench.size(3, 1))}


def tell(figures: Figures) -> Told:
    """One row, and both sides."""
    found: Samples = figures["mapped"]
    beside = spread([one["mapped"] * one["most"] / one["together"] for one in found[_OURS]])
    job = of(found, _JOB).middle
    rows = (
        (
            "the map, from its call until all results are known",
            milliseconds(of(found, _OURS, "mapped").middle),
        ),
        ("the whole run", milliseconds(of(found, _OURS).middle)),
        (f"an Indexed Job of {figures['pods']} pods, until it is complete", milliseconds(job)),
        ("items at work at once, at most", f"{of(found, _OURS, 'most').middle:.0f}"),
    )
    return Told(
        (
            Seen(
                milliseconds(of(found, _OURS, "mapped").middle), f"Indexed Job {milliseconds(job)}", times(beside),
                beside.middle <= 1.5,
                "Pods start while the map is under way, and each item is put on record.",
            ),
        ),
        (Table(("What", f"{figures['items']} items"), rows),),
        (
            f"Each item waits {1000 * _SECONDS:.0f} ms and asks for a quarter of a core. Its ideal is the sum of what the items "
            "took by the most that were at work at once. The pods of the Job have equal shares of the items and keep no record.",
        ),
    )  # fmt: skip


SUBJECT = Subject(
    name="mapping",
    title="A map on a cluster",
    says="A map whose items wait, in pods that Kubernetes places, beside an Indexed Job that is written by hand.",
    goals=(Goal("a map of 1,000 items on a cluster", "≤ 1.5 × its ideal"),),
    measure=measure,
    tell=tell,
)
