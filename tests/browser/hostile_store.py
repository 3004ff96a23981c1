"""Writes facts of all kinds into a store, with script texts wherever a name or a text can stand: `hostile_store.py STORE`.

The log takes what no command would. So a page is asked to show it that trusts no check before it.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "security"))

from hostile_facts import filled, inline
from script_texts import SCRIPTS

from fairway.spec import event as facts
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.event import Body, Event
from fairway.spec.model import Candidate, Lineage, ModelVersion, Signature, TensorSpec
from fairway.spec.run import Failure, MetricPoint, Phase, Reason, RunSpec, StepResult, StepSpec
from fairway.spec.schedule import ScheduleSpec
from fairway.spec.webhook import Notice
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata


def run_of(place: int, text: str) -> list[Event]:
    """Return the events of a failed run that has the text wherever one can stand."""
    name = f"h{place:02}"
    failure = filled(Failure, text, reason=Reason.USER)
    spec = filled(RunSpec, text, name=name, source="0" * 64)
    # What a step uses comes from another step, or is a value.
    done = filled(StepSpec, text, name=f"done{place}", inputs={text: inline(text)})
    step = filled(StepSpec, text, name=f"step{place}", inputs={text: inline(text)})
    good = filled(StepResult, text, run=name, step=done.name, failure=None)
    bad = filled(StepResult, text, run=name, step=step.name, outputs=(), failure=failure)
    points = tuple(MetricPoint(name=text, value=1.0 / (1 + at), index=at) for at in range(3))
    ended = filled(facts.StepEnded, text, phase=Phase.SUCCEEDED, outputs=good.outputs, failure=None)
    bodies: list[tuple[Body, str]] = [
        (facts.RunStarted(spec), ""),
        (facts.StepCalled(done), done.name), (filled(facts.AttemptStarted, text), done.name),
        (facts.AttemptEnded(1, good), done.name), (facts.MetricsLogged(points), done.name), (ended, done.name),
        (filled(facts.PictureShown, text), ""), (filled(facts.TrialAsked, text), ""),
        (facts.StepCalled(step), step.name), (filled(facts.AttemptStarted, text), step.name),
        (facts.AttemptEnded(1, bad), step.name),
        (filled(facts.StepEnded, text, phase=Phase.FAILED, outputs=(), failure=failure), step.name),
        (facts.RunEnded(Phase.FAILED, failure, inline(text)), ""),
        (facts.RunTagged(text), ""), (facts.RunNoted(text), ""),
        (filled(facts.WebhookDue, text, notice=filled(Notice, text, run=name)), ""),
        (filled(facts.WebhookPosted, text), ""),
    ]  # fmt: skip
    now = time.time() - 60
    return [Event(body=body, run=name, step=of, time=now + place, who=text) for body, of in bodies]


def model_of(place: int, text: str) -> list[Event]:
    """Return the events of a version that has the text wherever one can stand."""
    tensor = TensorSpec(name=text, datatype="FP64", shape=(-1, 2))
    signature = filled(Signature, text, layout="tensor", inputs=(tensor,), outputs=(tensor,))
    candidate = filled(Candidate, text, name="hostile", signature=signature)
    version = filled(ModelVersion, text, name="hostile", version=place + 1, candidate=candidate)
    bodies: list[Body] = [facts.ModelRegistered(version), facts.AliasMoved("hostile", text, place + 1)]
    return [Event(body=body, time=time.time() - 60, who=text) for body in bodies]


def named(text: str) -> list[Event]:
    """Return the events of a run and of a model that have the text as their name."""
    spec, failure = filled(RunSpec, text, source="0" * 64), filled(Failure, text, reason=Reason.USER)
    step, lineage = filled(StepSpec, text, inputs={text: inline(text)}), filled(Lineage, text, step="other")
    version = filled(
        ModelVersion, text, candidate=filled(Candidate, text, signature=None), version=1, lineage=lineage
    )
    of_run: list[Body] = [
        facts.RunStarted(spec), facts.StepCalled(step), filled(facts.AttemptStarted, text),
        facts.AttemptEnded(1, filled(StepResult, text, failure=failure, outputs=())),
        filled(facts.StepEnded, text, phase=Phase.FAILED, outputs=(), failure=failure),
        facts.RunEnded(Phase.FAILED, failure), filled(facts.RunResumed, text), facts.RunEnded(Phase.FAILED, failure),
    ]  # fmt: skip
    of_step = (facts.StepCalled, facts.AttemptStarted, facts.AttemptEnded, facts.StepEnded)
    of_model: list[Body] = [
        facts.ModelRegistered(version), filled(facts.AliasMoved, text), filled(facts.VersionRemoved, text, version=2),
    ]  # fmt: skip
    return [
        *(
            Event(
                body=one, run=text, step=text if isinstance(one, of_step) else "", time=time.time(), who=text
            )
            for one in of_run
        ),
        *(Event(body=one, time=time.time(), who=text) for one in of_model),
    ]


def things_of(place: int, text: str) -> list[Event]:
    """Return the events of an endpoint, a schedule, a webhook and a token that have the text wherever one can stand."""
    revision = filled(RevisionSpec, text, number=1, model=None)
    schedule = filled(ScheduleSpec, text, timezone="UTC", cron="0 0 1 1 *")
    bodies: list[Body] = [
        facts.RevisionCreated(revision, text), facts.EndpointPointed(text, 1, text, text),
        facts.EndpointPointed(text, 0, text),
        facts.ScheduleSet(schedule), filled(facts.ScheduleDue, text), facts.ScheduleRemoved(text),
        filled(facts.WebhookSet, text), filled(facts.WebhookRemoved, text), filled(facts.TokenGiven, text),
        filled(facts.TokenTaken, text),
    ]  # fmt: skip
    return [Event(body=body, time=time.time() - 30 + place / 100, who=text) for body in bodies]


def events(place: int, text: str) -> list[list[Event]]:
    """Return everything that a text is written with, as groups that belong together."""
    return [run_of(place, text), model_of(place, text), things_of(place, text), named(text)]


def main(store: Path) -> None:
    """Write everything."""
    layout = Layout(store)
    layout.prepare()
    with SqliteMetadata(layout) as metadata:
        for place, text in enumerate(SCRIPTS):
            for group in events(place, text):
                metadata.append(group)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
