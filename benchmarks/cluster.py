"""What a run on a cluster costs beside bare Kubernetes: a Job by hand, and kubectl."""

import itertools
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import bare_job
from benchmarks.counting import FAIRWAY, PROJECTS
from benchmarks.measuring import (
    Sample,
    Samples,
    Spread,
    alternate,
    clean,
    command,
    milliseconds,
    of,
    ratio,
    spread,
    times,
)
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

_PACED = re.compile(r"paced (\w+) ([0-9.]+)")
_RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
_LIMIT = 600.0


@dataclass(frozen=True)
class There:
    """A namespace of a cluster with Fairway in it, and a project on this machine that is sent there."""

    kubectl: str
    namespace: str
    image: str
    folder: Path
    turns: Iterator[int]

    @property
    def home(self) -> dict[str, str]:
        """The variables of a command: a home of its own, in which the target is kept."""
        return {"HOME": str(self.folder), "KUBECONFIG": os.environ["KUBECONFIG"]}

    def fairway(self, *words: str) -> Sample:
        """Measure a command of Fairway. What the pipeline printed of its own is in the sample too."""
        sample = command([FAIRWAY, *words], self.folder, self.home)
        told = _PACED.findall((self.folder / "command.log").read_text("utf-8", "replace"))
        return {**sample, **{name: float(figure) for name, figure in told}}

    def prepare(self) -> None:
        """Install Fairway in the namespace, and write the project."""
        self.fairway("install", "--namespace", self.namespace, "--image", self.image, "--ephemeral")
        self.fairway("target", "add", "bench", "--namespace", self.namespace)
        (self.folder / "project").mkdir()
        shutil.copy(PROJECTS / "paced.py", self.folder / "project")

    def run(self, pipeline: str, *words: str) -> Sample:
        """Measure a run, which no result of an earlier one answers."""
        begun, turn = time.time(), str(next(self.turns))
        sample = self.fairway(
            "run", f"project/paced.py:{pipeline}", "--turn", turn, *words, "--target", "bench"
        )
        return {**sample, "running": sample.get("began", begun) - begun}

    def edited(self) -> Sample:
        """Measure a run of a file that was changed since the last one."""
        file = self.folder / "project" / "paced.py"
        text = re.sub(r"EDITED = \d+", f"EDITED = {next(self.turns)}", file.read_text("utf-8"))
        file.write_text(text, "utf-8")
        return self.run("one")

    def job(self) -> str:
        """Return a name for a Job."""
        return f"bare-{next(self.turns)}"


def measure(bench: Bench) -> Figures:
    """A namespace of its own, with turns of Jobs and runs."""
    with namespace_for(bench) as there:
        bench.say("installing")
        figures: Figures = {"installing": alternate(_installing(there), bench.size(3, 1))}
        there.prepare()
        bench.say("parts of a run")
        parts = {
            "bare Job": lambda: bare_job.parts(there.namespace, there.job(), there.image),
            "with a token": lambda: bare_job.parts(there.namespace, there.job(), there.image, token=True),
            "Fairway": lambda: there.run("parts"),
        }
        figures["parts"] = alternate(parts, bench.size(5, 1))
        by_hand = (there.kubectl, there.namespace)
        bench.say("whole runs")
        whole = {
            "bare Job": lambda: bare_job.whole(*by_hand, there.job(), there.image, there.folder),
            "Fairway": lambda: there.run("one"),
            "edited": there.edited,
        }
        figures["whole"] = alternate(whole, bench.size(5, 1))
        bench.say("output")
        talking = {"bare Job": lambda: bare_job.talking(*by_hand, there.job(), there.image, there.folder)}
        figures["talking"] = alternate(talking, bench.size(5, 1))
    return figures


@contextmanager
def namespace_for(bench: Bench) -> Iterator[There]:
    """Give a namespace of its own, and the image of this version. Raises RuntimeError without a cluster."""
    registry, kubectl = os.environ.get("FAIRWAY_LAB_REGISTRY", ""), shutil.which("kubectl")
    if not (registry and kubectl and os.environ.get("KUBECONFIG")):
        raise RuntimeError(
            "set KUBECONFIG to a cluster's, FAIRWAY_LAB_REGISTRY to a registry that its nodes pull from, and have kubectl"
        )
    image = push_image(registry)
    with own_namespace(kubectl) as namespace:
        bench.versions["Kubernetes"] = version_of(kubectl)
        yield There(kubectl, namespace, image, bench.folder, itertools.count(int(time.time())))


def push_image(registry: str) -> str:
    """Push the image of this version, and return its name by digest."""
    base = os.environ.get("FAIRWAY_LAB_BASE", f"{registry}/python:3.11")
    words = ["image", "push", f"{registry}/fairway-bench", "--insecure", "--base", base, "--python", "3.11"]
    done = subprocess.run([FAIRWAY, *words], capture_output=True, text=True, timeout=_LIMIT, env=clean())
    if done.returncode:
        raise RuntimeError(f"the image could not be pushed: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def own_namespace(kubectl: str) -> Iterator[str]:
    """Make a namespace, and remove it."""
    name = f"fairway-bench-{secrets.token_hex(3)}"
    _kubectl(kubectl, "create", "namespace", name)
    try:
        _kubectl(kubectl, "label", "namespace", name, _RESTRICTED)
        _kubectl(kubectl, "wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=60s")
        yield name
    finally:
        _kubectl(kubectl, "delete", "namespace", name, "--wait=false")


def _kubectl(kubectl: str, *words: str) -> str:
    done = subprocess.run([kubectl, *words], capture_output=True, text=True, timeout=_LIMIT, env=clean())
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def version_of(kubectl: str) -> str:
    found = re.search(r"Server Version: v(\S+)", _kubectl(kubectl, "version"))
    return found[1] if found else "unknown"


def _installing(there: There) -> dict[str, Callable[[], Sample]]:
    """Return the two ways to install, each of which begins and ends with an empty namespace."""
    place = ("--namespace", there.namespace)
    options = (*place, "--image", there.image, "--ephemeral")
    rendered = there.folder / "fairway.yaml"

    def gone() -> None:
        command([FAIRWAY, "uninstall", *place, "--yes"], there.folder, there.home)

    def fairway() -> Sample:
        sample = there.fairway("install", *options)
        gone()
        return sample

    def kubectl() -> Sample:
        words = [FAIRWAY, "render", *options]
        done = subprocess.run(words, capture_output=True, timeout=_LIMIT, env=clean(), check=True)
        rendered.write_bytes(done.stdout)
        there_ = f"{there.kubectl} {' '.join(place)}"
        steps = f"{there_} apply -f {rendered} && {there_} rollout status deployment/fairway --timeout=300s"
        sample = command(["sh", "-c", steps], there.folder)
        gone()
        return sample

    return {"kubectl": kubectl, "fairway install": fairway}


def tell(figures: Figures) -> Told:
    """Five rows, and what has no goal."""
    parts: Samples = figures["parts"]
    whole: Samples = figures["whole"]
    code, over = _longer(parts, "code"), _longer(whole, "wall")
    known, small = of(parts, "Fairway", "known"), of(parts, "Fairway", "small")
    edit = of(whole, "edited", "running")
    seen = (
        Seen(
            milliseconds(of(parts, "Fairway", "code").middle), _bare(parts, "code"), _more(code), code.middle <= 0.5,
            "The pod of a step imports Fairway, connects to the control plane and imports the project before the first line of "
            "the step, and the pod of the Job has nothing to import. It also has a volume with a token, and a kubelet looks only "
            "every 300 ms whether volumes are there.",
        ),
        Seen(
            milliseconds(known.middle), _bare(parts, "known"), times(ratio(parts, "Fairway", "bare Job", "known")),
            known.middle <= 0.3,
            "The result goes to the store, is put on record and is read by the driver, on cores that were busy.",
        ),
        Seen(
            milliseconds(small.middle), "", "", small.middle <= 0.020,
            "Each step of a chain of 50 is put on record by the control plane before the next one begins. The first step of a "
            "driver takes longer.",
        ),
        Seen(
            milliseconds(of(whole, "Fairway").middle), _bare(whole, "wall"), _more(over), over.middle <= 2.0,
            "The command starts Python, sends the project, and waits for the driver's pod, which imports Fairway and "
            "the project.",
        ),
        Seen(
            milliseconds(edit.middle), _bare(whole, "wall"), "", edit.middle <= 2.0,
            "Every run gets a new pod for its driver, which is scheduled and started, and imports Fairway first.",
        ),
    )  # fmt: skip
    return Told(
        seen,
        (Table(("What", "Fairway", "Beside"), _others(figures)),),
        (
            "The nodes, their API server and this machine share its cores. The image was on every node. The Job by hand has the "
            "same image and size and prints the time; the connection that makes it is open already, as that of the control "
            "plane is. A Job is known to be over when it is `Complete`.",
        ),
    )


def _others(figures: Figures) -> tuple[tuple[str, ...], ...]:
    """Return the rows of what has no goal."""
    installing: Samples = figures["installing"]
    with_token = of(figures["parts"], "with a token", "code")
    kept = of(figures["parts"], "Fairway", "talk").middle
    shown = of(figures["talking"], "bare Job", "talk").middle
    return (
        (
            "install, until it is ready",
            milliseconds(of(installing, "fairway install").middle),
            f"`kubectl apply` and `rollout status` {milliseconds(of(installing, 'kubectl').middle)}",
        ),
        (
            "a step in a pod of its own, from its call to its first line",
            milliseconds(of(figures["parts"], "Fairway", "code").middle),
            f"bare Job with the token of its account in a volume {milliseconds(with_token.middle)}",
        ),
        (
            "output of a step, until it is kept",
            f"{kept:.1f} MB/s",
            f"`kubectl logs --follow` of a bare Job {shown:.1f} MB/s",
        ),
    )


def _bare(samples: Samples, key: str) -> str:
    return f"bare Job {milliseconds(of(samples, 'bare Job', key).middle)}"


def _longer(samples: Samples, key: str) -> Spread:
    """Return how much longer Fairway took than the Job of the same round."""
    pairs = zip(samples["Fairway"], samples["bare Job"], strict=True)
    return spread([mine[key] - theirs[key] for mine, theirs in pairs])


def _more(seconds: Spread) -> str:
    """Return a difference with its spread."""
    return f"{seconds.middle:+.1f} s ({seconds.low:+.1f} to {seconds.high:+.1f})"


SUBJECT = Subject(
    name="cluster",
    title="On a cluster",
    says="Runs on a Kubernetes beside a Job that is written by hand, and `fairway install` beside `kubectl apply` of the "
    "same objects.",
    goals=(
        Goal("a step in a pod of its own, from its call to its first line", "≤ a bare Job + 0.5 s"),
        Goal("a step in a pod of its own, from its last line until its result is known", "≤ 0.3 s"),
        Goal("a small step of a run on a cluster", "≤ 20 ms"),
        Goal("a run of one step on a cluster, whole command", "≤ a bare Job + 2 s"),
        Goal("an edited file, until its pipeline runs on a cluster", "≤ 2 s"),
    ),
    measure=measure,
    tell=tell,
)
