"""Sort wines into kinds without being told the kinds: scaling, the number of clusters chosen by silhouette, a gate."""

import pandas as pd
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import fairway as fw


@fw.task(cache=True)
def prepare() -> pd.DataFrame:
    """The chemical analysis of 178 wines, without their labels."""
    return load_wine(as_frame=True).data


@fw.task
def cluster(wines: pd.DataFrame, count: int) -> tuple[Pipeline, fw.Evaluation]:
    """Find `count` kinds of wine, and measure how well apart they are."""
    scale = make_pipeline(StandardScaler(), PCA(n_components=2, random_state=0))
    points = scale.fit_transform(wines)
    kinds = KMeans(n_clusters=count, n_init=10, random_state=0).fit(points)
    report = fw.evaluate(data=points, clusters=kinds.labels_)
    print(f"{count} kinds: silhouette {report.silhouette:.3f}")
    model = Pipeline([*scale.steps, ("kinds", kinds)])
    return model, report


@fw.pipeline
def wines(counts: list[int] = [2, 3, 4, 5, 6]) -> fw.ModelVersion:
    """Sort wines into kinds nobody named."""
    data = prepare()
    found = [cluster(data, count) for count in counts]
    best = max(range(len(found)), key=lambda i: found[i][1].silhouette)
    model, report = found[best]
    return fw.register("wines", model, evaluation=report, sample=data.head(32), at_least={"silhouette": 0.5})
