"""A task checks its settings, binds the arguments of a call, and starts a step inside a pipeline."""

from collections.abc import Callable, Iterator
from typing import Any, Optional, Tuple  # noqa: UP035

import pytest

from fairway.author import session
from fairway.author.environment import Environment
from fairway.author.ref import node_of, value
from fairway.author.task import Task, as_refs, task
from fairway.spec.artifact import RefData
from fairway.spec.errors import UsageError
from fairway.spec.model import ModelVersion
from fairway.spec.nodes import NodeChoice
from fairway.spec.quantities import Resources
from fairway.spec.run import MetricPoint, StepSpec

Pair = tuple[int, str]


class Recording:
    """A session that records the steps that are started. The value of a step is its own reference."""

    def __init__(self, *, pipeline: bool = True) -> None:
        self.pipeline = pipeline
        self.steps: list[StepSpec] = []
        self.arguments: list[dict[str, object]] = []
        self.waits: list[RefData] = []

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        self.steps.append(spec)
        self.arguments.append(arguments)
        return RefData(f"{spec.task}-{len(self.steps)}")

    def wait(self, ref: RefData) -> object:
        self.waits.append(ref)
        return (ref.step, ref.item)

    def model(self, reference: str) -> tuple[ModelVersion, object]:
        raise AssertionError

    def log(self, points: tuple[MetricPoint, ...]) -> None:
        raise AssertionError

    def show(self, title: str, value: object) -> None:
        raise AssertionError


@pytest.fixture
def run() -> Iterator[Recording]:
    """Gives the session of a pipeline, which is the current one during the test."""
    made = Recording()
    before = session.enter(made)
    yield made
    session.enter(before)


@task
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@task(
    cpu="500m", memory="2Gi", gpu=1, retries=3, timeout="1h30m", cache=True, environment=Environment(["a==1"])
)
def fit(rate: float) -> Pair:
    return 1, str(rate)


@task
def last(first: int, /, *, rate: float = 0.1) -> tuple[int, float]:
    return first, rate


@task
def every(*items: int) -> int:
    return sum(items)


@task
def named(**more: int) -> int:
    return len(more)


def test_settings_are_kept_in_plain_units() -> None:
    assert fit.spec.resources == Resources(cpu=0.5, memory=2 * 2**30, gpu=1)
    assert (fit.spec.retries, fit.spec.timeout, fit.spec.cache) == (3, 5400.0, True)
    assert fit.spec.environment == Environment(["a==1"]).spec


def test_a_task_without_settings_asks_for_one_core_and_nothing_else() -> None:
    assert add.spec.resources == Resources(cpu=1.0, memory=0, gpu=0)
    assert (add.spec.retries, add.spec.timeout, add.spec.cache, add.spec.environment) == (0, 0.0, False, None)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"cpu": "many"}, "task train: cpu='many' is not a number of CPUs"),
        ({"memory": "two"}, "task train: memory='two' is not an amount of memory"),
        ({"timeout": 0}, "task train: timeout=0 is not"),
        ({"gpu": 0.5}, "task train: gpu=0.5 is not a whole number of at least 0"),
        ({"gpu": True}, "task train: gpu=True is not a whole number of at least 0"),
        ({"gpu": "2x L4!"}, "task train: gpu='2x L4!' is neither a number nor a model of GPUs"),
        ({"gpu": "L4:0"}, "task train: gpu='L4:0' is neither a number nor a model of GPUs"),
        ({"spot": "yes"}, "task train: spot='yes' is neither True nor False"),
        ({"arch": "sparc"}, "task train: arch='sparc' is not an architecture that Fairway knows"),
        (
            {"priority": "Very High"},
            "task train: priority='Very High' is not the name of a class of priority",
        ),
        ({"queue": "team_a"}, "task train: queue='team_a' is not the name of a queue"),
        ({"disk": "much"}, "task train: disk='much' is not an amount of disk"),
        ({"retries": -1}, "task train: retries=-1 is not a whole number of at least 0"),
        ({"cache": 1}, "task train: cache=1 is neither True nor False"),
        ({"isolated": "yes"}, "task train: isolated='yes' is neither True nor False"),
        ({"environment": "numpy"}, "task train: environment='numpy' is not a `fairway.Environment`"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_name_of_the_task(setting: dict[str, Any], message: str) -> None:
    def train() -> None: ...

    with pytest.raises(UsageError) as declared:
        task(**setting)(train)
    assert str(declared.value.message).startswith(message)
    with pytest.raises(UsageError) as changed:
        task(train).options(**setting)
    assert changed.value.message == declared.value.message


def test_options_keep_every_setting_that_is_not_given() -> None:
    other = fit.options(retries=0)
    assert other.spec.retries == 0
    assert other.spec.resources == fit.spec.resources
    assert (other.spec.timeout, other.spec.cache, other.spec.environment) == (
        fit.spec.timeout,
        fit.spec.cache,
        fit.spec.environment,
    )
    assert fit.options().spec == fit.spec


def test_options_change_one_resource_and_keep_the_others() -> None:
    assert fit.options(gpu=0).spec.resources == Resources(cpu=0.5, memory=2 * 2**30, gpu=0)
    assert fit.options(cpu=2).spec.resources == Resources(cpu=2.0, memory=2 * 2**30, gpu=1)
    assert fit.options(memory=0).spec.resources == Resources(cpu=0.5, memory=0, gpu=1)


def test_options_turn_the_cache_off_and_leave_the_task_as_it_was() -> None:
    assert fit.options(cache=False).spec.cache is False
    assert fit.spec.cache is True


def test_a_name_in_options_names_the_steps_and_not_the_task(run: Recording) -> None:
    plus = add.options(name="plus").options(retries=1)
    plus(1)
    assert (run.steps[0].name, run.steps[0].task, run.steps[0].retries) == ("plus", "add", 1)
    assert repr(plus) == "<task plus>"


@pytest.mark.parametrize("name", ["two words", "train-2", "pipeline", ""])
def test_a_name_in_options_follows_the_rules_for_tasks(name: str) -> None:
    with pytest.raises(UsageError, match=r"the name|not a usable name of a task"):
        add.options(name=name)


def test_outside_a_run_and_inside_a_step_a_call_runs_the_function(run: Recording) -> None:
    step = Recording(pipeline=False)
    session.enter(None)
    assert add(1) == 3
    session.enter(step)
    assert add(1) == 3
    assert step.steps == run.steps == []


def test_a_step_has_the_settings_of_its_task_and_all_arguments_by_name(run: Recording) -> None:
    fit(0.5)
    add(1)
    step = run.steps[0]
    assert (step.name, step.task, step.label, step.outputs) == ("", "fit", "rate=0.5", 2)
    assert (step.resources, step.retries, step.timeout) == (fit.spec.resources, 3, 5400.0)
    assert (step.cache, step.environment) == (True, fit.spec.environment)
    assert run.arguments == [{"rate": 0.5}, {"a": 1, "b": 2}]


def test_only_the_steps_of_a_cached_task_carry_the_digests_of_their_code(run: Recording) -> None:
    fit(0.5)
    fit.options(cache=False)(0.5)
    assert "function fit" in run.steps[0].code
    assert run.steps[1].code == {}


def test_arguments_that_do_not_fit_are_refused_with_the_signature(run: Recording) -> None:
    with pytest.raises(UsageError, match="add: missing a required argument: 'a'") as caught:
        add(b=1)  # type: ignore[call-arg]
    assert caught.value.hint == "its parameters are add(a: int, b: int = 2) -> int"
    assert run.steps == []


def test_map_fills_the_first_parameter_that_is_not_given(run: Recording) -> None:
    add.map([1, 2], b=10)
    add.map(range(1), a=10)
    assert run.arguments == [{"a": 1, "b": 10}, {"a": 2, "b": 10}, {"a": 10, "b": 0}]


def test_map_gives_one_result_per_item_in_their_order(run: Recording) -> None:
    assert [node_of(one) for one in add.map(iter("xyz"))] == [RefData(f"add-{count}") for count in (1, 2, 3)]
    assert add.map([]) == []


def test_map_fills_parameters_that_have_no_keyword(run: Recording) -> None:
    last.map([1, 2], rate=0.5)
    every.map([3])
    assert run.arguments == [{"first": 1, "rate": 0.5}, {"first": 2, "rate": 0.5}, {"items": (3,)}]


def test_map_outside_a_run_runs_the_function() -> None:
    assert add.map([1, 2], b=10) == [11, 12]


@pytest.mark.parametrize(
    ("mapped", "common"),
    [(add, {"a": 1, "b": 2}), (named, {}), (named, {"x": 1})],
    ids=["full", "open", "more"],
)
def test_map_is_refused_when_no_parameter_is_left(mapped: Task[..., int], common: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="every parameter is given, none is left for the items"):
        mapped.map([1], **common)


def test_map_over_a_value_without_items_is_refused() -> None:
    with pytest.raises(UsageError, match=r"add\.map goes through its items, and 7 has none") as caught:
        add.map(7)  # type: ignore[arg-type]
    assert caught.value.hint == "`add.map([…])`"


@pytest.mark.parametrize(
    ("annotation", "outputs"),
    [
        (tuple[int, str], 2),
        (tuple[int], 1),
        (Tuple[int, str, float], 3),  # noqa: UP006
        (tuple[tuple[int, int], str], 2),
        (tuple[int, ...], 0),
        (tuple[()], 0),
        (tuple, 0),
        (list[int], 0),
        (Optional[tuple[int, str]], 0),  # noqa: UP045
        (None, 0),
        ("tuple[int, str]", 2),
        ("Pair", 2),
        ("tuple[int, ...]", 0),
        ("list[int]", 0),
        ("tuple[OnlyForTypeCheckers, int]", 2),
        ("typing.Tuple[OnlyForTypeCheckers]", 1),
        ("tuple[OnlyForTypeCheckers, ...]", 0),
        ("OnlyForTypeCheckers", 0),
        ("dict[OnlyForTypeCheckers, int]", 0),
        ("no annotation", 0),
    ],
)
def test_a_fixed_tuple_in_the_return_annotation_gives_the_number_of_outputs(
    annotation: object, outputs: int
) -> None:
    def make() -> None: ...

    make.__annotations__["return"] = annotation
    assert task(make).outputs == outputs


def test_a_function_without_a_return_annotation_has_one_output() -> None:
    def make(): ...  # type: ignore[no-untyped-def]

    assert task(make).outputs == 0


def made_inside() -> Task[[], int]:
    @task
    def inner() -> int:
        return 1

    return inner


def test_a_task_made_inside_a_function_starts_no_step(run: Recording) -> None:
    with pytest.raises(UsageError, match="the task inner is made inside a function") as caught:
        made_inside()()
    assert caught.value.hint == "declare it at the top level of the file and hand it what it needs"
    assert run.steps == []


def test_a_task_made_inside_a_function_is_a_function_outside_a_run() -> None:
    assert made_inside()() == 1


@pytest.mark.parametrize(
    "copy", [lambda made: made, lambda made: made.options(retries=1)], ids=["own", "copy"]
)
def test_a_task_made_inside_a_function_starts_steps_if_a_module_holds_it(
    run: Recording, monkeypatch: pytest.MonkeyPatch, copy: Callable[[Task[[], int]], Task[[], int]]
) -> None:
    made = made_inside()
    monkeypatch.setitem(globals(), "kept", made)
    copy(made)()
    assert [step.task for step in run.steps] == ["inner"]


def test_an_undivided_output_is_one_ref_to_the_whole(run: Recording) -> None:
    assert node_of(as_refs(run, RefData("train"), 0)) == RefData("train")


def test_a_declared_tuple_is_one_ref_per_element(run: Recording) -> None:
    refs = as_refs(run, RefData("train"), 2)
    assert isinstance(refs, tuple)
    assert [node_of(one) for one in refs] == [RefData("train", 0), RefData("train", 1)]


def test_a_ref_waits_for_its_own_part_when_it_is_used_and_not_before(run: Recording) -> None:
    whole = as_refs(run, RefData("train"), 0)
    _, second = as_refs(run, RefData("split"), 2)  # type: ignore[misc]
    assert run.waits == []
    assert value(second) == ("split", 1)
    assert value(whole) == ("train", -1)
    assert run.waits == [RefData("split", 1), RefData("train")]


def test_a_call_in_a_pipeline_gives_the_refs_that_the_annotation_promises(run: Recording) -> None:
    model, text = fit(0.5)
    assert (node_of(model), node_of(text)) == (RefData("fit-1", 0), RefData("fit-1", 1))
    assert node_of(add(1)) == RefData("add-2")


@task(gpu="A100:2", spot=True, arch="aarch64", priority="high", queue="team-a", disk="20Gi")
def picky() -> None: ...


def test_words_about_nodes_are_kept_and_changed_one_by_one() -> None:
    asked = picky.spec.resources
    assert (asked.gpu, asked.disk) == (2, 20 * 2**30)
    assert asked.nodes == NodeChoice(gpu="A100", spot=True, arch="arm64", priority="high", queue="team-a")
    assert str(asked.nodes) == 'gpu="A100", arch="arm64", priority="high", queue="team-a", spot=True'
    assert picky.options(cpu=2).spec.resources.nodes == asked.nodes
    plain = picky.options(gpu=1, spot=False, arch="", priority="", queue="").spec.resources
    assert (plain.gpu, plain.nodes, plain.disk) == (1, None, 20 * 2**30)
    assert fit.spec.resources.nodes is None
