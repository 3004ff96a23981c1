"""matplotlib figures as SVG, for showing. A figure has no format of its own as a value between steps.

This module does not know who shows a picture.
"""

import io
from typing import Any

from fairway.formats.frameworks import load


def is_figure(value: Any) -> bool:
    """Tell whether a value is a matplotlib figure, without importing matplotlib."""
    return any(
        cls.__module__ == "matplotlib.figure" and cls.__name__ == "Figure" for cls in type(value).__mro__
    )


def figure_svg(figure: Any) -> bytes:
    """Return a figure as an SVG document. The same figure gives the same bytes, and text stays text."""
    matplotlib = load("matplotlib")

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "fairway", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    return buffer.getvalue()
