"""A small model for an endpoint on a cluster. Each run registers another version of it."""

from typing import Any

import fairway as fw


@fw.task
def sample() -> Any:
    """Return rows of thirty measurements of the breast cancer data."""
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)[0].astype("float32")


@fw.task
def train(rows: Any, turn: int) -> Any:
    """Return a classifier, which depends on the turn."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    target = load_breast_cancer(return_X_y=True)[1]
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0 + turn)).fit(rows, target)


@fw.pipeline
def answering(turn: int = 0) -> fw.ModelVersion:
    """Train and register."""
    rows = sample()
    return fw.register("answering", train(rows, turn), sample=rows)
