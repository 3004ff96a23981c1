"""The project that `fairway init` writes, with MLflow: three models trained, the best one logged and registered."""

import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODELS = {
    "logistic": LogisticRegression(max_iter=1000),
    "forest": RandomForestClassifier(n_estimators=100, random_state=0),
    "neighbours": KNeighborsClassifier(n_neighbors=9),
}

if __name__ == "__main__":
    cases = load_breast_cancer(as_frame=True).frame
    train, test = train_test_split(cases, test_size=0.25, random_state=0, stratify=cases["target"])
    features, target = test.drop(columns="target"), test["target"]
    best = None
    for kind, model in MODELS.items():
        with mlflow.start_run(run_name=kind):
            fitted = make_pipeline(StandardScaler(), model)
            fitted.fit(train.drop(columns="target"), train["target"])
            accuracy = accuracy_score(target, fitted.predict(features))
            mlflow.log_metric("accuracy", accuracy)
            mlflow.log_metric("roc_auc", roc_auc_score(target, fitted.predict_proba(features)[:, 1]))
            if best is None or accuracy > best[0]:
                best = (accuracy, fitted)
    with mlflow.start_run(run_name="register"):
        mlflow.sklearn.log_model(
            best[1], name="model", input_example=features.head(5), registered_model_name="cancer"
        )
