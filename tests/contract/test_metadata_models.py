"""What every metadata store promises of models and endpoints: numbers, aliases, gates and revisions."""

import pytest
from events import accept, called, candidate, started

from fairway.spec.endpoint import Bounds, RevisionSpec
from fairway.spec.errors import GateRefused, NotFound, UsageError
from fairway.spec.event import AliasMoved, EndpointPointed, Event
from fairway.spec.model import Gates, Lineage


def test_versions_count_from_one(store, make):
    for number in range(1, 4):
        made = store.register(
            candidate(accuracy=number / 10), Lineage(run="r1", step=f"s{number}"), accept, ()
        )
        assert (made.name, made.version, made.lineage.step) == ("churn", number, f"s{number}")
        assert made.created > 0
    assert [found.version for found in make().versions("churn")] == [1, 2, 3]
    assert store.versions("churn")[2] == made
    assert store.register(candidate("other"), Lineage(run="r1", step="s9"), accept, ()).version == 1


def test_registering_is_done_once_per_step(store, make):
    judged = []
    lineage = Lineage(run="r1", step="register")
    first = store.register(candidate(), lineage, judged.append, ("champion",))
    again = make().register(candidate(), lineage, judged.append, ("champion",))
    assert first == again
    assert judged == [None]
    assert len(store.versions("churn")) == 1
    for _ in range(2):
        store.register(candidate("free"), Lineage(run="", step=""), accept, ())
    assert len(store.versions("free")) == 2


def test_a_refused_model_takes_no_number(store):
    def refuse(rival):
        raise GateRefused("not good enough")

    store.register(candidate(), Lineage(run="r1", step="a"), accept, ())
    after = store.append([])
    with pytest.raises(GateRefused, match="not good enough"):
        store.register(candidate(aliases=("champion",)), Lineage(run="r1", step="b"), refuse, ("champion",))
    assert store.append([]) == after
    assert store.aliases() == {}
    assert store.register(candidate(), Lineage(run="r1", step="b"), accept, ()).version == 2


def test_a_rival_is_the_version_of_the_alias(store):
    rivals = []
    gates = Gates(better_than="champion")

    def register(step, accuracy, aliases=(), judge=rivals.append):
        return store.register(
            candidate(accuracy=accuracy, gates=gates), Lineage(run="r", step=step), judge, aliases
        )

    register("a", 0.7, ("first", "champion"))
    assert store.aliases() == {"churn@champion": 1, "churn@first": 1}
    register("b", 0.8)
    assert store.aliases("churn") == {"churn@champion": 2, "churn@first": 1}
    register("c", 0.9)
    assert [rival and rival.metrics["accuracy"] for rival in rivals] == [None, 0.7, 0.8]
    assert store.aliases("other") == {}


def test_an_error_of_the_judge_reaches_the_caller(store):
    def broken(rival):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.register(candidate(), Lineage(run="r1", step="a"), broken, ())
    assert store.models() == []


def test_references(store):
    for step in "abc":
        store.register(candidate(), Lineage(run="r", step=step), accept, ("champion",) if step == "b" else ())
    for reference, version in {"churn": 3, "churn:1": 1, "churn:3": 3, "churn@champion": 2}.items():
        assert store.resolve(reference).version == version
    for reference, hint in {
        "churn:4": "churn:3",
        "churn:0": "churn:3",
        "churn@best": "champion",
        "x": "churn",
    }.items():
        with pytest.raises(NotFound) as caught:
            store.resolve(reference)
        assert hint in caught.value.hint
    for reference in ("churn:x", "churn:", "churn@", ""):
        with pytest.raises((UsageError, NotFound)):
            store.resolve(reference)


def test_aliases_move_and_go(store):
    for step in "ab":
        store.register(candidate(), Lineage(run="r", step=step), accept, ("champion",))
    store.append([Event(body=AliasMoved("churn", "champion", 1))])
    assert store.resolve("churn@champion").version == 1
    (model,) = store.models()
    assert (model.name, model.newest.version, model.versions, model.aliases) == (
        "churn",
        2,
        2,
        {"champion": 1},
    )
    store.append([Event(body=AliasMoved("churn", "champion", 0))])
    assert store.aliases() == {}


def test_a_run_names_its_models(store):
    store.append([started(), called("register")])
    store.register(candidate(), Lineage(run="r1", step="register"), accept, ("champion",))
    assert store.run("r1").models == ("churn:1",)
    assert (store.registered_by("r1"), store.registered_by("r2")) == (["churn"], [])


def test_revisions_are_numbered_by_endpoint(store):
    first = store.create_revision(RevisionSpec(endpoint="e", number=0))
    assert (first.endpoint, first.number) == ("e", 1)
    assert first.created > 0
    assert store.create_revision(RevisionSpec(endpoint="f", number=0)).number == 1
    second = store.create_revision(RevisionSpec(endpoint="e", number=7, replicas=Bounds(2, 5)))
    assert (second.number, second.replicas) == (2, Bounds(2, 5))
    assert store.revisions("e") == [first, second]
    with pytest.raises(NotFound):
        store.revisions("h")


def test_endpoints_are_as_wanted(store):
    revision = store.create_revision(RevisionSpec(endpoint="e", number=0, replicas=Bounds(2, 5)))
    (found,) = store.endpoints()
    assert (found.name, found.address, found.wanted, found.phase, found.revision) == (
        "e",
        "",
        0,
        "Pending",
        None,
    )
    store.append([Event(body=EndpointPointed("e", 1, "deployed", "http://e.example"))])
    (found,) = store.endpoints()
    assert (found.wanted, found.revision, found.reason, found.workers) == (1, revision, "deployed", 2)
    assert (found.serving, found.ready) == (0, 0)
    store.append([Event(body=EndpointPointed("e", 0))])
    (found,) = store.endpoints()
    assert (found.wanted, found.phase, found.revision) == (0, "Stopped", None)


def test_an_endpoint_keeps_its_address_until_it_is_given_another(store):
    addresses = []
    for address in ("http://e.example", "", "http://other.example"):
        revision = store.create_revision(RevisionSpec(endpoint="e", number=0))
        store.append([Event(body=EndpointPointed("e", revision.number, "deployed", address))])
        addresses.append(store.endpoints()[0].address)
    store.append([Event(body=EndpointPointed("e", 0))])
    assert addresses == ["http://e.example", "http://e.example", "http://other.example"]
    assert store.endpoints()[0].address == "http://other.example"
