"""What a step showed, as a file that opens anywhere."""

import html
import re
from typing import cast

from fairway.evaluation import evaluation_html
from fairway.spec.artifact import Artifact
from fairway.spec.evaluation import Evaluation

_ACTIVE = re.compile(r"<\s*(script|foreignobject|iframe|!entity)|[\s/\"']on\w+\s*=|javascript:", re.I)
"""What makes a picture more than a picture."""


def rendered(artifact: Artifact, value: object) -> tuple[str, str]:
    """File suffix and text of a shown value: SVG where there is a picture, a table or preformatted text otherwise.

    SVG that could run something is shown as text.
    """
    if isinstance(value, str) and value.lstrip().startswith(("<svg", "<?xml")) and not _ACTIVE.search(value):
        return "svg", value
    if isinstance(value, Evaluation):
        return "html", evaluation_html(value)
    for name, suffix in (("_repr_svg_", "svg"), ("_repr_html_", "html")):
        method = getattr(value, name, None)
        if callable(method):
            return suffix, cast("str", method())
    return "html", f"<pre>{html.escape(str(value))}</pre>"
