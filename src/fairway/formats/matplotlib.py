"""matplotlib figures as SVG, for showing. As a value between steps a figure has no format of its own.

Knows nothing of where a picture is shown.
"""

import io
from typing import Any

from fairway.formats.frameworks import load


def is_figure(value: Any) -> bool:
    """Whether the value is a matplotlib figure, without importing matplotlib."""
    return any(
        cls.__module__ == "matplotlib.figure" and cls.__name__ == "Figure" for cls in type(value).__mro__
    )


def figure_svg(figure: Any) -> bytes:
    """A figure as an SVG document, the same bytes for the same figure; text stays text."""
    matplotlib = load("matplotlib")

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "fairway", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    return buffer.getvalue()
