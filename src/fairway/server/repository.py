"""The routes of Triton's extensions for repository, configuration and statistics, which its clients ask for.

Knows the name and signature of a model and the totals of the metrics.
"""

from fairway.server.answers import Answer, as_json
from fairway.server.metrics import Metrics
from fairway.server.requests import Request
from fairway.server.routes import Route
from fairway.spec.model import Signature, TensorSpec

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]


class Repository:
    """The routes of an endpoint as a repository that holds one model.

    Args:
        who: name and version of the model.
        signature: the signature of the model; None for a function, which takes no tensors.
    """

    def __init__(
        self, who: tuple[str, str], runtime: str, signature: Signature | None, metrics: Metrics
    ) -> None:
        self._name, self._version = who
        self._runtime = runtime
        self._signature = signature
        self._metrics = metrics

    def routes(self) -> dict[str, Route]:
        """Return the routes by their exact paths."""
        base = f"/v2/models/{self._name}"
        index = Route("repository", {"POST": self._index})
        stats = Route("statistics", {"GET": self._statistics})
        routes = {"/v2/repository/index": index, "/v2/models/stats": stats}
        for path in (base, f"{base}/versions/{self._version}"):
            routes[f"{path}/stats"] = stats
            if self._signature is not None:
                routes[f"{path}/config"] = Route("config", {"GET": self._config})
        return routes

    async def _index(self, request: Request) -> Answer:
        await request.body()
        return as_json([{"name": self._name, "version": self._version, "state": "READY", "reason": ""}])

    async def _config(self, request: Request) -> Answer:
        signature = self._signature
        assert signature is not None, "a function has no such route"
        return as_json(
            {
                "name": self._name,
                "platform": self._runtime,
                "backend": self._runtime,
                "max_batch_size": 0,
                "input": [_configured(spec) for spec in signature.inputs],
                "output": [_configured(spec) for spec in signature.outputs],
            }
        )

    async def _statistics(self, request: Request) -> Answer:
        counted = self._metrics.inferences()
        nothing = {"count": 0, "ns": 0}
        times = {"count": counted.good, "ns": int(counted.seconds * 1e9)}
        told: dict[str, object] = {
            "name": self._name,
            "version": self._version,
            "last_inference": counted.last_ms,
            "inference_count": counted.rows,
            "execution_count": counted.batches,
            "inference_stats": {
                "success": times,
                "fail": {"count": counted.bad, "ns": 0},
                **dict.fromkeys(("queue", "compute_input", "compute_infer", "compute_output"), nothing),
            },
            "batch_stats": [],
        }
        return as_json({"model_stats": [told]})


def _configured(spec: TensorSpec) -> dict[str, object]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape)}
