"""Evaluations of models: metrics with scikit-learn's values, and their pictures as SVG.

`evaluate` is the public function. Metrics need numpy, which is imported when the first value is computed. Importing
this package therefore costs nothing, and pages can be drawn where numpy is not installed. Nothing here may know where
an evaluation comes from or goes to: no runs, no registry, no files.
"""

from fairway.evaluation.charts import line_chart
from fairway.evaluation.pictures import pictures
from fairway.evaluation.report import evaluate
from fairway.evaluation.tables import evaluation_html, table_html
from fairway.spec.evaluation import draw_with

draw_with(evaluation_html)

__all__ = ["evaluate", "evaluation_html", "line_chart", "pictures", "table_html"]
