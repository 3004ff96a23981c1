from typing import Any

import pytest

from fairway.formats import encode, figure_svg, is_figure

matplotlib: Any = pytest.importorskip("matplotlib")


def _figure() -> Any:
    from matplotlib.figure import Figure

    figure: Any = Figure()
    figure.add_subplot().plot([1, 2], label="<a>")
    figure.axes[0].set_title("Loss & more")
    return figure


def test_a_figure_as_a_picture() -> None:
    svg = figure_svg(_figure())
    assert b"<svg" in svg
    assert b"Loss &amp; more" in svg
    assert svg == figure_svg(_figure())


def test_what_a_figure_is() -> None:
    assert is_figure(_figure())
    assert not is_figure(3)
    assert encode(_figure()).code
