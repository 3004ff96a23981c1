"""Which pictures an evaluation has, what they show, and that they are safe to put into any page."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from fairway.evaluation import evaluate, pictures
from fairway.spec.evaluation import Evaluation

EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
RANDOM = np.random.default_rng(0)

REPORTS: dict[str, Evaluation] = {
    "two": evaluate([0, 1, 1, 0], scores=[0.1, 0.8, 0.3, 0.4]),
    "many": evaluate(["a", "b", EVIL] * 5, scores=RANDOM.dirichlet(np.ones(3), 15)),
    "plain": evaluate([EVIL, "b"], [EVIL, EVIL]),
    "crowd": evaluate([f"class {i}" for i in range(40)], [f"class {i // 2}" for i in range(40)]),
    "regression": evaluate([1.5, 2, 3], [1.0, 2, 4]),
    "clusters": evaluate(data=RANDOM.normal(size=(20, 2)), clusters=[EVIL, "b"] * 10),
    "agreement": evaluate([0, 1, 1], clusters=[0, 1, 2]),
    "episodes": evaluate(returns=[1, 5, 2, 9]),
    "huge": evaluate([1e308, -1e308, 0.5], [-1e308, 1e308, 0.5]),
}

EXPECTED = {
    "two": ["confusion", "roc", "precision_recall", "calibration"],
    "many": ["confusion", "roc", "precision_recall", "calibration"],
    "plain": ["confusion"],
    "crowd": ["confusion"],
    "regression": ["predictions", "residuals"],
    "clusters": ["clusters"],
    "agreement": ["clusters"],
    "episodes": ["returns", "histogram"],
    "huge": ["predictions", "residuals"],
}

ALLOWED = {"svg", "title", "desc", "text", "line", "polyline", "rect", "circle"}


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_pictures_of_each_kind(name: str) -> None:
    assert list(pictures(REPORTS[name])) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_pictures_are_self_contained_and_safe(name: str) -> None:
    for svg in pictures(REPORTS[name]).values():
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img"
        assert [child.tag.split("}")[1] for child in root][:2] == ["title", "desc"]
        assert all(child.text for child in list(root)[:2])
        for element in root.iter():
            assert element.tag.split("}")[1] in ALLOWED
            assert not {
                key
                for key in element.attrib
                if key.startswith("on") or key in ("href", "style", "id", "class")
            }
            assert "url(" not in "".join(element.attrib.values())
            assert not re.search(r"\b(nan|inf)\b", " ".join(element.attrib.values()))


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_pictures_keep_within_their_frame(name: str) -> None:
    for svg in pictures(REPORTS[name]).values():
        root = ElementTree.fromstring(svg)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for element in root.iter():
            for key, most in (
                ("x", width),
                ("y", height),
                ("cx", width),
                ("cy", height),
                ("x2", width),
                ("y2", height),
            ):
                assert -1 <= float(element.attrib.get(key, 0)) <= most + 1
            for pair in element.attrib.get("points", "").split():
                x, y = map(float, pair.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_colours_suit_light_and_dark() -> None:
    for report in REPORTS.values():
        for svg in pictures(report).values():
            assert 'fill="currentColor"' in svg
            for colour in set(re.findall(r"#[0-9a-f]{6}", svg)):
                red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
                assert 0.3 < 0.3 * red + 0.59 * green + 0.11 * blue < 0.7


def test_the_confusion_matrix_shows_counts_on_the_right_cells() -> None:
    svg = pictures(evaluate(["a", "a", "b"], ["a", "b", "b"]))["confusion"]
    hints = [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("title")][1:]
    assert hints == [
        "truth a, predicted a: 1 (50%)",
        "truth a, predicted b: 1 (50%)",
        "truth b, predicted b: 1 (100%)",
    ]


def test_legends_name_the_area() -> None:
    svg = pictures(evaluate([0, 1, 0, 1], scores=[0.1, 0.9, 0.2, 0.8]))["roc"]
    assert ">area 1.000</text>" in svg
    many = pictures(evaluate(["a", "b", "c"], scores=np.eye(3)))["roc"]
    assert all(f">{label} 1.000</text>" in many for label in "abc")


def test_residuals_are_truth_minus_predicted() -> None:
    svg = pictures(evaluate([10.0, 0.5], [0.0, 0.5]))["residuals"]
    dots = [e.attrib for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("circle")]
    too_low, exact = sorted(dots, key=lambda dot: float(dot["cx"]))
    assert float(too_low["cy"]) < float(exact["cy"])
