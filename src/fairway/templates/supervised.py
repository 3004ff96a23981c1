"""Tell malignant from benign tumours: three models trained in parallel, the best one gated and registered."""

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import fairway as fw

MODELS = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "forest": lambda: RandomForestClassifier(n_estimators=100, random_state=0),
    "neighbours": lambda: KNeighborsClassifier(n_neighbors=9),
}


@fw.task(cache=True)
def prepare(test_share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the 569 cases into training and test data."""
    cases = load_breast_cancer(as_frame=True).frame
    train, test = train_test_split(cases, test_size=test_share, random_state=0, stratify=cases["target"])
    return train, test


@fw.task(retries=1, timeout="5m")
def train(data: pd.DataFrame, kind: str) -> Pipeline:
    """Fit one kind of model, its inputs scaled."""
    model = make_pipeline(StandardScaler(), MODELS[kind]())
    return model.fit(data.drop(columns="target"), data["target"])


@fw.task
def evaluate(model: Pipeline, test: pd.DataFrame) -> fw.Evaluation:
    """Measure a model on cases it has not seen."""
    features = test.drop(columns="target")
    report = fw.evaluate(test["target"], model.predict(features), scores=model.predict_proba(features))
    print(f"accuracy {report.accuracy:.3f}")
    return report


@fw.pipeline
def cancer(test_share: float = 0.25, kinds: list[str] = list(MODELS)) -> fw.ModelVersion:
    """Tell malignant from benign tumours."""
    data, test = prepare(test_share)
    models = [train(data, kind) for kind in kinds]
    reports = [evaluate(model, test) for model in models]
    best = max(range(len(models)), key=lambda i: reports[i].accuracy)
    sample = test.drop(columns="target").head(32)
    return fw.register(
        "cancer",
        models[best],
        evaluation=reports[best],
        sample=sample,
        at_least={"accuracy": 0.93, "roc_auc": 0.97},
    )
