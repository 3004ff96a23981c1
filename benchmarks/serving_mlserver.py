"""A model for MLServer, and a folder of settings for it: `python serving_mlserver.py MODEL.onnx NAME PORT` starts it.

It computes in the server's own process, which is quicker on one core than its pool of workers.
"""

import json
import os
import socket
import sys
import tempfile
from pathlib import Path

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Onnx(MLModel):
    """ONNX Runtime inside MLServer."""

    async def load(self) -> bool:
        """Load the model that the settings name."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        self._names = [value.name for value in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Compute."""
        tensor = payload.inputs[0]
        array = NumpyCodec.decode_input(tensor)
        if array.dtype != "float32":
            array = array.astype("float32")
        results = self._session.run(self._names, {tensor.name: array})
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output(name, result)
                for name, result in zip(self._names, results, strict=True)
            ],
        )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def main(path: str, model: str, port: int) -> None:
    """Write the settings and start the server in this process' place."""
    folder = Path(tempfile.mkdtemp(dir=Path(path).parent))
    settings = {
        "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port(),
        "parallel_workers": 0, "debug": False,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    about = {"name": model, "implementation": "serving_mlserver.Onnx", "parameters": {"uri": path}}
    if os.environ.get("BATCHES"):
        about |= {"max_batch_size": 64, "max_batch_time": 0.001}
    (folder / "model-settings.json").write_text(json.dumps(about))
    program = str(Path(sys.executable).parent / "mlserver")
    os.execve(
        program, [program, "start", str(folder)], {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
