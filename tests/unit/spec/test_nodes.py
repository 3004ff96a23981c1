"""The words for nodes: what people write for a GPU, and which places meet a choice."""

import msgspec
import pytest

from fairway.spec.nodes import ANY, NodeChoice, is_model, parse_gpu
from fairway.spec.quantities import Resources

HERE = NodeChoice(gpu="NVIDIA A100-SXM4-40GB,Tesla T4", arch="amd64", spot=True, priority=ANY, queue=ANY)


@pytest.mark.parametrize(
    ("written", "parsed"),
    [(0, (0, "")), (2, (2, "")), ("L4", (1, "L4")), ("A100:8", (8, "A100")), ("RTX 4090", (1, "RTX 4090"))],
)
def test_a_gpu_is_a_number_a_model_or_both(written: int | str, parsed: tuple[int, str]) -> None:
    assert parse_gpu(written) == parsed


@pytest.mark.parametrize(
    ("wanted", "model"),
    [
        ("A100", "NVIDIA A100-SXM4-40GB"),
        ("a100-40gb", "NVIDIA A100-SXM4-40GB"),
        ("T4", "Tesla T4"),
        ("nvidia-l4", "NVIDIA L4"),
        ("RTX 4090", "NVIDIA GeForce RTX 4090"),
    ],
)
def test_a_model_is_known_by_the_parts_of_its_name(wanted: str, model: str) -> None:
    assert is_model(wanted, model)


@pytest.mark.parametrize(
    ("wanted", "model"),
    [
        ("L4", "NVIDIA L40S"),
        ("L4", "NVIDIA L40"),
        ("A100-80GB", "NVIDIA A100-SXM4-40GB"),
        ("A10", "NVIDIA A100"),
    ],
)
def test_a_longer_name_is_another_model(wanted: str, model: str) -> None:
    assert not is_model(wanted, model)


@pytest.mark.parametrize(
    "choice",
    [
        NodeChoice(gpu="T4"),
        NodeChoice(arch="amd64", spot=True),
        NodeChoice(priority="high", queue="team-a"),
    ],
)
def test_a_place_meets_what_it_has_and_what_makes_no_difference_there(choice: NodeChoice) -> None:
    assert choice.met_by(HERE)


@pytest.mark.parametrize("choice", [NodeChoice(gpu="L4"), NodeChoice(arch="arm64")])
def test_a_place_does_not_meet_what_it_lacks(choice: NodeChoice) -> None:
    assert not choice.met_by(HERE)


@pytest.mark.parametrize(
    "choice",
    [NodeChoice(spot=True), NodeChoice(arch="amd64"), NodeChoice(priority="high"), NodeChoice(queue="q")],
)
def test_a_place_that_says_nothing_meets_no_choice(choice: NodeChoice) -> None:
    assert not choice.met_by(None)


def test_resources_fit_only_with_their_disk_and_nodes() -> None:
    machine = Resources(cpu=4, memory=8, gpu=1, disk=100, nodes=HERE)
    assert Resources(gpu=1, disk=100, nodes=NodeChoice(gpu="T4")).fits(machine)
    assert not Resources(disk=101).fits(machine)
    assert not Resources(nodes=NodeChoice(arch="arm64")).fits(machine)


def test_resources_of_an_earlier_version_are_read_and_written_without_new_words() -> None:
    old = b'{"cpu":2.0,"memory":3,"gpu":1}'
    assert msgspec.json.decode(old, type=Resources) == Resources(cpu=2.0, memory=3, gpu=1)
    assert msgspec.json.encode(Resources(cpu=2.0, memory=3, gpu=1)) == old
