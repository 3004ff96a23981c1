"""A model for KServe's server: `python serving_kserve.py MODEL.onnx NAME PORT` starts it."""

import logging
import sys

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Onnx(Model):
    """ONNX Runtime inside KServe's server."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._names = [value.name for value in self._session.get_outputs()]
        self.ready = True

    async def predict(
        self, payload: InferRequest, headers: object = None, response_headers: object = None
    ) -> InferResponse:
        """Compute."""
        tensor = payload.inputs[0]
        array = tensor.as_numpy()
        if array.dtype != "float32":
            array = array.astype("float32")
        binary = bool(payload.use_binary_outputs)
        outputs = []
        results = self._session.run(self._names, {tensor.name: array})
        for name, result in zip(self._names, results, strict=True):
            kind = "FP32" if result.dtype == "float32" else "INT64"
            output = InferOutput(name, list(result.shape), kind)
            output.set_data_from_numpy(result, binary_data=binary)
            outputs.append(output)
        return InferResponse(payload.id or "1", self.name, outputs, use_binary_outputs=binary)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    server = ModelServer(
        http_port=int(sys.argv[3]),
        workers=1,
        enable_grpc=False,
        enable_latency_logging=False,
        access_log_format=None,
    )
    server.start([Onnx(sys.argv[2], sys.argv[1])])
