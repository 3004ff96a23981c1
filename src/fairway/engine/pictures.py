"""What a step showed, as a file that opens anywhere."""

import html
from typing import cast

from fairway.evaluation import evaluation_html
from fairway.spec.artifact import Artifact
from fairway.spec.evaluation import Evaluation


def rendered(artifact: Artifact, value: object) -> tuple[str, str]:
    """File suffix and text of a shown value: SVG where there is a picture, a table or preformatted text otherwise."""
    if isinstance(value, str) and value.lstrip().startswith(("<svg", "<?xml")):
        return "svg", value
    if isinstance(value, Evaluation):
        return "html", evaluation_html(value)
    for name, suffix in (("_repr_svg_", "svg"), ("_repr_html_", "html")):
        method = getattr(value, name, None)
        if callable(method):
            return suffix, cast("str", method())
    return "html", f"<pre>{html.escape(str(value))}</pre>"
